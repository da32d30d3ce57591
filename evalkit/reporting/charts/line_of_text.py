"""One line of text as matplotlib's artist."""

from __future__ import annotations

from typing import Literal

from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase

from evalkit.reporting.charts.names import drawable, font, text_width
from evalkit.reporting.charts.style import colour

Align = Literal["left", "center", "right"]
_SHARE = {"left": 0.0, "center": 0.5, "right": 1.0}
_RISE = 0.36
"""Of digits above their middle, in sizes."""


class LineOfText(Artist):
    """Text that is never taken for mathematics.

    Matplotlib's own `Text` lays out paragraphs at any angle, which takes longer than everything else in a chart.

    Attributes:
        text: as it should be written; what the font lacks is drawn as a replacement character.
        x: where it is aligned, in pixels from the left.
        baseline: in pixels from the top.
        size: in pixels.
        align: which part of it is at x.
    """

    def __init__(self, text: str, x: float, middle: float, *, size: float, tone: str, align: Align) -> None:
        super().__init__()
        self.text = text
        self.x = x
        self.baseline = middle + _RISE * size
        self.size = size
        self.align = align
        self._colour = colour(tone)
        self.set_zorder(3)

    def draw(self, renderer: RendererBase) -> None:
        """Draws it."""
        if not self.text:
            return
        shift = _SHARE[self.align]
        left = self.x - (shift * text_width(self.text, self.size) if shift else 0.0)
        y = self.baseline if renderer.flipy() else renderer.get_canvas_width_height()[1] - self.baseline
        gc = renderer.new_gc()
        gc.set_foreground(self._colour)
        renderer.open_group("text", self.get_gid())
        renderer.draw_text(gc, left, y, drawable(self.text), font(self.size), 0.0)
        renderer.close_group("text")
        gc.restore()
