"""Tool use: rates, means, what became of the calls, and how many a trajectory makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from evalkit.analysis.accuracy import categories, verdicts
from evalkit.analysis.frames import RunFrames
from evalkit.analysis.measure import Measure, Rows, codes_of, mean_of, missing, ratio_of, share_of, text_table
from evalkit.analysis.rollout import ONLY_RESPONSES
from evalkit.records import Rule

KEYS = ("run", "task", "model", "arm", "figure", "tool", "category")
"""Columns before the measures; `tool` and `category` are empty where a figure is about all of them."""
CALL_COLUMNS = dict.fromkeys(("run", "task", "model", "arm", "tool", "status"), "str") | {
    "calls": "int64",
    "samples": "int64",
}
DISTRIBUTION_COLUMNS = dict.fromkeys(("run", "task", "model", "arm"), "str") | {
    "calls": "int64",
    "samples": "int64",
    "share": "float64",
}


class KnownRows(NamedTuple):
    """Rows of one arm about whose tool use something can be said, and why there are none if there are none."""

    rows: pd.DataFrame
    why: str


def known_rows(run: RunFrames, arm: str) -> KnownRows:
    """Scored rows of repeat 0 whose trajectories are known whole."""
    rows = run.arm(arm, known=True)
    if len(rows):
        return KnownRows(rows, "")
    there = run.arm(arm)
    scored = not there["error"].all()
    return KnownRows(rows, ONLY_RESPONSES if scored else "no row has a score" if len(there) else "there is no row")


def tool_use(runs: Sequence[RunFrames], rule: Rule = Rule.STRICT) -> pd.DataFrame:
    """How often and how well tools are used, over scored rows whose trajectories are known whole.

    The figures: `tool_rate` (rows with at least one call that ran), `tool_rate_ok` (at least one that succeeded),
    `tool_rate_emitted` (at least one call in the text, whatever became of it), `calls_mean` and `emitted_mean` (calls
    that ran, and all calls, per row), `error_rate` (calls that ran and failed or timed out, of those that ran),
    `refused_rate` (calls that were malformed, of unknown tools or blocked, of all), and `efficiency` (mean of
    1/(T+1) over right rows, T calls that ran; the tool reward of arXiv 2604.08545).

    Args:
        runs: frames.
        rule: whose verdicts `efficiency` rests on.

    Returns:
        One row per run, arm and figure, and per tool and category where that makes sense.
    """
    rows = Rows(KEYS, [])
    for run in runs:
        for arm in run.arms:
            for keys, measure in _arm(run, arm, rule):
                rows.add((run.run, run.task, run.model, arm, *keys), measure)
    return rows.table()


def tool_calls(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """Calls by tool and by what became of them, over the same rows.

    Returns:
        One row per run, arm, tool and status that occurs: `calls`, and the `samples` they are in.
    """
    found = []
    for run in runs:
        for arm in run.arms:
            rows = known_rows(run, arm).rows
            calls = run.calls[run.calls["row"].isin(rows.index)]
            for (tool, status), group in calls.groupby(["tool", "status"], observed=True):
                found.append((run.run, run.task, run.model, arm, tool, status, len(group), group["row"].nunique()))
    return text_table(found, CALL_COLUMNS)


def call_distribution(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """How many rows make 0, 1, 2, ... calls that ran.

    Returns:
        One row per run, arm and number of calls that occurs; shares add up to 1.
    """
    found = []
    for run in runs:
        for arm in run.arms:
            rows = known_rows(run, arm).rows
            numbers, counts = np.unique(rows["dispatched"].to_numpy(), return_counts=True)
            found += [
                (run.run, run.task, run.model, arm, int(number), int(count), count / len(rows))
                for number, count in zip(numbers, counts, strict=True)
            ]
    return text_table(found, DISTRIBUTION_COLUMNS)


def _arm(run: RunFrames, arm: str, rule: Rule) -> Iterator[tuple[tuple[str, str, str], Measure]]:
    rows, why = known_rows(run, arm)
    if not len(rows):
        for figure in ("tool_rate", "tool_rate_ok", "calls_mean"):
            yield (figure, "", ""), missing(why)
        return
    clusters = codes_of(rows)
    dispatched, emitted, ok = (rows[name].to_numpy() for name in ("dispatched", "calls", "ok"))
    yield ("tool_rate", "", ""), share_of(dispatched > 0, clusters)
    yield ("tool_rate_ok", "", ""), share_of(ok > 0, clusters)
    yield ("tool_rate_emitted", "", ""), share_of(emitted > 0, clusters)
    yield ("calls_mean", "", ""), mean_of(dispatched.astype(float), clusters)
    yield ("emitted_mean", "", ""), mean_of(emitted.astype(float), clusters)
    right = verdicts(rows).get(str(rule))
    if right is None:
        yield ("efficiency", "", ""), missing(f"no row has a verdict under the {rule} rule")
    elif not right.any():
        yield ("efficiency", "", ""), missing("no row is right")
    else:
        yield ("efficiency", "", ""), mean_of(1 / (1.0 + dispatched[right]), clusters[right])
    for category in categories(rows):
        inside = (rows["category"] == category).to_numpy()
        yield ("tool_rate", "", category), share_of(dispatched[inside] > 0, clusters[inside])
        yield ("calls_mean", "", category), mean_of(dispatched[inside].astype(float), clusters[inside])
    yield from _by_tool(run, rows)


def _by_tool(run: RunFrames, rows: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], Measure]]:
    calls = run.calls[run.calls["row"].isin(rows.index)]
    clusters = codes_of(run.samples)[calls["row"].to_numpy()]
    status, ran = calls["status"], calls["dispatched"].to_numpy()
    failed = status.isin(["failed", "timeout"]).to_numpy()
    refused = status.isin(["malformed", "unknown_tool", "blocked"]).to_numpy()
    every = np.ones(len(calls), dtype=bool)
    yield ("error_rate", "", ""), ratio_of(failed, ran, clusters, "no call ran")
    yield ("refused_rate", "", ""), ratio_of(refused, every, clusters, "no call was made")
    for tool in sorted(str(name) for name in calls["tool"][ran].unique().tolist()):
        of_tool = (calls["tool"] == tool).to_numpy() & ran
        counts = np.bincount(calls["row"].to_numpy()[of_tool], minlength=len(run.samples))[rows.index.to_numpy()]
        yield ("tool_rate", tool, ""), share_of(counts > 0, codes_of(rows))
        yield ("calls_mean", tool, ""), mean_of(counts.astype(float), codes_of(rows))
        yield ("error_rate", tool, ""), ratio_of(failed, of_tool, clusters, "no call ran")
