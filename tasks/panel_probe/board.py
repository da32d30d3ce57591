"""A board: nine panels, one coloured shape in each, large enough to see at once or too small to see uncropped.

A board is a pure function of its seed and style, so that figures stay comparable between machines.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

COLOURS = {
    "red": (215, 35, 35),
    "orange": (245, 140, 25),
    "yellow": (240, 225, 50),
    "green": (35, 150, 50),
    "cyan": (60, 210, 220),
    "blue": (45, 70, 220),
    "purple": (150, 45, 190),
    "black": (15, 15, 15),
}
PANELS = (
    "top-left", "top-centre", "top-right",
    "middle-left", "centre", "middle-right",
    "bottom-left", "bottom-centre", "bottom-right",
)  # fmt: skip
GRID = 3

LEGIBLE = 60
"""Size in pixels from which a graded shape counts as legible, in a panel of 256: `docs/hdpo.md` has the measurement."""

_SHAPES = "csdt"
_NOISE_CELLS = 96
_NOISE_SEED = 7_000_000
_GREY, _GREY_SPREAD, _NOISE = 135, 20, 40
_JITTER = 8
_POINTED = 1.2
_FAINTEST = 0.35


class Style(NamedTuple):
    """How boards are drawn.

    Attributes:
        panel: a panel's side, in pixels.
        big: range of large shapes' sizes in pixels, both ends included; `tiny` likewise.
        tiny_share: share of tiny shapes.
        graded: sizes are any between the smallest and the largest, evenly on a logarithmic scale, and shapes are
            more or less faint.
    """

    panel: int = 256
    big: tuple[int, int] = (110, 180)
    tiny: tuple[int, int] = (4, 5)
    tiny_share: float = 0.5
    graded: bool = False

    @property
    def board(self) -> int:
        """Side of the whole board."""
        return GRID * self.panel


class Shape(NamedTuple):
    """What one panel shows. `tiny` shapes are legible only in a crop; `dx`, `dy` are off the panel's centre.

    `contrast` is the shape's share in the colour of its pixels; the rest is the background's.
    """

    colour: str
    tiny: bool
    kind: str
    size: int
    dx: int
    dy: int
    contrast: float = 1.0


def shapes(seed: int, style: Style) -> list[Shape]:
    """The nine shapes of a board, row by row."""
    return _graded(seed, style) if style.graded else _tiny_or_big(seed, style)


def _tiny_or_big(seed: int, style: Style) -> list[Shape]:
    draw = random.Random(f"panel-probe-{seed}")
    found = []
    for _ in PANELS:
        tiny = draw.random() < style.tiny_share
        colour = draw.choice(list(COLOURS))
        kind = draw.choice(_SHAPES)
        size = draw.randint(*(style.tiny if tiny else style.big))
        found.append(Shape(colour, tiny, kind, size, draw.randint(-_JITTER, _JITTER), draw.randint(-_JITTER, _JITTER)))
    return found


def _graded(seed: int, style: Style) -> list[Shape]:
    draw = random.Random(f"panel-probe-graded-{seed}")
    low, high = style.tiny[0], style.big[1]
    found = []
    for _ in PANELS:
        size = round(low * (high / low) ** draw.random())
        colour, kind = draw.choice(list(COLOURS)), draw.choice(_SHAPES)
        contrast = draw.uniform(_FAINTEST, 1)
        dx, dy = draw.randint(-_JITTER, _JITTER), draw.randint(-_JITTER, _JITTER)
        found.append(Shape(colour, size < LEGIBLE * style.panel // 256, kind, size, dx, dy, contrast))
    return found


def render(seed: int, style: Style) -> Image.Image:
    """The board as an RGB image of `style.board` pixels a side."""
    import numpy as np
    from PIL import Image, ImageDraw

    noise = np.random.default_rng(seed + _NOISE_SEED)
    per_panel = _NOISE_CELLS // GRID
    grey = noise.integers(-_GREY_SPREAD, _GREY_SPREAD + 1, (GRID, GRID, 1))
    grain = noise.integers(-_NOISE, _NOISE + 1, (_NOISE_CELLS, _NOISE_CELLS, 3))
    cells = _GREY + grey.repeat(per_panel, 0).repeat(per_panel, 1) + grain
    board = Image.fromarray(cells.clip(0, 255).astype(np.uint8))
    board = board.resize((style.board, style.board), Image.Resampling.NEAREST)
    for panel, shape in enumerate(shapes(seed, style)):
        x = style.panel * (panel % GRID) + style.panel // 2 + shape.dx
        y = style.panel * (panel // GRID) + style.panel // 2 + shape.dy
        if shape.contrast == 1:
            _draw(ImageDraw.Draw(board), shape, x, y)
        else:
            cover = board.copy()
            _draw(ImageDraw.Draw(cover), shape, x, y)
            left, top = style.panel * (panel % GRID), style.panel * (panel // GRID)
            area = (left, top, left + style.panel, top + style.panel)
            board.paste(Image.blend(board.crop(area), cover.crop(area), shape.contrast), area)
    pen = ImageDraw.Draw(board)
    for line in range(style.panel, style.board, style.panel):
        pen.line((line, 0, line, style.board), fill=(255, 255, 255), width=6)
        pen.line((0, line, style.board, line), fill=(255, 255, 255), width=6)
    return board


def png(seed: int, style: Style) -> bytes:
    """The board as PNG bytes."""
    buffer = io.BytesIO()
    render(seed, style).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _draw(pen: ImageDraw.ImageDraw, shape: Shape, x: int, y: int) -> None:
    half = shape.size / 2
    reach = half * _POINTED
    fill = COLOURS[shape.colour]
    box = (x - half, y - half, x + half - 1, y + half - 1)
    if shape.kind == "c":
        pen.ellipse(box, fill=fill)
    elif shape.kind == "s":
        pen.rectangle(box, fill=fill)
    elif shape.kind == "d":
        pen.polygon([(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)], fill=fill)
    else:
        pen.polygon([(x - reach, y + half), (x + reach, y + half), (x, y - reach)], fill=fill)
