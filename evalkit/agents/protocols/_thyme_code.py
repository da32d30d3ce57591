"""What Thyme's evaluation does to code before it runs it. Texts only: no code of a model is parsed or run here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.tools.files import FOLDER

_TRAINED_FOLDER = "/mnt/data/temp_processed_images/"
_SIDE = 64
_PATH = re.compile(r"^([ \t]{0,40}image_path[ \t]{0,8}=[ \t]{0,8})(['\"])([^'\"\n]{0,500})\2[ \t]{0,8}$", re.MULTILINE)
_NUMBER = r"[ \t]{0,8}(-?\d{1,7}(?:\.\d{0,7})?)[ \t]{0,8}"
_NAMES = r"\w{1,40}(?:[ \t]{0,8},[ \t]{0,8}\w{1,40}){3}"
_BOX = re.compile(
    rf"^([ \t]{{0,40}}({_NAMES}|\w{{1,40}})[ \t]{{0,8}}=[ \t]{{0,8}})"
    rf"(\(?){_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}(,?)(\)?)(?=[ \t]{{0,8}}(?:#|$))",
    re.MULTILINE,
)
_BOX_NAMES = frozenset(
    ("crop_box", "bbox", "box", "coordinates", "coords", "crop_coords", "left_crop_coords", "right_crop_coords",
     "top_crop_coords", "bottom_crop_coords")
)  # fmt: skip
_SIDE_NAMES = frozenset(("x1", "y1", "x2", "y2", "left", "top", "right", "bottom"))
_DECIMALS = re.compile(r":\.\df\}")
_REFUSED = re.compile(
    r"\bsys\.|\bsocket\.|\bsubprocess\.|\bexec\(|\beval\(|\bcompile\(|\b__import__\("
    r"|\bos\.(?:remove|unlink|rmdir|renames?)\b|\bshutil\.(?:rmtree|move)\b",
    re.IGNORECASE,
)


def mended(code: str, paths: Sequence[str]) -> str:
    """`code` with the folder that the model was trained to save in, and a wrong image_path, put right.

    Args:
        code: the model's.
        paths: of the images there are.
    """
    code = code.replace(_TRAINED_FOLDER, f"{FOLDER}/")
    if not paths:
        return code
    return _PATH.sub(lambda at: at[0] if at[3] in paths or FOLDER in at[3] else f"{at[1]}{paths[0]!r}", code)


def with_clamped_boxes(code: str, width: int, height: int) -> str:
    """`code` in which the boxes that it writes as four numbers lie in the image.

    Boxes are known by their names: `crop_box = (1, 2, 3, 4)` and the like, or `x1, y1, x2, y2 = 1, 2, 3, 4`.

    Args:
        code: the model's.
        width: of the image, pixels.
        height: of the image, pixels.
    """

    def clamped(at: re.Match[str]) -> str:
        names = [name.strip() for name in at[2].split(",")]
        known = not _SIDE_NAMES.isdisjoint(map(str.lower, names)) if len(names) == 4 else names[0] in _BOX_NAMES
        if not known:
            return at[0]
        x1, y1, x2, y2 = (float(at[place]) for place in (4, 5, 6, 7))
        left, right = _span(x1, x2, width)
        top, bottom = _span(y1, y2, height)
        inside = [round(side) for side in (left, top, right, bottom)]
        if inside == [round(side) for side in (x1, y1, x2, y2)]:
            return at[0]
        return f"{at[1]}{at[3]}{', '.join(map(str, inside))}{at[8]}{at[9]}"

    return _BOX.sub(clamped, code)


def _span(a: float, b: float, size: int) -> tuple[float, float]:
    """The two sides of a box in one direction, in order, inside the image, and 64 pixels apart where it has them."""
    low = min(max(0.0, min(a, b)), size - 1.0)
    high = min(max(0.0, max(a, b)), float(size))
    if high - low >= _SIDE:
        return low, high
    if size < _SIDE:
        return 0.0, float(size)
    low = max(0.0, min(low, high - 1.0)) if low >= high else low
    high = min(float(size), low + _SIDE)
    return max(0.0, high - _SIDE) if high == size else low, high


def eight_decimals(code: str) -> str:
    """`code` whose f-strings print eight decimals wherever they ask for up to nine."""
    return _DECIMALS.sub(":.8f}", code)


def refusal(code: str) -> str:
    """Why code is not run, empty where it is."""
    found = _REFUSED.search(code)
    return f"The code has {found[0]!r}, which is not allowed." if found else ""
