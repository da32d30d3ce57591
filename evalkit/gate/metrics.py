"""What a gate can look at: the names of its metrics, their units, and which way is better."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Unit(StrEnum):
    """What a metric is counted in."""

    SHARE = "share"
    COUNT = "count"
    SECONDS = "seconds"
    MONEY = "money"


class Metric(msgspec.Struct, frozen=True):
    """One metric.

    Attributes:
        name: as rules write it.
        unit: see `Unit`.
        better: 1 where more is better, -1 where less is, 0 where neither can be said.
        about: what it is, in one line.
    """

    name: str
    unit: Unit
    better: int
    about: str


RAW = "_raw"
"""Ends the name of a need figure that is counted as it is, lucky guesses included."""

METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", Unit.SHARE, 1, "right, of the samples with a score, under the rule asked for"),
        Metric("accuracy_official", Unit.SHARE, 1, "right under the benchmark's official rule"),
        Metric("tool_rate", Unit.SHARE, -1, "samples with at least one call that ran"),
        Metric("tool_rate_ok", Unit.SHARE, 0, "samples with at least one call that succeeded"),
        Metric("calls", Unit.COUNT, -1, "calls that ran, per sample"),
        Metric("redundant_rate", Unit.SHARE, -1, "called and right without tools, of those that called; guesses out"),
        Metric("redundant_rate_raw", Unit.SHARE, -1, "the same, lucky guesses included"),
        Metric("need_precision", Unit.SHARE, 1, "called and in need, of those that called; guesses out"),
        Metric("need_precision_raw", Unit.SHARE, 1, "the same, lucky guesses included"),
        Metric("need_recall", Unit.SHARE, 1, "called and in need, of those in need; guesses out"),
        Metric("need_recall_raw", Unit.SHARE, 1, "the same, lucky guesses included"),
        Metric("efficiency", Unit.SHARE, 1, "mean of 1 / (calls + 1) over the right samples"),
        Metric("tokens_in", Unit.COUNT, -1, "prompt tokens over all turns, per sample"),
        Metric("tokens_out", Unit.COUNT, -1, "generated tokens over all turns, per sample"),
        Metric("cost", Unit.MONEY, -1, "price of a sample's tokens, both runs at the new run's prices"),
        Metric("latency_p50", Unit.SECONDS, -1, "median seconds per sample: run alone where both runs have that"),
        Metric("latency_p95", Unit.SECONDS, -1, "95th percentile of the same"),
        Metric("unparsed", Unit.SHARE, -1, "samples without an answer that the rule can read"),
        Metric("errors", Unit.SHARE, -1, "rows that failed or are missing, of those the run was to have"),
    )
}
