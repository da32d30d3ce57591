"""Published figures as rows of a leaderboard: one per model, each of its sources kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from evalkit.analysis.board import Board
from evalkit.baselines import Published, Source
from evalkit.reporting.page.bars import Axis, published_bar
from evalkit.reporting.page.columns import Cell
from evalkit.reporting.words import MISSING


class PublishedFigure(NamedTuple):
    """One figure of one source, in words."""

    what: str
    value: str
    source: str
    regime: str
    note: str


class PublishedRow(NamedTuple):
    """One model: its cells by column, and every figure with its source."""

    model: str
    kind: str
    cells: dict[str, Cell]
    figures: list[PublishedFigure]


KINDS = {"base": "base model, no tools", "agent": "agent with tools", "reasoner": "text-only reasoner"}


def published_rows(board: Board, axis: Axis, sources: Mapping[str, Source]) -> list[PublishedRow]:
    """The models with published figures on a benchmark, the most accurate first."""
    models: dict[str, list[Published]] = {}
    for figure in board.published:
        models.setdefault(figure.model, []).append(figure)
    found = []
    for model, figures in models.items():
        accuracy, tools = (_values(board, figures, metric) for metric in ("accuracy", "tool_rate"))
        bar = published_bar([value / 100 for value in accuracy], axis)
        cells = {"accuracy": _cell(accuracy)._replace(bar=bar), "tools": _cell(tools)}
        words = [_figure(figure, board, sources) for figure in figures]
        found.append((max(accuracy, default=-1.0), PublishedRow(model, figures[0].kind, cells, words)))
    return [row for _, row in sorted(found, key=lambda one: -one[0])]


def best_published(board: Board) -> tuple[str, str] | None:
    """The highest published accuracy and whose it is; None where nobody publishes one."""
    figures = [one for one in board.published if one.task == board.task and one.metric == "accuracy"]
    if not figures:
        return None
    best = max(figures, key=lambda one: one.value)
    return f"{best.value:.1f}", best.model


def _values(board: Board, figures: list[Published], metric: str) -> list[float]:
    """Different values of the benchmark itself, in percent, the least first."""
    mine = {one.value for one in figures if one.metric == metric and one.task == board.task and one.unit == "%"}
    return sorted(mine)


def _cell(values: list[float]) -> Cell:
    if not values:
        return Cell()
    if len(values) == 1:
        return Cell(f"{values[0]:.1f}", values[0] / 100, "", "published; without an interval or a per-sample record")
    text = f"{values[0]:.1f} – {values[-1]:.1f}"
    return Cell(text, values[-1] / 100, "sources differ", f"{len(values)} published values; none is averaged")


def _figure(figure: Published, board: Board, sources: Mapping[str, Source]) -> PublishedFigure:
    what = figure.metric.replace("_", " ").replace(".", ": ")
    named = [sources[name] if name in sources else Source(name, "", "") for name in figure.sources]
    return PublishedFigure(
        what if figure.task == board.task else f"{what} on {figure.task}",
        f"{figure.value:.1f} %" if figure.unit == "%" else f"{figure.value:g} {figure.unit}",
        "; ".join(f"{one.title} ({one.where} at {one.at})" if one.where else one.title for one in named) or MISSING,
        figure.regime,
        "; ".join(text for text in (figure.variant, figure.note) if text),
    )
