"""A square seen from afar: many small kiosks, told apart by colour and roof, each with a tiny sign and a lamp.

Drawn for evalkit's own sample set at true 4K and 8K size. A scene is a pure function of its seed and frame.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

COLOURS = {
    "red": (200, 40, 35),
    "orange": (240, 140, 30),
    "yellow": (235, 215, 60),
    "green": (40, 140, 60),
    "blue": (50, 80, 200),
    "purple": (140, 60, 170),
    "brown": (120, 80, 45),
    "black": (35, 35, 35),
}
LAMPS = {"red": (235, 30, 30), "green": (20, 200, 60), "blue": (40, 90, 240), "white": (250, 250, 250)}
ROOFS = ("pointed", "round", "flat")

_LETTERS = "CEFHKLNPRTXY"
_BODY, _ROOF = (120, 80), 40
_SIGN, _TEXT, _LAMP = (54, 20), 14, 4
_INK, _PLATE = (25, 25, 25), (245, 245, 240)
_PAVING = 48
_MARGIN = 40
_QUALITY = 88


class Frame(NamedTuple):
    """Size of a scene in pixels, and how many kiosks stand side by side and one behind the other."""

    width: int
    height: int
    columns: int
    rows: int


FRAMES = {"4K": Frame(4032, 3024, 4, 3), "8K": Frame(7680, 4320, 6, 4)}


class Kiosk(NamedTuple):
    """One kiosk; `x`, `y` is the upper left corner of its body, `sign` its code, e.g. "K 47"."""

    colour: str
    roof: str
    sign: str
    lamp: str
    x: int
    y: int

    @property
    def name(self) -> str:
        """How questions call it; no other kiosk of the scene is called so."""
        return f"the {self.colour} kiosk with the {self.roof} roof"

    @property
    def number(self) -> int:
        """The number on the sign; no other kiosk of the scene has it."""
        return int(self.sign.split()[1])


def kiosks(seed: int, frame: Frame) -> list[Kiosk]:
    """The kiosks of a scene, row by row; no two share a name, a sign's number or a left edge."""
    draw = random.Random(f"hrbench-scene-{seed}")
    count = frame.columns * frame.rows
    names = draw.sample([(colour, roof) for colour in COLOURS for roof in ROOFS], count)
    numbers = draw.sample(range(11, 99), count)
    wide, high = frame.width // frame.columns, frame.height // frame.rows
    room = wide - _BODY[0] - 2 * _MARGIN
    # each row of a column gets its own share of the width, so that left edges clearly differ
    shifts = [draw.sample(range(frame.rows), frame.rows) for _ in range(frame.columns)]
    found = []
    for index, ((colour, roof), number) in enumerate(zip(names, numbers, strict=True)):
        row, column = divmod(index, frame.columns)
        x = column * wide + _MARGIN + room * shifts[column][row] // max(1, frame.rows - 1)
        y = row * high + _ROOF + _MARGIN + draw.randrange(high - _BODY[1] - _ROOF - 2 * _MARGIN)
        sign = f"{draw.choice(_LETTERS)} {number}"
        found.append(Kiosk(colour, roof, sign, draw.choice(list(LAMPS)), x, y))
    return found


def render(seed: int, frame: Frame) -> Image.Image:
    """The scene as an RGB image."""
    from PIL import Image, ImageDraw, ImageFont

    draw = random.Random(f"hrbench-paving-{seed}")
    cells = (_PAVING * frame.width // frame.height, _PAVING)
    paving = Image.frombytes("L", cells, bytes(draw.randrange(150, 200) for _ in range(cells[0] * cells[1])))
    image = paving.resize((frame.width, frame.height), Image.Resampling.NEAREST).convert("RGB")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=_TEXT)
    for kiosk in kiosks(seed, frame):
        _draw(pen, kiosk, font)
    return image


def jpeg(seed: int, frame: Frame) -> bytes:
    """The scene as JPEG bytes."""
    buffer = io.BytesIO()
    render(seed, frame).save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _draw(pen: ImageDraw.ImageDraw, kiosk: Kiosk, font: object) -> None:
    fill, x, y = COLOURS[kiosk.colour], kiosk.x, kiosk.y
    right, bottom, middle = x + _BODY[0], y + _BODY[1], x + _BODY[0] // 2
    pen.rectangle((x, y, right, bottom), fill=fill, outline=_INK, width=3)
    if kiosk.roof == "pointed":
        pen.polygon([(x, y), (right, y), (middle, y - _ROOF)], fill=fill, outline=_INK, width=3)
    elif kiosk.roof == "round":
        pen.pieslice((x, y - _ROOF, right, y + _ROOF), 180, 360, fill=fill, outline=_INK, width=3)
    else:
        pen.rectangle((x, y - _ROOF // 3, right, y), fill=fill, outline=_INK, width=3)
    left, top = middle - _SIGN[0] // 2, y + 15
    pen.rectangle((left, top, left + _SIGN[0], top + _SIGN[1]), fill=_PLATE, outline=_INK, width=2)
    pen.text((middle, top + _SIGN[1] // 2), kiosk.sign, fill=_INK, font=font, anchor="mm")  # type: ignore[arg-type]
    lamp = (right - 16, bottom - 16)
    box = (lamp[0] - _LAMP, lamp[1] - _LAMP, lamp[0] + _LAMP, lamp[1] + _LAMP)
    pen.ellipse(box, fill=LAMPS[kiosk.lamp], outline=_INK, width=2)
