"""Legends: keys side by side in as many lines as they need, above what they explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from evalkit.reporting.charts.drawing import Box, Drawing
from evalkit.reporting.charts.names import short, text_width
from evalkit.reporting.charts.style import WIDTH, Style

LINE = 18.0
"""Height of a line of keys, in pixels."""
_SIGN, _GAP, _LONGEST = 22.0, 16.0, 240.0


class Key(NamedTuple):
    """One line of a legend.

    Attributes:
        text: what it stands for.
        look: colour and mark.
        kind: what is drawn: a filled box, a mark, a hollow mark, or a line with the mark on it.
        hatch: of the box.
        alpha: of the box.
    """

    text: str
    look: Style
    kind: Literal["box", "mark", "hollow", "line"] = "mark"
    hatch: str = ""
    alpha: float | None = None


def legend_height(keys: Sequence[Key]) -> float:
    """Pixels that the legend takes."""
    return LINE * (max((line for line, _, _ in _flow(keys)), default=-1) + 1)


def draw_legend(drawing: Drawing, keys: Sequence[Key], top: float) -> None:
    """The keys from `top` downward."""
    page = drawing.page
    for (line, x, text), key in zip(_flow(keys), keys, strict=True):
        y = top + LINE * (line + 0.5)
        if key.kind == "box":
            box = Box(x, y - 5, x + 16, y + 5)
            edge = key.look.colour if key.alpha is not None else None
            drawing.boxes(page, [box], key.look.colour, hatch=key.hatch, alpha=key.alpha, edge=edge)
        else:
            if key.kind == "line":
                drawing.lines(page, [[(x, y), (x + 18, y)]], key.look.colour, width=1.6, dash=key.look.line)
            if key.look.mark:
                drawing.marks(page, [(x + 9, y)], key.look, size=7.0, hollow=key.kind == "hollow")
        drawing.text(page, x + _SIGN, y, text)


def _flow(keys: Sequence[Key]) -> list[tuple[int, float, str]]:
    """Line, left end and shown text of each key."""
    placed = []
    line, x = 0, 0.0
    for key in keys:
        text = short(key.text, _LONGEST)
        width = _SIGN + text_width(text) + _GAP
        if x and x + width > WIDTH:
            line, x = line + 1, 0.0
        placed.append((line, x, text))
        x += width
    return placed
