"""What an lmms-eval task costs over one of evalkit's own: milliseconds a row after start-up, of a scripted agent.

    EVALKIT_LMMS_PYTHON=… python benchmarks/lmms_bridge.py --rows 2000

Both tasks have the same questions and images; the native one is scored by evalkit's choice rule. The time on the clock
is shown, and that of the processors (this process and lmms-eval's): on a machine that does other things too, only the
second says something. Start-up (lmms-eval's imports, the documents) is shown beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from evalkit.agents import Agent
from evalkit.agents.limits import Limits
from evalkit.agents.protocols import protocol
from evalkit.bridges.lmms.install import INCLUDE, installed
from evalkit.bridges.lmms.task import LmmsTask
from evalkit.engines.base import Sampling
from evalkit.engines.scripted import ScriptedEngine
from evalkit.images import ImageFile
from evalkit.records import Outcome, Sample
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Arms, Job
from evalkit.runs.runner import run_task
from evalkit.runs.scheduler import Stop
from evalkit.runs.store import RunStore
from evalkit.scoring import score_choice
from evalkit.task import DataSource, Task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--pixels", type=int, default=512, help="side of each image")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as name:
        folder = Path(name)
        rows = [_row(i, arguments.pixels) for i in range(arguments.rows)]
        _bridged(folder, rows)
        os.environ[INCLUDE] = str(folder)
        started = time.perf_counter()
        task = LmmsTask.kind("lmms:bench_mmstar")(DataSource(kind="hub"), folder)
        samples = list(task.samples())
        start_up = time.perf_counter() - started
        native = _Native(DataSource(kind="generated"), folder)
        own = [native.sample(i, row) for i, row in enumerate(rows)]
        times: dict[str, list[tuple[float, float]]] = {"native": [], "bridge": []}
        for turn in range(arguments.repeats):
            times["native"].append(_seconds(native, own, folder / f"native{turn}"))
            times["bridge"].append(_seconds(task, samples, folder / f"bridge{turn}"))
    clock = {kind: 1000 * min(found)[0] / arguments.rows for kind, found in times.items()}
    busy = {kind: 1000 * min(cpu for _, cpu in found) / arguments.rows for kind, found in times.items()}
    print(f"{arguments.rows} rows, images of {arguments.pixels} x {arguments.pixels} JPEG, best of {arguments.repeats}")
    print(f"start-up of the bridge (imports, documents): {start_up:.1f} s")
    for what, found in (("clock", clock), ("processor time", busy)):
        over = found["bridge"] - found["native"]
        print(f"{what}: native {found['native']:.2f}, bridge {found['bridge']:.2f}, overhead {over:.2f} ms a row")


class _Native(Task):
    name = "bench"

    def sample(self, index: int, row: dict[str, Any]) -> Sample:
        image = ImageFile.from_bytes(row["image"]["bytes"], f"{index}.jpg")
        choices = dict(zip("ABCD", ("red", "blue", "green", "none"), strict=True))
        return Sample(id=str(index), question=row["question"], images=(image,), answer=row["answer"], choices=choices)

    def samples(self) -> list[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Outcome:
        return score_choice(response, sample.choices, sample.answer, "bench/1")


def _seconds(task: Task, samples: list[Sample], folder: Path) -> tuple[float, float]:
    folder.mkdir()
    engine = ScriptedEngine(["<answer>B</answer>"])
    agent = Agent(
        engine=engine, protocol=protocol("direct", ()), tools={}, sampling=Sampling(temperature=0.0), limits=Limits()
    )

    async def work() -> None:
        await engine.start()
        with RunStore(folder) as store:
            await run_task(
                agents=ArmAgents(agent, Arms(), None),
                task=task,
                jobs=[Job(sample, "agent") for sample in samples],
                store=store,
                stored=lambda record: None,
                concurrency=64,
                stop=Stop(),
            )

    started, used = time.perf_counter(), _used()
    asyncio.run(work())
    return time.perf_counter() - started, _used() - used


def _used() -> float:
    """Processor seconds of this process and of those it has started."""
    ticks = 0
    for process in ("self", *Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _row(index: int, side: int) -> dict[str, Any]:
    from PIL import Image

    noise = Image.effect_noise((side // 4, side // 4), 40 + index % 50).resize((side, side)).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, format="JPEG")
    question = f"What is shown in picture {index}?\nOptions: A: red, B: blue, C: green, D: none"
    return {"index": index, "question": question, "image": {"bytes": buffer.getvalue(), "path": f"{index}.jpg"},
            "answer": "ABCD"[index % 4], "category": "math", "l2_category": "geometry"}  # fmt: skip


def _bridged(folder: Path, rows: list[dict[str, Any]]) -> None:
    import datasets

    made = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    made.to_parquet(str(folder / "val.parquet"))
    settings = {
        "include": str(installed().folder / "tasks" / "mmstar" / "mmstar.yaml"),
        "task": "bench_mmstar",
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"val": str(folder / "val.parquet")}},
    }
    (folder / "bench_mmstar.yaml").write_text(json.dumps(settings), "utf-8")


if __name__ == "__main__":
    main()
