"""Where a crop lies on the image that it was cut from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.agents.ledger import crop_of
from evalkit.errors import one_line
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Shown, ToolCall
from evalkit.reporting.trajectories.detail import Crop, Fractions

Box = tuple[float, float, float, float]

_NUMBERED = re.compile(r"image_(\d{1,3})")
_FIRST = ("", "original_image", "original image", "0", "1")
_DECIMALS = 4


def crop(call: ToolCall, shown: Shown | None, images: Sequence[ImageFile], own: int) -> Crop | None:
    """What a call cut out; None where it does not say, or did not come to it.

    A box that only the call tells, and that lies within one pixel, is one of shares: its place is not known.

    Args:
        call: the call.
        shown: what is recorded of the first image it gave; None where nothing is.
        images: of the conversation so far.
        own: how many of them are the sample's.
    """
    if call.status is not CallStatus.OK:
        return None
    source, box = (shown.source, shown.box) if shown is not None else crop_of(call.arguments)
    if box is None:
        return None
    place = None if shown is None and max(box) <= 1 else _place(source, own)
    header = None if place is None else images[place].header
    edges = ", ".join(f"{edge:g}" for edge in box)
    return Crop(
        text=f"{one_line(source, 60) or 'the image'} at ({edges})",
        image=place,
        box=None if header is None else fractions(box, header.width, header.height),
    )


def fractions(box: Box, width: int, height: int) -> Fractions | None:
    """The part of a box in pixels that lies on an image; None where none does.

    Args:
        box: left, top, right, bottom.
        width: of the image, pixels.
        height: of the image, pixels.
    """
    left, right = (min(max(edge / width, 0.0), 1.0) for edge in (box[0], box[2]))
    top, bottom = (min(max(edge / height, 0.0), 1.0) for edge in (box[1], box[3]))
    if right <= left or bottom <= top:
        return None
    return round(left, _DECIMALS), round(top, _DECIMALS), round(right, _DECIMALS), round(bottom, _DECIMALS)


def _place(source: str, own: int) -> int | None:
    """Which of the sample's images a call names: `image_N` counts them from one; else only a single one is certain."""
    numbered = _NUMBERED.fullmatch(source)
    if numbered is not None:
        place = int(numbered[1]) - 1
        return place if 0 <= place < own else None
    return 0 if own == 1 and source in _FIRST else None
