"""How long tables and data sets of many trajectories take, and what memory: imports by the command line, parquet out.

The rows are made up: texts of a usual length; the run that is exported has an image of 120 kB in each row and a crop.

usage: python benchmarks/formats_bridge.py [--rows 5000]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from evalkit import CallStatus, ImageFile, Observation, Outcome, Record, Sample, StopReason, ToolCall, Trajectory, Turn
from evalkit.recorded import RecordedTask
from evalkit.records import RECORD_VERSION, Verdict
from evalkit.runs.imported import IMPORTED, Origin, write_run

TEXT = "The sign in the upper left part of the image reads as follows, as far as it can be made out. "


def rows(count: int) -> list[dict[str, Any]]:
    """A table in VLMEvalKit's form, of which a plain one is a part."""
    return [
        {
            "index": i,
            "question": TEXT,
            "A": "a cat",
            "B": "a dog",
            "answer": "AB"[i % 2],
            "category": f"kind {i % 7}",
            "prediction": TEXT * 12 + "A",
            "hit": (i + 1) % 2,
        }
        for i in range(count)
    ]


def write_tables(folder: Path, count: int) -> dict[str, list[str]]:
    """The tables, and the arguments of `evalkit import` for each."""
    table = rows(count)
    names = list(table[0])
    plain = folder / "plain.jsonl"
    renamed = {"index": "id", "prediction": "response", "hit": "correct"}
    plain.write_text("".join(json.dumps({renamed.get(k, k): v for k, v in row.items()}) + "\n" for row in table))
    tsv = folder / "m_bench.tsv"
    with tsv.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(table)
    jobs = {
        "plain .jsonl": ["table", str(plain)],
        "VLMEvalKit .tsv": ["vlmevalkit", str(tsv), "--model", "m"],
    }
    try:
        from openpyxl import Workbook
    except ImportError:
        return jobs
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for cells in (names, *(list(row.values()) for row in table)):
        sheet.append(cells)
    book.save(folder / "m_bench.xlsx")
    return {**jobs, "VLMEvalKit .xlsx": ["vlmevalkit", str(folder / "m_bench.xlsx"), "--model", "m"]}


def noise(width: int, height: int, seed: int) -> ImageFile:
    """A picture that does not compress."""
    pixels = random.Random(seed).randbytes(width * height * 3)
    return ImageFile.from_pil(Image.frombytes("RGB", (width, height), pixels), f"{seed}.png")


def write_pictures(folder: Path, count: int) -> Path:
    """A run with an image and a crop in each row."""

    def record(i: int) -> Record:
        call = ToolCall(tool="python", raw="{}", status=CallStatus.OK)
        first = Turn(text=TEXT, calls=(call,), observations=(Observation(images=(noise(40, 40, -i - 1),)),))
        return Record(
            version=RECORD_VERSION,
            sample=Sample(id=str(i), question=TEXT, answer="A", images=(noise(200, 200, i),)),
            trajectory=Trajectory(prompt=TEXT, stop=StopReason.ANSWERED, turns=(first, Turn(text="A"))),
            outcome=Outcome(verdict=Verdict.CORRECT, answer="A"),
        )

    origin = Origin(engine=IMPORTED, model="m", files=())
    made, _ = write_run(folder, RecordedTask.called("pictures"), [], count, map(record, range(count)), origin)
    return made


def measured(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak MiB of a command of its own."""
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "evalkit", *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"evalkit {' '.join(arguments)} failed")
    return time.perf_counter() - started, used.ru_maxrss / 1024


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        print(f"| {count:,} rows | s | peak MiB |\n|---|--:|--:|")
        for name, arguments in write_tables(folder, count).items():
            seconds, memory = measured(["import", *arguments, "--out", str(folder / "runs")], folder)
            print(f"| import {name} | {seconds:.1f} | {memory:.0f} |", flush=True)
        run = write_pictures(folder / "pictures", count)
        seconds, memory = measured(["export", str(run), "-f", "parquet", "--out", str(folder / "data")], folder)
        print(f"| export parquet, two images a row | {seconds:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
