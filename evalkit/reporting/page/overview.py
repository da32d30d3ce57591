"""All models on all benchmarks in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalkit.analysis.board import Board, Boards, Entry
from evalkit.reporting.page.bars import Axis, IntervalBar, interval_bar
from evalkit.reporting.page.published import best_published
from evalkit.reporting.page.values import interval, percent, whole_share


class Score(NamedTuple):
    """One run in a cell.

    Attributes:
        run: its name.
        value: accuracy in percent.
        interval: of it.
        bar: the same, drawn.
        tools: how often it calls, in words.
        waste: how many of the rows that called did not need to, in words; empty where nobody measured it.
        wasteful: whether the benchmark's headline says that it wastes its tools.
        first: whether no run of the benchmark that can be relied on is more accurate.
        serious: whether it carries a mark that says not to rely on it.
        title: the whole of it, for a pointer.
    """

    run: str
    value: str
    interval: str
    bar: IntervalBar | None
    tools: str
    waste: str
    wasteful: bool
    first: bool
    serious: bool
    title: str


class Published(NamedTuple):
    """The highest published accuracy on one benchmark, and whose it is."""

    value: str
    model: str


class Overview(NamedTuple):
    """Models against benchmarks.

    Attributes:
        boards: the benchmarks, one a column.
        rows: each model with its runs on each benchmark.
        published: the highest published figure of each benchmark.
    """

    boards: tuple[Board, ...]
    rows: list[tuple[str, list[list[Score]]]]
    published: list[Published | None]


def overview(boards: Boards, axes: Sequence[Axis]) -> Overview:
    """The table; models in the order of their best places."""
    places: dict[str, tuple[int, int]] = {}
    for number, board in enumerate(boards.boards):
        for place, entry in enumerate(board.entries):
            places[entry.model] = min(places.get(entry.model, (place, number)), (place, number))
    rows = [
        (
            model,
            [
                [_score(entry, board, axis) for entry in board.entries if entry.model == model]
                for board, axis in zip(boards.boards, axes, strict=True)
            ],
        )
        for model in sorted(places, key=lambda model: places[model])
    ]
    best = [best_published(board) for board in boards.boards]
    return Overview(boards.boards, rows, [None if one is None else Published(*one) for one in best])


def _score(entry: Entry, board: Board, axis: Axis) -> Score:
    sound = [other for other in board.entries if other.accuracy.value is not None and not _serious(other)]
    value = entry.accuracy.value
    return Score(
        run=entry.run,
        value=percent(value),
        interval=interval(entry.accuracy),
        bar=interval_bar(entry.accuracy, axis),
        tools=_tools(entry),
        waste=(waste := _waste(entry)),
        wasteful=bool(waste) and any(one.kind == "tools" and one.runs[:1] == (entry.run,) for one in board.headlines),
        first=len(board.entries) > 1 and entry in sound and value == max(one.accuracy.value or 0.0 for one in sound),
        serious=_serious(entry),
        title=f"accuracy: {whole_share(entry.accuracy)}",
    )


def _serious(entry: Entry) -> bool:
    return any(mark.serious for mark in entry.marks)


def _tools(entry: Entry) -> str:
    rate = entry.tool_rate.value
    return "tool use not known" if rate is None else f"tools on {100 * rate:.0f} %"


def _waste(entry: Entry) -> str:
    if entry.redundant is None:
        return ""
    fair, raw = entry.redundant.corrected.value, entry.redundant.raw.value
    if fair is not None:
        return f"{100 * fair:.0f} % of those needlessly"
    return "" if raw is None else f"{100 * raw:.0f} % of those needlessly (as counted)"
