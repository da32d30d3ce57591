"""A board: nine panels, one coloured shape in each, large enough to see at once or too small to see uncropped.

A board is a pure function of its seed and sizes, so that figures stay comparable between machines.
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
LETTERS = "ABCD"

_SHAPES = "csdt"
_NOISE_CELLS = 96
_NOISE_SEED = 7_000_000
_GREY, _GREY_SPREAD, _NOISE = 135, 20, 40
_JITTER = 8
_POINTED = 1.2


class Sizes(NamedTuple):
    """Sizes in pixels: a panel's side, and the ranges of large and tiny shapes (both ends included)."""

    panel: int = 256
    big: tuple[int, int] = (110, 180)
    tiny: tuple[int, int] = (4, 5)

    @property
    def board(self) -> int:
        """Side of the whole board."""
        return GRID * self.panel


class Shape(NamedTuple):
    """What one panel shows. `tiny` shapes are legible only in a crop; `dx`, `dy` are off the panel's centre."""

    colour: str
    tiny: bool
    kind: str
    size: int
    dx: int
    dy: int


class Question(NamedTuple):
    """A multiple-choice question on one panel's colour; `answer` is the right option's letter."""

    text: str
    options: tuple[str, ...]
    answer: str


def shapes(seed: int, sizes: Sizes) -> list[Shape]:
    """The nine shapes of a board, row by row."""
    draw = random.Random(f"panel-probe-{seed}")
    found = []
    for _ in PANELS:
        tiny = draw.random() < 0.5
        colour = draw.choice(list(COLOURS))
        kind = draw.choice(_SHAPES)
        size = draw.randint(*(sizes.tiny if tiny else sizes.big))
        found.append(Shape(colour, tiny, kind, size, draw.randint(-_JITTER, _JITTER), draw.randint(-_JITTER, _JITTER)))
    return found


def question(seed: int, panel: int, colour: str) -> Question:
    """The question on panel `panel` (0..8), whose shape is of `colour`."""
    draw = random.Random(f"q-{seed}-{panel}-0")
    options = [*draw.sample([name for name in COLOURS if name != colour], len(LETTERS) - 1), colour]
    draw.shuffle(options)
    lines = [f"What colour is the shape in the {PANELS[panel]} panel?"]
    lines += [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True)]
    return Question("\n".join(lines), tuple(options), LETTERS[options.index(colour)])


def render(seed: int, sizes: Sizes) -> Image.Image:
    """The board as an RGB image of `sizes.board` pixels a side."""
    import numpy as np
    from PIL import Image, ImageDraw

    noise = np.random.default_rng(seed + _NOISE_SEED)
    per_panel = _NOISE_CELLS // GRID
    grey = noise.integers(-_GREY_SPREAD, _GREY_SPREAD + 1, (GRID, GRID, 1))
    grain = noise.integers(-_NOISE, _NOISE + 1, (_NOISE_CELLS, _NOISE_CELLS, 3))
    cells = _GREY + grey.repeat(per_panel, 0).repeat(per_panel, 1) + grain
    board = Image.fromarray(cells.clip(0, 255).astype(np.uint8))
    board = board.resize((sizes.board, sizes.board), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(board)
    for panel, shape in enumerate(shapes(seed, sizes)):
        x = sizes.panel * (panel % GRID) + sizes.panel // 2 + shape.dx
        y = sizes.panel * (panel // GRID) + sizes.panel // 2 + shape.dy
        _draw(pen, shape, x, y)
    for line in range(sizes.panel, sizes.board, sizes.panel):
        pen.line((line, 0, line, sizes.board), fill=(255, 255, 255), width=6)
        pen.line((0, line, sizes.board, line), fill=(255, 255, 255), width=6)
    return board


def png(seed: int, sizes: Sizes) -> bytes:
    """The board as PNG bytes."""
    buffer = io.BytesIO()
    render(seed, sizes).save(buffer, format="PNG", compress_level=1)
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
