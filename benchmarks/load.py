"""100,000 scripted trajectories, 512 in flight in one process: memory, descriptors, and how soon a run goes on again.

Each trajectory has two generations and a call; every fiftieth call runs Python in the real local sandbox. Then the run
is asked for again, finished and cut to half, and put to the commands that read it. Each figure stands beside its limit.

usage: python benchmarks/load.py [--rows 100000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from load_watch import Watch  # type: ignore[import-not-found]

HERE = Path(__file__).resolve().parent
IN_FLIGHT, DELAY_S, PYTHON_EVERY, SHARE = 512, 0.05, 50, 20
MARKS = (0.2, 0.5, 1.0)
GROWTH_MB, DESCRIPTORS, RESUME_S, FIGURES_S, FIGURES_MB = 100.0, 1024, 10.0, 10.0, 300.0
COMMAND_S, COMMAND_MB = 60.0, 1000.0
WORDS = "the sign above the left door shows a red kite on white ground so I look closer at it and count them again "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="keep the runs here; a finished run that is there is taken")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    try:
        measure(folder.resolve(), options.rows)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


def measure(folder: Path, rows: int) -> None:
    whole, half, other = folder / "whole", folder / "half", folder / "other"
    command = prepare(folder, rows)
    print(f"{rows:,} rows, {IN_FLIGHT} in flight; load of the machine {os.getloadavg()[0]:.1f}")
    if not (whole / "summary.json").is_file():
        run(command, whole, rows)
    size = (whole / "samples.jsonl").stat().st_size
    print(f"{whole.name}: {size / 1e6:,.0f} MB, {size / rows / 1000:.1f} kB a row")
    resume_finished(command, whole)
    resume_half(command, whole, half, rows)
    readers(whole, other, folder)


def prepare(folder: Path, rows: int) -> list[str]:
    """Draw pictures and script; the command without its run folder."""
    pictures, script = folder / "pictures", folder / f"script-{rows}.json"
    if not pictures.is_dir():
        # in a process of its own: a child's peak memory starts from that of the process it was forked from
        draw = [sys.executable, str(HERE / "load_pictures.py"), str(pictures), str(max(1, rows // SHARE))]
        subprocess.run(draw, check=True)
    python = said("python", {"code": "print(image_1.size)"})
    script.write_text(
        json.dumps(
            {
                "default": [said("measure", {"what": "kites"}), answer()],
                "samples": {f"row-{row:06d}": [python, answer()] for row in range(0, rows, PYTHON_EVERY)},
                "delay_s": DELAY_S,
            }
        )
    )
    return [
        *(sys.executable, "-m", "evalkit", "run", "--model", "scripted", "--script", str(script)),
        *("--tasks", "load", "--task-dir", str(HERE / "tasks"), "-T", f"rows={rows}", "-T", f"pictures={pictures}"),
        *("-c", str(IN_FLIGHT), "--run-dir"),
    ]


def said(tool: str, arguments: dict[str, str]) -> str:
    call = json.dumps({"name": tool, "arguments": arguments})
    return f"<reason>{WORDS * 6}</reason>\n<tool_call>{call}</tool_call>"


def answer() -> str:
    return f"<reason>{WORDS * 6}</reason><answer>A</answer>"


def run(command: list[str], whole: Path, rows: int) -> None:
    """The run itself."""
    marks = {int(rows * share): 0.0 for share in MARKS}
    first = last = (0.0, 0.0)

    def look(watch: Watch) -> None:
        nonlocal first, last
        if watch.lines and not first[0]:
            first = (watch.seconds, watch.busy)
        if not last[0]:
            for mark, seen in marks.items():
                if not seen and watch.lines >= mark:
                    marks[mark] = watch.memory_mb
        if watch.lines >= rows and not last[0]:
            last = (watch.seconds, watch.busy)
            watch.forget()

    watch = Watch([*command, str(whole)], whole / "samples.jsonl")
    watch.until_end(look)
    at_start = min(marks.values())
    say("until the first row is stored", first[0], "s")
    say("of it on processors", first[1], "s")
    say("trajectories a second", rows / max(last[0] - first[0], 1e-9), "/s")
    say("trajectories a second of processors", rows / max(last[1] - first[1], 1e-9), "/s")
    for mark, memory in marks.items():
        say(f"memory at {mark:,} rows", memory, "MB")
    say("growth from the first mark to the last", marks[rows] - at_start, "MB", GROWTH_MB)
    say("most descriptors of the process", watch.descriptors, "", DESCRIPTORS)
    say("most descriptors of one of its children", watch.child_descriptors, "", DESCRIPTORS)
    say("figures at the end", watch.seconds - last[0], "s", FIGURES_S)
    say("of it on processors", watch.busy - last[1], "s", FIGURES_S)
    say("memory that they take more", watch.most_mb - marks[rows], "MB", FIGURES_MB)


def resume_finished(command: list[str], whole: Path) -> None:
    watch = Watch([*command, str(whole)])
    watch.until_end()
    say("the same command on the finished run, figures included", watch.seconds, "s", RESUME_S)
    say("of it on processors", watch.busy, "s", RESUME_S)
    say("most memory of it", watch.most_mb, "MB", COMMAND_MB)


def resume_half(command: list[str], whole: Path, half: Path, rows: int) -> None:
    """Until the first row is stored of those that the cut run lacks."""
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    shutil.copyfile(whole / "run.json", half / "run.json")
    (half / "images").symlink_to(whole / "images")
    with (whole / "samples.jsonl").open("rb") as all_rows, (half / "samples.jsonl").open("wb") as some:
        for _ in range(rows // 2):
            some.write(next(all_rows))
    watch = Watch([*command, str(half)], half / "samples.jsonl")
    watch.until_end(lambda watch: watch.end() if watch.lines > rows // 2 else None)
    say("the same command on half of it, until a new row is stored", watch.seconds, "s", RESUME_S)
    say("of it on processors", watch.busy, "s", RESUME_S)
    say("most memory of it until then", watch.most_mb, "MB", COMMAND_MB)


def readers(whole: Path, other: Path, folder: Path) -> None:
    """The commands that read finished runs."""
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    for name in ("run.json", "samples.jsonl"):
        shutil.copyfile(whole / name, other / name)
    (other / "images").symlink_to(whole / "images")
    tasks = ["--task-dir", str(HERE / "tasks")]
    page = folder / "report.html"
    commands = {
        "compare": [str(whole), str(other), *tasks],
        "gate": [str(other), "--baseline", str(whole)],
        "report": [str(whole), "--html", str(page), *tasks],
        "show": [str(whole)],
        "score": [str(other), *tasks],
    }
    for verb, arguments in commands.items():
        watch = Watch([sys.executable, "-m", "evalkit", verb, *arguments])
        watch.until_end()
        say(f"evalkit {verb}", watch.seconds, "s", COMMAND_S)
        say("of it on processors", watch.busy, "s", COMMAND_S)
        say("most memory of it and its processes", watch.all_mb, "MB", COMMAND_MB)
    shutil.rmtree(other)


def say(what: str, value: float, unit: str, limit: float | None = None) -> None:
    beside = "" if limit is None else f"{limit:10,.0f} {value / limit:7.0%}"
    print(f"{what:62} {value:10,.1f} {unit:3} {beside}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
