"""Run folders for a report: two benchmarks, one of them with published figures, one run hostile in every text."""

from __future__ import annotations

from pathlib import Path

from evalkit import Verdict
from evalkit.records import DIRECT, Record
from tests.run_folders import row, write_run

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&amp;\u202e{{7*7}}"
"""Does something wherever it is not escaped."""
OPTIONS = {letter: f"option {letter}" for letter in "ABCD"}


def rows(n: int, wrong: int, called: int, redundant: int = 0, *, errors: int = 0, category: str = "") -> list[Record]:
    """`n` rows, each with and without tools; the last `wrong` are wrong, the first `called` called a tool."""
    found = []
    for i in range(n):
        right: bool | Verdict = Verdict.ENGINE_ERROR if i < errors else i < n - wrong
        about = {"choices": OPTIONS, "category": category or ("odd" if i % 2 else "even"), "answer": "A"}
        found.append(row(f"s{i}", right, calls=int(i < called), seconds=1 + i / 10, **about))
        found.append(row(f"s{i}", i < redundant, arm=DIRECT, seconds=0.5, **about))
    return found


def report_runs(folder: Path) -> list[Path]:
    """Four runs: "careful" and "blind" on vstar, "blind" on numbers, and one that is hostile there."""
    vstar = {"name": "vstar"}
    hostile = [
        row(f"{HOSTILE}{i}", i % 3 != 0, calls=i % 2, category=HOSTILE, text=HOSTILE, question=HOSTILE, answer=HOSTILE)
        for i in range(12)
    ]
    return [
        write_run(folder / "careful", rows(40, 4, 8, 1), model="careful", task=vstar, expected=40),
        write_run(folder / "blind", rows(40, 9, 40, 26), model="blind", task=vstar, expected=40),
        write_run(folder / "blind-numbers", rows(20, 9, 20, 9, errors=4), model="blind", expected=20),
        write_run(folder / "hostile", hostile, model=HOSTILE, config={"sampling": {HOSTILE: HOSTILE}}),
    ]
