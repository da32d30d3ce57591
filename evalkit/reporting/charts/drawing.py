"""A chart while it is drawn: matplotlib's figure, and what its SVG says besides: hints over marks, and whole names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D

from evalkit.reporting.charts.line_of_text import Align, LineOfText
from evalkit.reporting.charts.names import plain
from evalkit.reporting.charts.style import SIZE, WIDTH, Style, colour

DOTS = 72
LEVEL = 2.0
"""The same for all that is drawn: what comes later lies above."""
MARK = "mark-"
"""Starts the group id of marks that have hints; a number follows."""
TEXT = "text-"
"""Starts the group id of a line of text; a number follows."""

_LARGER = {"*": 1.4, "P": 1.15, "X": 1.15, "D": 0.85}
"""So that all marks look of one size."""

Dash = str | tuple[int, tuple[float, ...]]
Points = Sequence[tuple[float, float]]


class Box(NamedTuple):
    """A rectangle in the units of its panel, or in pixels from the top left."""

    left: float
    top: float
    right: float
    bottom: float


class Panel(NamedTuple):
    """A part of the figure with units of its own: a tenth of the time that matplotlib's axes take.

    Attributes:
        place: in pixels.
        x: units at its left and at its right end.
        y: units at its bottom and at its top.
    """

    place: Box
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        left, top, right, bottom = self.place
        across, up = (x - self.x[0]) / (self.x[1] - self.x[0]), (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * (right - left), bottom - up * (bottom - top)


class Drawing:
    """A figure of `style.WIDTH` by `height` pixels.

    Attributes:
        figure: what is drawn so far.
        height: in pixels.
        page: all of the figure, in pixels from the top left.
        hints: texts over the marks of each group; the group's id is `MARK` and its number here.
        texts: all lines of text; the group id of each is `TEXT` and its number here.
    """

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Figure(figsize=(WIDTH / DOTS, height / DOTS), dpi=DOTS)
        self.figure.patch.set_visible(False)
        self.page = Panel(Box(0.0, 0.0, WIDTH, height), (0.0, WIDTH), (height, 0.0))
        self.hints: list[tuple[str, ...]] = []
        self.texts: list[LineOfText] = []
        self._pixels = Affine2D().scale(1, -1).translate(0, height).scale(1 / DOTS) + self.figure.dpi_scale_trans

    def text(
        self,
        panel: Panel,
        x: float,
        y: float,
        text: str,
        *,
        tone: str = "fg",
        size: float = SIZE,
        align: Align = "left",
    ) -> None:
        """Text whose middle line is at y; nothing in it is taken for mathematics."""
        line = LineOfText(text, *panel.at(x, y), size=size, tone=tone, align=align)
        line.set_gid(f"{TEXT}{len(self.texts)}")
        self.texts.append(line)
        self.figure.add_artist(line)

    def boxes(
        self,
        panel: Panel,
        boxes: Sequence[Box],
        tone: str,
        hints: Sequence[str] = (),
        *,
        hatch: str = "",
        alpha: float | None = None,
        edge: str | None = None,
    ) -> None:
        """Filled rectangles of one look, with a hint over each."""
        corners = [((b.left, b.bottom), (b.right, b.bottom), (b.right, b.top), (b.left, b.top)) for b in boxes]
        self.areas(panel, corners, tone, hints, hatch=hatch, alpha=alpha, edge=edge)

    def areas(
        self,
        panel: Panel,
        corners: Sequence[Points],
        tone: str,
        hints: Sequence[str] = (),
        *,
        hatch: str = "",
        alpha: float | None = None,
        edge: str | None = None,
    ) -> None:
        """Filled polygons of one look, with a hint over each."""
        if not corners:
            return
        patches = PolyCollection(
            [[panel.at(x, y) for x, y in points] for points in corners],
            transform=self._pixels,
            facecolors=colour(tone),
            alpha=alpha,
            hatch=hatch or None,
            # two of the same keep matplotlib from writing a single area as a marker, in twice the bytes
            antialiaseds=[True, True],
            zorder=LEVEL,
            gid=self._marked(hints),
        )
        if edge is not None:
            patches.set_edgecolor(colour(edge))
            patches.set_linewidth(1.0)
        self.figure.add_artist(patches)

    def lines(
        self,
        panel: Panel,
        lines: Sequence[Points],
        tone: str,
        *,
        width: float = 1.0,
        dash: Dash = "-",
        alpha: float | None = None,
    ) -> None:
        """Lines of one look, each through its points."""
        if not lines:
            return
        self.figure.add_artist(
            LineCollection(
                [[panel.at(x, y) for x, y in line] for line in lines],
                transform=self._pixels,
                colors=colour(tone),
                linewidths=width,
                linestyles=[dash],
                alpha=alpha,
                zorder=LEVEL,
            )
        )

    def marks(
        self,
        panel: Panel,
        points: Points,
        look: Style,
        hints: Sequence[str] = (),
        *,
        size: float = 8.0,
        hollow: bool = False,
    ) -> None:
        """Marks of one run, with a hint over each; hollow ones are for what nobody here has measured."""
        if not points:
            return
        places = [panel.at(x, y) for x, y in points]
        self.figure.add_artist(
            Line2D(
                [x for x, _ in places],
                [y for _, y in places],
                transform=self._pixels,
                linestyle="none",
                marker=look.mark,
                markersize=size * _LARGER.get(look.mark, 1.0),
                markerfacecolor=colour("bg" if hollow else look.colour),
                markeredgecolor=colour(look.colour if hollow else "bg"),
                markeredgewidth=1.3 if hollow else 0.8,
                zorder=LEVEL,
                gid=self._marked(hints),
            )
        )

    def _marked(self, hints: Sequence[str]) -> str | None:
        """The id for a group of marks whose hints these are, in the order in which they are drawn."""
        if not hints:
            return None
        self.hints.append(tuple(plain(hint) for hint in hints))
        return f"{MARK}{len(self.hints) - 1}"
