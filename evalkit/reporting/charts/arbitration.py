"""When it called, and what came of it: a mosaic a run, whose areas are shares of the pairs with and without tools."""

from __future__ import annotations

from typing import Literal, NamedTuple

from evalkit.analysis.board import Board
from evalkit.analysis.counterfactual import Arbitration, Cells
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawing import Box, Drawing
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.legend import Key, draw_legend, legend_height
from evalkit.reporting.charts.names import short, text_width
from evalkit.reporting.charts.runs import Run, Runs
from evalkit.reporting.charts.style import WIDTH, Style
from evalkit.reporting.charts.words import sentences

_GAP, _HEAD, _FOOT = 24.0, 22.0, 22.0
_HIGH = 150.0
_SEAM = 3.0


class _Kind(NamedTuple):
    """A cell of the table: what it is called, and its colour.

    Attributes:
        side: field of the arbitration: whether a tool was called.
        cell: field of the side: right with tools, and without.
        name: in the mosaic.
        words: in the legend; empty where another cell's do.
    """

    side: str
    cell: str
    name: str
    tone: str
    words: str = ""


KINDS = (
    _Kind("called", "kept", "redundant", "warn", "redundant: called, right without too"),
    _Kind("called", "gain", "gain", "good", "gain: right only with tools"),
    _Kind("called", "harm", "harm", "bad", "harm: right only without"),
    _Kind("called", "lost", "futile", "c7", "futile, wrong: wrong either way"),
    _Kind("abstained", "kept", "right", "accent", "right: no call, none needed"),
    _Kind("abstained", "gain", "gain", "good"),
    _Kind("abstained", "harm", "harm", "bad"),
    _Kind("abstained", "lost", "wrong", "c7"),
)
TINT = 0.35
_KEYS = [Key(kind.words, Style(kind.tone, "", "-"), "box", alpha=TINT) for kind in KINDS if kind.words]
_SIDES: tuple[tuple[str, str, Literal["left", "right"]], ...] = (
    ("called", "called", "left"),
    ("abstained", "no call", "right"),
)


def arbitration_chart(board: Board, runs: Runs) -> Drawn | None:
    """A mosaic for each run with counterfactual arms."""
    chosen = runs.with_data(lambda entry: entry.need is not None and entry.need.pairs > 0, "an arm without tools")
    if not chosen.runs:
        return None
    columns = min(3, len(chosen.runs)) if len(chosen.runs) != 4 else 2
    rows = -(-len(chosen.runs) // columns)
    width = min(320.0, (WIDTH - _GAP * (columns - 1)) / columns)
    top = legend_height(_KEYS) + 8
    drawing = Drawing(top + rows * (_HEAD + _HIGH + _FOOT + 8))
    draw_legend(drawing, _KEYS, 0)
    for i, run in enumerate(chosen.runs):
        left = (i % columns) * (width + _GAP)
        y = top + (i // columns) * (_HEAD + _HIGH + _FOOT + 8)
        _mosaic(drawing, run, Box(left, y + _HEAD, left + width, y + _HEAD + _HIGH))
    return Drawn(
        name="arbitration",
        title="Calls, and what came of them",
        caption=sentences(
            "Left: samples on which the run called a tool; right: samples on which it did not.",
            "Areas are shares of the samples that were run with tools and without. Lucky guesses are not taken out.",
            chosen.left_out,
        ),
        alt="; ".join(_said(run) for run in chosen.runs),
        data=tuple(row for run in chosen.runs for row in _rows(run)),
        drawing=drawing,
    )


def _need(run: Run) -> Arbitration:
    assert run.entry.need is not None
    return run.entry.need


def _cells(run: Run, side: str) -> Cells:
    found = getattr(_need(run), side)
    assert isinstance(found, Cells)
    return found


def _mosaic(drawing: Drawing, run: Run, place: Box) -> None:
    need = _need(run)
    page = drawing.page
    width = place.right - place.left
    drawing.marks(page, [(place.left + 6, place.top - 11)], run.look)
    drawing.text(page, place.left + 16, place.top - 11, short(run.name, width - 16))
    left = place.left
    seam = _SEAM if need.called.n and need.abstained.n else 0.0
    for side, words, align in _SIDES:
        share = _cells(run, side).n / need.pairs
        if not share:
            continue
        right = left + (width - seam) * share
        heading = f"{words} {share:.0%}"
        if text_width(heading) <= right - left or share >= 0.5:
            drawing.text(
                page, left if align == "left" else right, place.bottom + 10, heading, tone="muted", align=align
            )
        _column(drawing, run, side, Box(left, place.top, right, place.bottom))
        left = right + seam


def _column(drawing: Drawing, run: Run, side: str, place: Box) -> None:
    cells, pairs = _cells(run, side), _need(run).pairs
    top = place.top
    for kind in KINDS:
        count = getattr(cells, kind.cell) if kind.side == side else 0
        if not count:
            continue
        box = Box(place.left, top, place.right, top + (place.bottom - place.top) * count / cells.n)
        hint = f"{run.name}, {kind.side}: {kind.name}, {count} of {pairs} ({count / pairs:.1%})"
        drawing.boxes(drawing.page, [box], kind.tone, [hint], alpha=TINT, edge="bg")
        _label(drawing, box, f"{kind.name} {count / pairs:.0%}", f"{count / pairs:.0%}")
        top = box.bottom


def _label(drawing: Drawing, box: Box, *texts: str) -> None:
    """The first text that fits into the cell."""
    room = box.right - box.left - 6
    fits = next((text for text in texts if text_width(text) <= room), None)
    if fits is not None and box.bottom - box.top >= 14:
        middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
        drawing.text(drawing.page, *middle, fits, align="center")


def _rows(run: Run) -> list[Row]:
    return [
        {
            "name": run.name,
            "run": run.entry.run,
            "side": kind.side,
            "cell": kind.cell,
            "meaning": kind.name,
            "pairs": getattr(_cells(run, kind.side), kind.cell),
            "of": _need(run).pairs,
        }
        for kind in KINDS
    ]


def _said(run: Run) -> str:
    need = _need(run)
    called = need.called
    return (
        f"{run.name}: called on {called.n} of {need.pairs} samples; of those {called.kept + called.harm} were right "
        f"without tools, {called.gain} gained, {called.harm} were harmed, {called.lost} were wrong either way"
    )
