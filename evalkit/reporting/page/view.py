"""A report's boards as the template reads them: words, cells and places, nothing left to compute."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evalkit.analysis.board import Board, Boards, Entry, Headline, Mark
from evalkit.analysis.row_index import RowIndex
from evalkit.baselines import Source
from evalkit.reporting.charts.chart import Chart
from evalkit.reporting.page.about import About, about
from evalkit.reporting.page.bars import Axis, axis_of
from evalkit.reporting.page.columns import ALWAYS, COLUMNS, MISSING_WHY, Cell, Column
from evalkit.reporting.page.differences import Differences, differences
from evalkit.reporting.page.overview import Overview, overview
from evalkit.reporting.page.published import KINDS, PublishedFigure, published_rows
from evalkit.reporting.words import MISSING

_LABELS = {"best": "Accuracy", "tools": "Tool use", "caution": "Caution"}


class Line(NamedTuple):
    """A headline with what it is about; its pieces say whether they name a run that it is about."""

    kind: str
    label: str
    pieces: list[tuple[str, bool]]


class Measured(NamedTuple):
    """One run.

    Attributes:
        id: of its card.
        number: its place among all runs; None where it has no index of rows.
        run: its name.
        model: as it names it.
        alone: whether no other run of the board has this model.
        live: whether it still goes on or was cut off.
        progress: how far it is.
        serious: whether a mark says not to rely on it.
        marks: for its row; what is not serious is short.
        cells: by column.
        about: the rest.
    """

    id: str
    number: int | None
    run: str
    model: str
    alone: bool
    live: bool
    progress: str
    serious: bool
    marks: list[Mark]
    cells: dict[str, Cell]
    about: About


class Quoted(NamedTuple):
    """One published model."""

    id: str
    model: str
    kind: str
    cells: dict[str, Cell]
    figures: list[PublishedFigure]


class Picture(NamedTuple):
    """A chart with its figures as a table."""

    name: str
    title: str
    caption: str
    svg: str
    names: list[str]
    rows: list[list[str]]


class BoardView(NamedTuple):
    """One benchmark; `id` is its place in the page, `name` begins its keys in a link."""

    id: str
    name: str
    title: str
    counts: str
    headlines: list[Line]
    differences: Differences
    axis: Axis
    columns: list[Column]
    rows: list[Measured]
    published: list[Quoted]
    marked: bool
    left_out: list[str]
    charts: list[Picture]


class View(NamedTuple):
    """The whole page."""

    boards: list[BoardView]
    overview: Overview
    headlines: bool


def view_of(
    boards: Boards,
    indexes: Sequence[RowIndex],
    charts: Mapping[str, Sequence[Chart]],
    sources: Mapping[str, Source],
) -> View:
    """The page of these boards.

    Args:
        boards: to show.
        indexes: of all runs, in the order of the boards' entries.
        charts: by benchmark.
        sources: of published figures, by key.
    """
    numbers = {(index.task, index.run): number for number, index in enumerate(indexes)}
    names = _names(board.task for board in boards.boards)
    views = [
        _board(board, name, numbers, charts.get(board.task, ()), sources)
        for board, name in zip(boards.boards, names, strict=True)
    ]
    return View(views, overview(boards, [one.axis for one in views]), any(one.headlines for one in views))


def _names(tasks: Iterable[str]) -> list[str]:
    """Short names that can stand in an id and a link, no two the same."""
    found: list[str] = []
    for task in tasks:
        short = re.sub(r"[^a-z0-9_]+", "-", task.lower()).strip("-")[:40] or "board"
        name, number = short, 2
        while name in found:
            name, number = f"{short}-{number}", number + 1
        found.append(name)
    return found


def _board(
    board: Board,
    name: str,
    numbers: Mapping[tuple[str, str], int],
    charts: Iterable[Chart],
    sources: Mapping[str, Source],
) -> BoardView:
    axis = axis_of(board)
    cells = [{column.key: column.cell(entry, axis) for column in COLUMNS} for entry in board.entries]
    filled = {key for row in cells for key, cell in row.items() if cell.text not in ("", MISSING)} | ALWAYS
    published = published_rows(board, axis, sources)
    return BoardView(
        id=f"b-{name}",
        name=name,
        title=board.title,
        counts=_counts(board, len(published)),
        headlines=[_line(headline, board.entries) for headline in board.headlines],
        differences=differences(board),
        axis=axis,
        columns=[column for column in COLUMNS if column.key in filled],
        rows=[
            _measured(f"b-{name}-run-{place}", entry, board, row, numbers.get((board.task, entry.run)))
            for place, (entry, row) in enumerate(zip(board.entries, cells, strict=True))
        ],
        published=[
            Quoted(f"b-{name}-published-{place}", row.model, KINDS.get(row.kind, row.kind), row.cells, row.figures)
            for place, row in enumerate(published)
        ],
        marked=bool(published) or any(entry.marks for entry in board.entries),
        left_out=[why for key, why in MISSING_WHY.items() if key not in filled and why],
        charts=[_picture(chart) for chart in charts],
    )


def _measured(id: str, entry: Entry, board: Board, cells: dict[str, Cell], number: int | None) -> Measured:
    return Measured(
        id=id,
        number=number,
        run=entry.run,
        model=entry.model,
        alone=sum(other.model == entry.model for other in board.entries) == 1,
        live=entry.live,
        progress=f"{entry.done:,} of {entry.expected:,} rows so far",
        serious=any(mark.serious for mark in entry.marks),
        marks=_marks(entry),
        cells=cells,
        about=about(entry, board.rule),
    )


def _marks(entry: Entry) -> list[Mark]:
    """The serious ones, then the named ones, then how many remarks there are."""
    named = [mark for mark in entry.marks if mark.serious]
    named += [mark for mark in entry.marks if not mark.serious and mark.kind != "other"]
    remarks = [mark.text for mark in entry.marks if not mark.serious and mark.kind == "other"]
    if not remarks:
        return named
    words = "1 remark" if len(remarks) == 1 else f"{len(remarks)} remarks"
    return [*named, Mark(kind=words, text=" ".join(f"{text.rstrip('.')}." for text in remarks))]


def _line(headline: Headline, entries: Iterable[Entry]) -> Line:
    known = {*headline.runs, *(entry.model for entry in entries if entry.run in headline.runs)} - {""}
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    # whole names alone: a run may be called "err", or as another one begins
    parts = re.split(rf"(?<![\w.-])({names})(?!\.?[\w-])", headline.text) if names else [headline.text]
    pieces = [(part, place % 2 == 1) for place, part in enumerate(parts) if part]
    return Line(headline.kind, _LABELS.get(headline.kind, headline.kind), pieces)


def _counts(board: Board, published: int) -> str:
    runs = len(board.entries)
    rows = sorted({entry.expected for entry in board.entries})
    parts = [f"{runs} measured run{'s' if runs != 1 else ''}"]
    if published:
        parts.append(f"{published} model{'s' if published != 1 else ''} with published figures")
    if rows:
        span = f"{rows[0]:,}" if len(rows) == 1 else f"{rows[0]:,} to {rows[-1]:,}"
        parts.append(f"{span} row{'s' if rows[-1] != 1 else ''} each")
    return f"{', '.join(parts)}; answers read by the {board.rule} rule."


def _picture(chart: Chart) -> Picture:
    names = list(chart.data[0]) if chart.data else []
    rows = [[_value(row.get(name)) for name in names] for row in chart.data]
    return Picture(chart.name, chart.title, chart.caption, chart.svg, names, rows)


def _value(value: str | int | float | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
