"""How fast many runs are read and turned into tables, and what memory that takes.

The runs are made up: each trajectory has 1.3 tool calls on average and texts of a usual length, a few runs are
drawn and the others are copies of them under other names.

usage: python benchmarks/analysis.py [--runs 100] [--rows 5000] [--folder DIR] [--processes N]
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from evalkit.images import ImageHeader
from evalkit.records import (
    RECORD_VERSION,
    CallStatus,
    Observation,
    Outcome,
    Record,
    Sample,
    Shown,
    StopReason,
    Timing,
    ToolCall,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from evalkit.runs.folder import SAMPLES, RunInfo, write_info

DRAWN = 5
WORDS = ("the", "sign", "above", "left", "door", "shows", "a", "red", "kite", "on", "white", "ground", "look", "closer")
HEADER = msgspec.to_builtins(ImageHeader("0" * 64, "image/jpeg", 2000, 1500, 900_000))
STATUSES = [CallStatus.OK] * 8 + [CallStatus.FAILED, CallStatus.TIMEOUT, CallStatus.MALFORMED, CallStatus.BLOCKED]
VERDICTS = [Verdict.CORRECT] * 12 + [Verdict.INCORRECT] * 6 + [Verdict.UNPARSED, Verdict.ENGINE_ERROR]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--folder", type=Path, help="keep the runs here and take them from here if they are there")
    parser.add_argument("--processes", type=int, help="readers; default: as many as there are processors")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    try:
        measure(folder, options.runs, options.rows, options.processes)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


def make_runs(folder: Path, runs: int, rows: int) -> list[Path]:
    """Draw the runs that are not there yet; all folders."""
    folders = [folder / f"model-{index % 10}__task-{index // 10}__{index:03d}" for index in range(runs)]
    for index, run in enumerate(folders):
        if not (run / SAMPLES).exists():
            make_run(run, index, rows, folders[index % DRAWN] if index >= DRAWN else None)
    size = sum((run / SAMPLES).stat().st_size for run in folders)
    print(f"{runs} runs x {rows} trajectories, {size / runs / rows / 1000:.1f} kB each, {size / 1e9:.2f} GB")
    return folders


def measure(folder: Path, runs: int, rows: int, processes: int | None) -> None:
    folders = make_runs(folder, runs, rows)
    clock = time.perf_counter()
    from evalkit.analysis.tables import analyse

    print(f"{time.perf_counter() - clock:8.2f} s  import")
    clock = time.perf_counter()
    found = analyse(folders, processes=processes)
    seconds = time.perf_counter() - clock
    print(f"{seconds:8.2f} s  all runs read and all tables made ({seconds / runs / rows * 1e6:.1f} us per trajectory)")
    own, readers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    here, there = (use.ru_utime + use.ru_stime for use in (own, readers))
    print(f"{here:8.2f} s  processor time of this process, {there:.2f} s of readers")
    print(f"{own.ru_maxrss / 1e6:8.2f} GB most memory of this process, {readers.ru_maxrss / 1e6:.2f} GB of a reader")
    print(f"{time_of(found.samples):8.2f} s  one table of all samples; {len(found.accuracy)} rows of accuracy")
    parts(folders[0])


def parts(folder: Path) -> None:
    """Where the time of one run goes."""
    from evalkit.analysis import accuracy, costs, counting, latency, outcomes, tools
    from evalkit.analysis.frames import read_run
    from evalkit.analysis.light import read_light

    print("one run:")
    print(f"{time_of(lambda: read_light(folder)) * 1000:8.1f} ms  JSON")
    print(f"{time_of(lambda: read_run(folder)) * 1000:8.1f} ms  JSON and columns")
    run = read_run(folder)
    tables: dict[str, Callable[[], object]] = {
        "accuracy": lambda: accuracy.accuracy([run]),
        "tool use": lambda: tools.tool_use([run]),
        "counting": lambda: counting.counting([run]),
        "latency": lambda: latency.latency([run]),
        "tokens": lambda: costs.tokens([run]),
        "pixels": lambda: costs.pixels([run]),
        "outcomes": lambda: outcomes.outcomes([run]),
        "errors": lambda: outcomes.errors([run]),
    }
    for name, make in tables.items():
        print(f"{time_of(make) * 1000:8.1f} ms  {name}")


def time_of(call: Callable[[], object]) -> float:
    """The median seconds of three calls."""
    times = []
    for _ in range(3):
        clock = time.perf_counter()
        call()
        times.append(time.perf_counter() - clock)
    return sorted(times)[1]


def make_run(folder: Path, index: int, rows: int, like: Path | None) -> None:
    """Write one run folder, drawn or copied."""
    folder.mkdir(parents=True)
    if like is None:
        rng = random.Random(index)
        encode = msgspec.json.Encoder(enc_hook=lambda _: HEADER).encode
        with (folder / SAMPLES).open("wb") as file:
            file.writelines(encode(record(rng, row)) + b"\n" for row in range(rows))
    else:
        shutil.copyfile(like / SAMPLES, folder / SAMPLES)
    model, task, _ = folder.name.split("__")
    config = {"model": {"name": model}, "task": {"name": task}, "engine": "vllm"}
    info = RunInfo(evalkit="0", created="", config=config, config_hash="", expected_rows=rows)
    write_info(folder, info)


def record(rng: random.Random, row: int) -> Record:
    """One trajectory on a question of four rows."""
    calls = rng.choices((0, 1, 2, 3, 5), (25, 40, 20, 10, 5))[0]
    turns = tuple(turn(rng, index, index < calls) for index in range(calls + 1))
    verdict = rng.choice(VERDICTS)
    return Record(
        version=RECORD_VERSION,
        sample=Sample(
            id=str(row),
            question=text(rng, 400),
            answer="A",
            choices={letter: text(rng, 20) for letter in "ABCD"},
            category=f"category {row % 7}",
            cluster=f"q{row // 4}",
            metadata={"cycle": str(row % 4)},
        ),
        trajectory=Trajectory(
            prompt=text(rng, 500),
            stop=StopReason.ANSWERED,
            turns=turns,
            started_at=1.7e9 + row,
            total_s=rng.lognormvariate(1, 1),
        ),
        outcome=Outcome(
            verdict=verdict,
            answer=rng.choice("ABCD"),
            reason="answer_tag",
            official=verdict is Verdict.CORRECT,
            error="the server answered 500" if verdict.is_error else "",
            scorer="task/1",
        ),
    )


def turn(rng: random.Random, index: int, goes_on: bool) -> Turn:
    """One generation, with a call and its observation where the trajectory goes on."""
    call = ToolCall(
        tool="python",
        raw=text(rng, 350),
        arguments={"code": text(rng, 300)},
        status=rng.choice(STATUSES),
        seconds=rng.lognormvariate(-1, 1),
    )
    return Turn(
        text=text(rng, 900) + ("</tool_call>" if goes_on else "</answer>"),
        finish_reason="stop",
        calls=(call,) if goes_on else (),
        observations=(Observation(text=text(rng, 300)),) if goes_on else (),
        usage=Usage(
            prompt_tokens=rng.randrange(500, 5000), completion_tokens=rng.randrange(20, 400), image_tokens=1000
        ),
        timing=Timing(
            queue_s=rng.random(),
            ttft_s=rng.random(),
            decode_s=rng.random(),
            generate_s=rng.lognormvariate(0, 1),
            tool_s=rng.random(),
        ),
        shown=(Shown(origin="sample", width=2000, height=1500, shown_width=1000, shown_height=750, tokens=1000),),
    )


def text(rng: random.Random, length: int) -> str:
    """Words of about so many characters."""
    return " ".join(rng.choices(WORDS, k=length // 5))


if __name__ == "__main__":
    main()
