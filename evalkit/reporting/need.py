"""Whether a run needed its tools, as rows of text for a terminal or a Markdown table."""

from __future__ import annotations

from typing import NamedTuple

from evalkit.analysis.counterfactual import Arbitration, Cells, Counterfactual
from evalkit.analysis.figure import Figure
from evalkit.analysis.need import Corrected, NeedFigures
from evalkit.analysis.need_notes import NEED_NAMES, need_notes
from evalkit.reporting.rows import NONE

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
    rows = [_need(name, getattr(first, key)) for key, name in NEED_NAMES.items()]
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
