"""Whether a run needed its tools, as rows of text for a terminal or a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from evalkit.analysis.counterfactual import Arbitration, Cells, Counterfactual
from evalkit.analysis.figure import Figure
from evalkit.analysis.need import Corrected, NeedFigures

NONE = "not available"
_NAMES = {
    "redundant_rate": "redundant of called pairs",
    "redundant_share": "redundant of all pairs",
    "need": "need (wrong without)",
    "precision": "precision of calling",
    "recall": "recall of calling",
    "f1": "F1 of calling",
}
_AMONG_ALL = ("redundant_rate", "need", "recall")


class CellRow(NamedTuple):
    """One line of the table of called and not called against right and wrong without tools."""

    name: str
    right_without: str
    wrong_without: str
    all: str


class NeedRow(NamedTuple):
    """One figure with its interval, as counted and corrected for chance; `n` is the raw one's denominator."""

    name: str
    raw: str
    corrected: str
    n: str


class CategoryRow(NamedTuple):
    """One category in a line: the rate of redundant calls as counted, and corrected with its interval."""

    name: str
    pairs: str
    called: str
    redundant: str
    corrected: str
    difference: str


class NeedTables(NamedTuple):
    """All that is said of a run's arms."""

    cells: list[CellRow]
    rows: list[NeedRow]
    categories: list[CategoryRow]
    notes: list[str]


def need_tables(found: Counterfactual | None) -> NeedTables | None:
    """Every table and note; None where there is one arm."""
    if found is None:
        return None
    return NeedTables(cell_rows(found.overall), need_rows(found), category_rows(found), need_notes(found))


def cell_rows(table: Arbitration) -> list[CellRow]:
    """The eight cells with their sums, the field's names beside them."""
    called, silent = table.called, table.abstained
    missed = table.shares["missed"].count
    rest = silent.lost if missed is None else f"{silent.lost} (missed {missed})"
    return [
        CellRow("called", f"{called.right_without} redundant", f"{called.gain + called.lost} needed", str(called.n)),
        CellRow("right with tools", str(called.kept), f"{called.gain} gain", str(called.right_with)),
        CellRow("wrong with tools", f"{called.harm} harm", f"{called.lost} futile", str(called.harm + called.lost)),
        CellRow("did not call", str(silent.right_without), str(silent.gain + silent.lost), str(silent.n)),
        CellRow("right with tools", str(silent.kept), f"{silent.gain} gain", f"{silent.right_with} abstained well"),
        CellRow("wrong with tools", f"{silent.harm} harm", f"{rest}", str(silent.harm + silent.lost)),
        CellRow("all", *_sums(called, silent)),
    ]


def need_rows(found: Counterfactual) -> list[NeedRow]:
    """The need figures, gain minus harm, and what was missed: raw and corrected for chance."""
    table = found.overall
    first, *more = table.need
    rows = [_need(name, getattr(first, key)) for key, name in _NAMES.items()]
    for figures in more:
        rows += _over_draws(figures)
    rows.append(
        NeedRow(
            "with tools - without",
            _text(table.difference.raw, signed=True),
            _text(table.difference.corrected, signed=True),
            str(table.difference.raw.n),
        )
    )
    if table.missed_rate.raw.n:
        rows.append(_need("missed of those forced", table.missed_rate))
    return rows


def category_rows(found: Counterfactual) -> list[CategoryRow]:
    """A line per category; none where there is but one."""
    return [
        CategoryRow(
            name,
            str(table.pairs),
            f"{table.called.n / table.pairs:.1%}",
            _value(table.need[0].redundant_rate.raw),
            _text(table.need[0].redundant_rate.corrected),
            _value(table.difference.raw, signed=True),
        )
        for name, table in found.by_category.items()
    ]


def need_notes(found: Counterfactual) -> list[str]:
    """What a reader must know beside the tables: the correction, what is left out, what is not available and why."""
    table = found.overall
    p_value = table.difference.p_value
    notes = [f"correction for chance: {table.need[0].correction}" if table.pairs else "there is no pair"]
    if p_value is not None:
        shown = "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"
        notes.append(f"with tools against without: {shown} ({table.difference.test})")
    notes += [f"left out: {count} x {why}" for why, count in found.left_out.items()]
    if found.asked_anyway:
        notes.append(f"{found.asked_anyway} still asked for a tool when they had none; such a call is not run")
    if found.not_forced:
        notes.append(f"{found.not_forced} did not call when forced to, and say nothing of what a call would do")
    if found.incomplete:
        notes.append(f"{found.incomplete} lack some of the draws without tools: not in the figures over all of them")
    return [*notes, *_reasons(found)]


def _need(name: str, both: Corrected) -> NeedRow:
    return NeedRow(name, _text(both.raw), _text(both.corrected), str(both.raw.n))


def _over_draws(figures: NeedFigures) -> list[NeedRow]:
    names = {"redundant_rate": "redundant", "need": "need", "recall": "recall"}
    return [_need(f"{names[key]}, by {figures.counting}", getattr(figures, key)) for key in _AMONG_ALL]


def _sums(called: Cells, silent: Cells) -> tuple[str, str, str]:
    return (
        str(called.right_without + silent.right_without),
        str(called.gain + called.lost + silent.gain + silent.lost),
        str(called.n + silent.n),
    )


def _value(figure: Figure, *, signed: bool = False) -> str:
    return NONE if figure.value is None else f"{figure.value:{'+' if signed else ''}.1%}"


def _text(figure: Figure, *, signed: bool = False) -> str:
    value, sign = _value(figure, signed=signed), "+" if signed else ""
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{100 * figure.low:{sign}.1f}, {100 * figure.high:{sign}.1f}]"


def _reasons(found: Counterfactual) -> Iterator[str]:
    """Why figures are not available, each reason once."""
    table = found.overall
    named = [("missed", table.shares["missed"]), ("with tools - without", table.difference.raw)]
    for i, figures in enumerate(table.need):
        named += _named(figures, f"by {figures.counting}" if i else "")
    names: dict[tuple[str, str], list[str]] = {}
    for name, figure in named:
        if figure.why:
            what = NONE if figure.value is None else f"its interval is {NONE}"
            names.setdefault((what, figure.why), []).append(name)
    for (what, why), which in names.items():
        yield f"{', '.join(dict.fromkeys(which))}: {what}, because {why}"


def _named(figures: NeedFigures, counting: str) -> list[tuple[str, Figure]]:
    """The figures of one way of counting that may lack something; as one where all lack the same."""
    every: list[Corrected] = [getattr(figures, key) for key in _NAMES]
    shown = [(both.raw, "") if both.raw.why else (both.corrected, " (corrected)") for both in every]
    alike = {(figure.value is None, figure.why, what) for figure, what in shown}
    if counting and len(alike) == 1:
        return [(f"all {counting}{shown[0][1]}", shown[0][0])]
    by = f", {counting}" if counting else ""
    return [(f"{name}{by}{what}", figure) for name, (figure, what) in zip(_NAMES.values(), shown, strict=True)]
