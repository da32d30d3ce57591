"""The benchmark's own figures by name, under the rule of its board."""

from __future__ import annotations

from evalkit.analysis.board import Entry
from evalkit.records import Rule
from evalkit.task import Metric

_OFFICIAL = "official."


def own_metrics(entry: Entry, rule: Rule) -> dict[str, Metric]:
    """The figures that have a value; where the benchmark has them by rule, those of this one, without its prefix."""
    known = [metric for metric in entry.own if metric.value is not None]
    by_rule = any(metric.name.startswith(_OFFICIAL) for metric in known)
    if by_rule:
        known = [metric for metric in known if metric.name.startswith(_OFFICIAL) == (rule is Rule.OFFICIAL)]
    return {metric.name.removeprefix(_OFFICIAL): metric for metric in known}
