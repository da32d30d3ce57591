"""Makes the example report of the documentation: docs/example/leaderboard.html.

It is made of real records: the shipped agents on panel_probe with the tools and without, and recorded DeepEyes runs on
V*Bench and HR-Bench 4K where their logs are at hand (`--logs`: a folder with `vstar/deepeyes_logs` and
`hrbench/deepeyes_logs`). Of recorded runs only figures are shown: the questions belong to their benchmarks.

usage: python benchmarks/example_report.py [--logs FOLDER] [--runs FOLDER] [--out docs/example/leaderboard.html]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from evalkit.analysis.task_opener import TaskOpener
from evalkit.reporting.page import write_html
from evalkit.reporting.report import make_report
from evalkit.runs.find import run_folders

SHOWN = 12
RECORDED = {
    "vstar/deepeyes_logs/deepeyes_7b_rerun/*_acc.jsonl": ("vstar", "DeepEyes-7B (rerun)"),
    "vstar/deepeyes_logs/ds4_bugfree/*/*_acc.jsonl": ("vstar", "DeepEyes-7B (step 48)"),
    "hrbench/deepeyes_logs/result_hr_bench_4k_deepeyes.jsonl": ("hrbench_4k", "DeepEyes-7B"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, help="folder with recorded DeepEyes logs")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and take them from here if they are there")
    parser.add_argument("--out", type=Path, default=Path("docs/example/leaderboard.html"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs: Path = options.runs or Path(scratch) / "runs"
        if not runs.exists():
            make_runs(runs, options.logs)
        folders = run_folders([runs])
        report = make_report(folders, trajectories=SHOWN, task_of=TaskOpener(()))
        recorded = {
            entry.run for board in report.boards.boards for entry in board.entries if entry.engine == "imported"
        }
        rows = tuple(
            [] if index.run in recorded else mine for index, mine in zip(report.indexes, report.rows, strict=True)
        )
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_html(msgspec.structs.replace(report, rows=rows), options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


def make_runs(runs: Path, logs: Path | None) -> None:
    """The shipped agents with and without their tools, and what was recorded."""
    for model in ("metis-nano", "metis-nano-sft"):
        evalkit("run", "--model", model, "--tasks", "panel_probe", "--counterfactual", "--isolated-latency", "20",
                "--out", str(runs))  # fmt: skip
    for pattern, (task, model) in RECORDED.items() if logs else ():
        files = sorted(str(file) for file in logs.glob(pattern)) if logs else []
        evalkit("import", "deepeyes", *files, "--task", task, "--model", model, "--out", str(runs))


def evalkit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "evalkit", *arguments], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
