"""All that a report knows of one run, for whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from evalkit.analysis.board import Entry, Mark
from evalkit.records import Rule
from evalkit.reporting.page.values import percent, whole_number, whole_share
from evalkit.task import Metric


class About(NamedTuple):
    """One run in words.

    Attributes:
        facts: name and value.
        marks: what to know before trusting it.
        figures: name and sentence.
        categories: name, rows, accuracy, tool rate; none where there is but one.
        own: the benchmark's own figures: name, value, rows.
        own_why: why there are none.
        errors: the commonest, with their counts.
        notes: on the comparison with and without tools.
    """

    facts: list[tuple[str, str]]
    marks: tuple[Mark, ...]
    figures: list[tuple[str, str]]
    categories: list[tuple[str, str, str, str]]
    own: list[tuple[str, str, str]]
    own_why: str
    errors: list[tuple[str, int]]
    notes: tuple[str, ...]


def about(entry: Entry, rule: Rule) -> About:
    """A run's facts and every figure with its rows, interval and method."""
    facts = [
        ("run", entry.run),
        ("folder", entry.folder),
        ("model", entry.model),
        ("engine", entry.engine),
        ("begun", entry.created),
        ("rows", f"{entry.done:,} of {entry.expected:,}{', still going on or cut off' if entry.live else ''}"),
        ("rule", str(rule)),
    ]
    categories = entry.categories if len(entry.categories) > 1 else {}
    return About(
        facts=facts,
        marks=entry.marks,
        figures=list(_figures(entry, rule)),
        categories=[
            (
                name,
                f"{figure.n:,}",
                percent(figure.value),
                percent(entry.category_tool_rates[name].value) if name in entry.category_tool_rates else "",
            )
            for name, figure in categories.items()
        ],
        own=[_own(metric) for metric in entry.own],
        own_why=entry.own_why,
        errors=list(entry.errors.items()),
        notes=entry.need_notes,
    )


def _figures(entry: Entry, rule: Rule) -> Iterator[tuple[str, str]]:
    yield "accuracy, of scored rows", whole_share(entry.accuracy)
    yield "accuracy, of all rows", whole_share(entry.accuracy_expected)
    if entry.other_rule is not None:
        other = Rule.OFFICIAL if rule is Rule.STRICT else Rule.STRICT
        yield f"accuracy, {other} rule", whole_share(entry.other_rule)
    yield "tool rate", whole_share(entry.tool_rate)
    yield "tool rate, call succeeded", whole_share(entry.tool_rate_ok)
    yield "calls per row", whole_number(entry.calls)
    if entry.redundant is not None:
        yield "redundant of called, corrected for chance", whole_share(entry.redundant.corrected)
        yield "redundant of called, as counted", whole_share(entry.redundant.raw)
    yield "efficiency, mean 1/(T+1) when right", whole_number(entry.efficiency)
    yield "latency as run, p50", whole_number(entry.p50, "s")
    yield "latency as run, p95", whole_number(entry.p95, "s")
    yield "latency alone, p50", whole_number(entry.isolated_p50, "s")
    yield "latency alone, p95", whole_number(entry.isolated_p95, "s")
    yield "prompt tokens per row", whole_number(entry.tokens_in)
    yield "generated tokens per row", whole_number(entry.tokens_out)
    yield "image tokens per row", whole_number(entry.tokens_image)
    if entry.cost is not None:
        yield "cost per row", whole_number(entry.cost)


def _own(metric: Metric) -> tuple[str, str, str]:
    if metric.value is None:
        value = "not available"
    else:
        value = f"{percent(metric.value)} %" if metric.unit == "share" else f"{metric.value:g}"
    return metric.name, f"{value} ({metric.note})" if metric.note else value, f"{metric.n:,}"
