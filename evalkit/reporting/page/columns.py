"""A leaderboard's columns and what a measured run has in each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from evalkit.analysis.board import Entry
from evalkit.analysis.figure import Figure
from evalkit.records import Verdict
from evalkit.reporting.page.bars import Axis, IntervalBar, OutcomeBar, interval_bar, outcome_bar
from evalkit.reporting.page.values import interval, percent, whole_number, whole_share
from evalkit.reporting.words import MISSING, number_text


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: what stands in it.
        sort: what it is sorted by; None comes last.
        below: a second line, smaller.
        title: the whole of it, for a pointer.
        bar: drawn beside the text.
        outcomes: drawn in place of a text.
        alarm: whether the second line is in red.
    """

    text: str = ""
    sort: float | None = None
    below: str = ""
    title: str = ""
    bar: IntervalBar | None = None
    outcomes: OutcomeBar | None = None
    alarm: bool = False


class Column(NamedTuple):
    """One column.

    Attributes:
        key: its name in a link.
        heading: at its top; `unit` stands below.
        help: what it is, in a sentence.
        cell: what a run has in it.
        rising: whether the least comes first when it is sorted.
    """

    key: str
    heading: str
    unit: str
    help: str
    cell: Callable[[Entry, Axis], Cell]
    rising: bool = False


def _accuracy(entry: Entry, axis: Axis) -> Cell:
    found = entry.accuracy
    return Cell(
        percent(found.value), _known(found.value), interval(found), whole_share(found), interval_bar(found, axis)
    )


def _all_rows(entry: Entry, _: Axis) -> Cell:
    return _share(entry.accuracy_expected)


def _other_rule(entry: Entry, _: Axis) -> Cell:
    return Cell() if entry.other_rule is None else _share(entry.other_rule)


def _tool_rate(entry: Entry, _: Axis) -> Cell:
    return _share(entry.tool_rate)


def _redundant(entry: Entry, _: Axis) -> Cell:
    if entry.redundant is None:
        why = "its samples were not run without tools as well (evalkit run --counterfactual)"
        return Cell(MISSING, None, "", f"not measured: {why}")
    raw, fair = entry.redundant.raw, entry.redundant.corrected
    title = f"corrected for chance: {whole_share(fair)}. As counted: {whole_share(raw)}"
    if fair.value is None:
        return Cell(percent(raw.value), _known(raw.value), "as counted", title)
    return Cell(percent(fair.value), _known(fair.value), interval(fair), title)


def _calls(entry: Entry, _: Axis) -> Cell:
    return _number(entry.calls)


def _loaded(entry: Entry, _: Axis) -> Cell:
    return _two(entry.p50, entry.p95, "p50", "p95", "s")


def _isolated(entry: Entry, _: Axis) -> Cell:
    return _two(entry.isolated_p50, entry.isolated_p95, "p50", "p95", "s")


def _tokens(entry: Entry, _: Axis) -> Cell:
    cell = _two(entry.tokens_out, entry.tokens_in, "generated", "prompt", "tokens")
    image = entry.tokens_image
    return cell if image.value is None else cell._replace(title=f"{cell.title}; image: {whole_number(image)}")


def _cost(entry: Entry, _: Axis) -> Cell:
    return Cell(MISSING, None, "", "no prices were given") if entry.cost is None else _number(entry.cost)


def _outcomes(entry: Entry, _: Axis) -> Cell:
    bar = outcome_bar(entry)
    errors = sum(number for verdict, number in entry.outcomes.items() if Verdict(verdict).is_error)
    below = f"{errors:,} error{'s' if errors != 1 else ''}" if errors else ""
    return Cell("", float(errors), below, bar.words, outcomes=bar, alarm=bool(errors))


COLUMNS = (
    Column("accuracy", "Accuracy", "%", "Right rows of the scored ones, with the 95 % interval.", _accuracy),
    Column("all", "Of all", "%", "Right rows of all expected ones: what failed or is missing counts.", _all_rows),
    Column("other", "Other rule", "%", "Accuracy under the benchmark's other reading of answers.", _other_rule),
    Column("tools", "Tool rate", "% of rows", "Rows with at least one call that ran.", _tool_rate),
    Column(
        "redundant",
        "Redundant",
        "% of called",
        "Called a tool though it is right without, of the rows that called; corrected for lucky guesses.",
        _redundant,
        True,
    ),
    Column("calls", "Calls", "per row", "Calls that ran, mean.", _calls, True),
    Column("loaded", "p50 / p95", "s, loaded", "Seconds per sample as run, others in flight.", _loaded, True),
    Column("isolated", "p50 / p95", "s, alone", "Seconds per sample, run one at a time.", _isolated, True),
    Column("tokens", "Tokens", "out / in", "Generated and prompt tokens over all turns, mean.", _tokens, True),
    Column("cost", "Cost", "per row", "In the currency of the prices given.", _cost, True),
    Column("outcomes", "Outcomes", "", "All rows: right, wrong, without an answer, errors.", _outcomes, True),
)

ALWAYS = frozenset({"accuracy", "all", "tools", "redundant", "outcomes"})
"""Columns that stay even where no run fills them."""

MISSING_WHY = {
    "other": "",
    "calls": "calls: only last responses are known",
    "loaded": "latency as run: nobody measured it",
    "isolated": "latency alone: no run was timed one sample at a time (evalkit run --isolated-latency)",
    "tokens": "tokens: no run recorded them",
    "cost": "cost: no prices were given (evalkit run --price-in, --price-out)",
}
"""Why a column that no run fills is left out."""


def _share(figure: Figure) -> Cell:
    return Cell(percent(figure.value), _known(figure.value), interval(figure), whole_share(figure))


def _number(figure: Figure) -> Cell:
    return Cell(number_text(figure), _known(figure.value), "", whole_number(figure))


def _two(first: Figure, second: Figure, one: str, other: str, unit: str) -> Cell:
    title = f"{one}: {whole_number(first, unit)}; {other}: {whole_number(second, unit)}"
    if first.value is None and second.value is None:
        return Cell(MISSING, None, "", title)
    return Cell(number_text(first), _known(first.value), number_text(second), title)


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
