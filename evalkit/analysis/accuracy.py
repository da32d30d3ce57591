"""Accuracy under both rules and both denominators, whole and by category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from evalkit.analysis.frames import WHOLE_ARMS, Bools, RunFrames
from evalkit.analysis.measure import Measure, Rows, codes_of, missing, share_of

KEYS = ("run", "task", "model", "arm", "rule", "rows", "category")
"""Columns before the measures: `rule` is strict, official or recorded; `rows` is "scored" or "all"; `category`
is empty for the whole."""
SCORED, ALL = "scored", "all"
RECORDED = "recorded"


def accuracy(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """Right rows of the scored ones (errors have no score), and of all expected ones (errors are not right).

    Only repeat 0 counts. A missing row stands alone in the interval: its cluster is not known.

    Returns:
        One row per run, arm, rule, denominator and category; see `KEYS` and `measure.COLUMNS`.
    """
    rows = Rows(KEYS, [])
    for run in runs:
        for arm in run.arms:
            for keys, measure in _arm(run, arm):
                rows.add((run.run, run.task, run.model, arm, *keys), measure)
    return rows.table()


def _arm(run: RunFrames, arm: str) -> Iterator[tuple[tuple[str, str, str], Measure]]:
    rows = run.arm(arm)
    expected = run.expected if arm in WHOLE_ARMS else None
    for rule, right in verdicts(rows).items():
        error = rows["error"].to_numpy()
        if rule == RECORDED:
            # the recording has a verdict of its own, or none, whatever evalkit's scoring came to
            error = rows["recorded"].isna().to_numpy()
        yield (rule, SCORED, ""), _share(rows, right, ~error)
        if rule != RECORDED:
            yield (rule, ALL, ""), _of_all(rows, right, expected)
        for category in categories(rows):
            inside = (rows["category"] == category).to_numpy()
            yield (rule, SCORED, category), _share(rows, right, inside & ~error)
            if rule != RECORDED:
                complete = expected is not None and len(rows) >= expected
                yield (
                    (rule, ALL, category),
                    _share(rows, right, inside)
                    if complete
                    else missing("rows are missing, and nothing says of which category they are"),
                )
    if "official" not in verdicts(rows):
        why = "the benchmark has no official rule beside evalkit's own" if len(rows) else "there is no row"
        yield ("official", SCORED, ""), missing(why)


def verdicts(rows: pd.DataFrame) -> dict[str, Bools]:
    """Right or not per row, under each rule that gave any verdict; the strict one is always there."""
    found = {"strict": rows["right"].to_numpy(dtype=bool)}
    for rule in ("official", RECORDED):
        if rows[rule].notna().any():
            found[rule] = rows[rule].fillna(False).to_numpy(dtype=bool)
    if "official" in found:
        # an error has no verdict under any rule
        found["official"] = found["official"] & ~rows["error"].to_numpy()
    return found


def categories(rows: pd.DataFrame) -> list[str]:
    """The categories that occur, sorted."""
    return sorted(str(category) for category in rows["category"].unique().tolist() if category)


def _share(rows: pd.DataFrame, right: Bools, chosen: Bools) -> Measure:
    if not chosen.any():
        return missing("no row has a score" if len(rows) else "there is no row")
    return share_of(right[chosen], codes_of(rows)[chosen])


def _of_all(rows: pd.DataFrame, right: Bools, expected: int | None) -> Measure:
    if expected is None:
        return missing("nothing says how many rows there should be")
    absent = max(expected - len(rows), 0)
    if not expected and not len(rows):
        return missing("there is no row")
    flags = np.append(right, np.zeros(absent, dtype=bool))
    labels = codes_of(rows)
    return share_of(flags, np.append(labels, labels.max(initial=-1) + 1 + np.arange(absent)))
