"""What evalkit costs beside a bare client: the same items, the same server, in one run.

Two jobs: 400 We-Math rows at 64 in flight, and 16 questions on one 8K JPEG at 16 in flight, everything recorded.
Bare client and evalkit take turns; medians and the ratios of each pair are printed.

usage: python benchmarks/harness_overhead.py [--wemath DIR] [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Cost(NamedTuple):
    """Of one process: rows per second in its request loop, whole wall time (s), peak memory (MB)."""

    rows_per_s: float
    wall_s: float
    peak_mb: float


@contextmanager
def served(*options: str) -> Iterator[str]:
    """The mock server's base URL."""
    command = [sys.executable, str(HERE / "mock_server.py"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.communicate()


def measured(command: list[str], cwd: Path) -> tuple[str, float, float]:
    """Run a process: its output, wall seconds, peak memory in MB (of itself and its largest child)."""
    start = time.perf_counter()
    with (cwd / "out.txt").open("w+") as out:
        process = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        out.seek(0)
        text = out.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{text}")
    return text, wall, usage.ru_maxrss / 1024


def bare(items: Path, concurrency: int, url: str) -> Cost:
    command = [sys.executable, str(HERE / "bare_client.py"), str(items), str(concurrency), url]
    text, wall, peak = measured(command, items.parent)
    found = json.loads(text.splitlines()[-1])
    return Cost(found["rows"] / found["loop_s"], wall, peak)


def harness(arguments: list[str], concurrency: int, url: str, folder: Path) -> Cost:
    run = Path(tempfile.mkdtemp(dir=folder))
    command = [sys.executable, "-m", "evalkit", "run", "--engine", "openai", "--model", "mock", "--base-url", url]
    command += ["--protocol", "direct", "-c", str(concurrency), "--run-dir", str(run), *arguments]
    _, wall, peak = measured(command, folder)
    rows = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    times = [(row["trajectory"]["started_at"], row["trajectory"]["total_s"]) for row in rows]
    loop = max(start + total for start, total in times) - min(start for start, _ in times)
    return Cost(len(rows) / loop, wall, peak)


def wemath_items(wemath: Path, folder: Path) -> Path:
    rows = json.loads((wemath / "testmini.json").read_text())[:400]
    file = folder / "wemath.jsonl"
    lines = [{"image": str(wemath / r["image_path"]), "question": f"{r['question']}\n{r['option']}"} for r in rows]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def draw_eight_k(file: Path) -> None:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 255, (270, 480, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((7680, 4320), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = random.normal(0, 14, (4320, 7680, 1)).astype(np.int16)
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(file, quality=88)


def eight_k_items(folder: Path) -> Path:
    # in a process of its own: a child's peak memory starts from that of the process it was forked from
    drawing = multiprocessing.get_context("spawn").Process(target=draw_eight_k, args=(folder / "8k.jpg",))
    drawing.start()
    drawing.join()
    file = folder / "eight_k.jsonl"
    line = json.dumps({"image": str(folder / "8k.jpg"), "question": "What is the text on the sign?\nA. one"})
    file.write_text(f"{line}\n" * 16)
    return file


def compare(name: str, items: Path, arguments: list[str], concurrency: int, runs: int, folder: Path) -> None:
    pairs: list[tuple[Cost, Cost]] = []
    with served() as url:
        for _ in range(runs + 1):
            pairs.append((bare(items, concurrency, url), harness(arguments, concurrency, url, folder)))
    pairs = pairs[1:]
    ratio = statistics.median(ours.rows_per_s / limit.rows_per_s for limit, ours in pairs)
    limit = Cost(*(statistics.median(values) for values in zip(*(pair[0] for pair in pairs), strict=True)))
    ours = Cost(*(statistics.median(values) for values in zip(*(pair[1] for pair in pairs), strict=True)))
    print(f"{name} (medians of {runs} runs, taken in turns)")
    for label, cost in (("bare client", limit), ("evalkit", ours)):
        print(f"  {label:12} {cost.rows_per_s:8.1f} rows/s   {cost.wall_s:6.2f} s whole   {cost.peak_mb:6.0f} MB")
    print(f"  ratio        {ratio:8.2f} of the bare client's rows/s (loop time x{1 / ratio:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    default = HERE.parents[1] / "shared" / "data" / "wemath"
    parser.add_argument("--wemath", type=Path, default=default, help="We-Math's official folder")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if not (options.wemath / "testmini.json").is_file():
        raise SystemExit(f"{options.wemath} has no testmini.json; name We-Math's official folder with --wemath")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wemath = ["--tasks", "wemath", "--data", str(options.wemath.resolve()), "--limit", "400"]
        compare("400 We-Math rows, 64 in flight", wemath_items(options.wemath.resolve(), folder), wemath, 64,
                options.runs, folder)  # fmt: skip
        items = eight_k_items(folder)
        eight_k = ["--tasks", "eight_k", "--task-dir", str(HERE / "tasks"), "-T", f"image={folder / '8k.jpg'}"]
        compare("16 questions on an 8K JPEG, 16 in flight", items, eight_k, 16, options.runs, folder)


if __name__ == "__main__":
    main()
