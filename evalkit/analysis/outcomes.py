"""What became of the rows, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evalkit.analysis.frames import WHOLE_ARMS, RunFrames
from evalkit.analysis.measure import text_table

_RUN = dict.fromkeys(("run", "task", "model", "arm"), "str")
OUTCOME_COLUMNS = _RUN | {"outcome": "str", "rows": "int64", "expected": "float64"}
ERROR_COLUMNS = _RUN | {"kind": "str", "what": "str", "message": "str", "count": "int64", "samples": "int64"}
REASON_COLUMNS = _RUN | {"verdict": "str", "reason": "str", "rows": "int64"}

MISSING = "missing"


def outcomes(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """Rows by verdict, repeat 0, and those that are missing.

    Returns:
        One row per run, arm and outcome that occurs, `missing` among them; `expected` is NaN for arms that ask a
        part of the rows.
    """
    found = []
    for run in runs:
        for arm in run.arms:
            rows = run.arm(arm)
            expected = run.expected if arm in WHOLE_ARMS else None
            of = np.nan if expected is None else float(expected)
            counts = rows["verdict"].value_counts(sort=False)
            found += [(run.run, run.task, run.model, arm, str(name), int(n), of) for name, n in counts.items() if n]
            if expected is not None and expected > len(rows):
                found.append((run.run, run.task, run.model, arm, MISSING, expected - len(rows), of))
    return text_table(found, OUTCOME_COLUMNS)


def reasons(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """How answers were read, or why not, by verdict; scored rows of repeat 0.

    Returns:
        One row per run, arm, verdict and reason that occurs.
    """
    found = []
    for run in runs:
        for arm in run.arms:
            rows = run.arm(arm)
            groups = rows[~rows["error"]].groupby(["verdict", "reason"], observed=True)
            found += [
                (run.run, run.task, run.model, arm, str(verdict), str(reason), len(group))
                for (verdict, reason), group in groups
            ]
    return text_table(found, REASON_COLUMNS)


def errors(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """Failures of the harness and of tool calls by message, repeat 0, the commonest first within a run and arm.

    Returns:
        One row per run, arm, kind ("row" or "call"), what (the verdict, or the call's status and tool) and message.
    """
    found = []
    for run in runs:
        for arm in run.arms:
            found += _of_arm(run, arm)
    return text_table(found, ERROR_COLUMNS)


def _of_arm(run: RunFrames, arm: str) -> list[tuple[object, ...]]:
    rows = run.arm(arm)
    failed = rows[rows["error"]]
    calls = run.calls[run.calls["row"].isin(rows.index) & (run.calls["status"] != "ok")]
    found: list[tuple[str, str, str, int, int]] = []
    for (verdict, message), group in failed.groupby(["verdict", "message"], observed=True):
        found.append(("row", str(verdict), str(message), len(group), len(group)))
    for (status, tool, message), group in calls.groupby(["status", "tool", "message"], observed=True):
        what = f"{status} {tool}".strip()
        found.append(("call", what, str(message), len(group), int(group["row"].nunique())))
    found.sort(key=lambda row: (row[0] != "row", -row[3], row[1:3]))
    return [(run.run, run.task, run.model, arm, *row) for row in found]
