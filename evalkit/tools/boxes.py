"""Boxes as models write them: read in a family's frame, turned into whole pixels of an image, or refused in words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from enum import StrEnum

import msgspec

from evalkit.errors import one_line
from evalkit.records import CallStatus

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are the first pixels outside."""

_MOST_PIXELS = 100_000_000
_MOST_DIGITS = 40
_LARGEST = 10**9


class Frame(StrEnum):
    """What the four numbers of a box count."""

    PIXELS = "pixels"
    UNIT = "unit"
    """Shares of the image's width and height, 0 to 1."""
    THOUSAND = "thousand"
    """Thousandths of them, 0 to 1000."""
    MIXED = "mixed"
    """Shares where none of the four is above 1, else pixels."""


class Rounding(StrEnum):
    """How an edge between two pixels becomes whole."""

    DOWN = "down"
    NEAREST = "nearest"
    """As Pillow's `crop` does it: halves go to the even neighbour."""


class BoxRule(msgspec.Struct, frozen=True, kw_only=True):
    """How a family's boxes are read; the steps are done in this order.

    Attributes:
        frame: see `Frame`.
        below_one: in the mixed frame, 1 itself is a pixel already.
        text_numbers: a number may be written as a string.
        padding: share of the image's side that is added at each edge.
        clamp: edges outside of the image go to its edge; without it, what lies outside is black.
        rounding: see `Rounding`.
        inset: pixels at the right and the bottom of an image that no box reaches.
        above: both sides must have more pixels than that.
        aspect: the longer side over the shorter must be below that; None for no bound.
    """

    frame: Frame
    below_one: bool = False
    text_numbers: bool = False
    padding: float = 0.0
    clamp: bool = True
    rounding: Rounding = Rounding.NEAREST
    inset: int = 0
    above: int = 0
    aspect: float | None = None


class BadBox(ValueError):
    """A box that cannot be cut out; the message is for the model.

    Attributes:
        status: MALFORMED where it is no box at all, FAILED where it is none of this image.
    """

    def __init__(self, message: str, status: CallStatus = CallStatus.FAILED) -> None:
        super().__init__(message)
        self.status = status


def pixel_box(value: object, width: int, height: int, rule: BoxRule) -> PixelBox:
    """The part of an image that a box names.

    Args:
        value: what the model wrote.
        width: of the image, pixels.
        height: of the image, pixels.
        rule: the family's.

    Raises:
        BadBox: it names no part that the family's tool would cut out.
    """
    numbers = _numbers(value, rule.text_numbers)
    scales = _scales(numbers, width, height, rule)
    left, right = (_edge(numbers[at], scales[0], width, rule, outward) for at, outward in ((0, -1), (2, 1)))
    top, bottom = (_edge(numbers[at], scales[1], height, rule, outward) for at, outward in ((1, -1), (3, 1)))
    said = f"The box {_said(numbers)}"
    if right <= left or bottom <= top:
        why = "it needs left < right and top < bottom" if _reversed(numbers) else "it holds no pixel of it"
        raise BadBox(f"{said} is empty on an image of {width}x{height} pixels: {why}.")
    wide, high = right - left, bottom - top
    if min(wide, high) <= rule.above:
        raise BadBox(f"{said} is too small: {wide}x{high} pixels, and both sides must be larger than {rule.above}.")
    if rule.aspect is not None and max(wide, high) / min(wide, high) >= rule.aspect:
        raise BadBox(f"{said} is too narrow: {wide}x{high} pixels, one side {rule.aspect:g} times the other or more.")
    if not rule.clamp and wide * high > _MOST_PIXELS:
        raise BadBox(f"{said} is too large: {wide}x{high} pixels.")
    return left, top, right, bottom


def _numbers(value: object, text_numbers: bool) -> tuple[float, float, float, float]:
    if not isinstance(value, list | tuple):
        raise BadBox("The box must be a list of four numbers.", CallStatus.MALFORMED)
    if len(value) != 4:
        raise BadBox(f"The box must have four numbers, not {len(value)}.", CallStatus.MALFORMED)
    left, top, right, bottom = (_number(edge, text_numbers) for edge in value)
    return left, top, right, bottom


def _number(edge: object, text_numbers: bool) -> float:
    if text_numbers and isinstance(edge, str) and len(edge) <= _MOST_DIGITS:
        with contextlib.suppress(ValueError):
            edge = float(edge)
    if isinstance(edge, bool) or not isinstance(edge, int | float):
        kind = "a list" if isinstance(edge, list | tuple) else f"{one_line(repr(edge), 40)}"
        raise BadBox(f"The box must have four numbers; {kind} is none.", CallStatus.MALFORMED)
    if not abs(edge) <= _LARGEST:
        raise BadBox("The numbers of the box must be finite and of sensible size.", CallStatus.MALFORMED)
    return float(edge)


def _scales(numbers: tuple[float, ...], width: int, height: int, rule: BoxRule) -> tuple[float, float]:
    """What an edge is divided by to be a share of the image's width, and of its height."""
    if rule.frame is Frame.THOUSAND:
        return 1000.0, 1000.0
    is_share = max(numbers) < 1 if rule.below_one else max(numbers) <= 1
    if rule.frame is Frame.UNIT or (rule.frame is Frame.MIXED and is_share):
        return 1.0, 1.0
    return float(width), float(height)


def _edge(number: float, scale: float, size: int, rule: BoxRule, outward: int) -> int:
    """An edge in whole pixels.

    Pixels that nothing is added to stay as they are: a share and back may lose the last bit.
    """
    whole: Callable[[float], int] = int if rule.rounding is Rounding.DOWN else round
    if rule.frame is Frame.PIXELS and not rule.padding:
        at = number
    else:
        share = number / scale + outward * rule.padding
        at = (min(max(share, 0.0), 1.0) if rule.clamp else share) * size
    return min(max(whole(at), 0), size - rule.inset) if rule.clamp else whole(at)


def _reversed(numbers: tuple[float, float, float, float]) -> bool:
    left, top, right, bottom = numbers
    return right <= left or bottom <= top


def _said(numbers: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{number:g}' for number in numbers)}]"
