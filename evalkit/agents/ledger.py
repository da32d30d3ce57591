"""The pixel ledger: which images came before the model, where from, and how large they still were."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evalkit.engines.pixels import PixelBudget, Seen, computed
from evalkit.images import ImageFile
from evalkit.records import Shown

SAMPLE = "sample"
_BOXES = ("bbox_2d", "bbox", "box")
_SOURCES = ("target_image", "image_index", "image_id", "img_idx", "source", "image")
_NAME_CHARS = 40
_NUMBER = r"\s{0,8}(-?\d{1,6}(?:\.\d{1,6})?)\s{0,8}"
_CROP = re.compile(rf"(image_\d{{1,3}})\.crop\(\({_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER},?\)\)")


class Arrival(NamedTuple):
    """An image on its way to the model.

    Attributes:
        image: as the protocol shows it.
        original: as the sample or the tool gave it.
        origin: see `Shown`.
        source: see `Shown`.
        box: see `Shown`.
    """

    image: ImageFile
    original: ImageFile
    origin: str = SAMPLE
    source: str = ""
    box: tuple[float, float, float, float] | None = None


def shown(arrivals: Sequence[Arrival], seen: Sequence[Seen], budget: PixelBudget | None) -> tuple[Shown, ...]:
    """What a turn records of its new images.

    Args:
        arrivals: the new images, the last of the conversation.
        seen: what the engine tells of all images of the conversation; empty where it tells nothing.
        budget: the model's, for what the engine does not tell; None where it is not known.
    """
    told: Sequence[Seen | None] = seen[len(seen) - len(arrivals) :] if len(seen) >= len(arrivals) else ()
    told = told or [None] * len(arrivals)
    return tuple(_entry(arrival, one, budget) for arrival, one in zip(arrivals, told, strict=True))


def _entry(arrival: Arrival, seen: Seen | None, budget: PixelBudget | None) -> Shown:
    original, sent = arrival.original.header, arrival.image.header
    if seen is None:
        seen = computed(sent.width, sent.height, budget)
    seen = seen or Seen()
    return Shown(
        origin=arrival.origin,
        width=original.width,
        height=original.height,
        shown_width=seen.width,
        shown_height=seen.height,
        tokens=seen.tokens,
        computed=seen.computed,
        source=arrival.source,
        box=arrival.box,
    )


def crop_of(arguments: Mapping[str, Any]) -> tuple[str, tuple[float, float, float, float] | None]:
    """Which image a call asks a part of, and which part; "" and None where it does not say.

    A tool call says it in one of the names that tools of the field use. Code says it when its only crop is one of
    `image_N` with the box in numbers (what the code then shows may still be something else).

    Args:
        arguments: of the call; what a model wrote.
    """
    code = arguments.get("code")
    if isinstance(code, str):
        crop = _CROP.search(code) if code.count(".crop(") == 1 else None
        return (crop[1], _box([float(side) for side in crop.groups()[1:]])) if crop else ("", None)
    source = next((name for key in _SOURCES if (name := _name(arguments.get(key)))), "")
    box = next((box for key in _BOXES if (box := _box(arguments.get(key)))), None)
    return source, box


def _name(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    if isinstance(value, int) and abs(value) > 10**6:
        return ""
    return str(value).encode("utf-8", "replace").decode("utf-8")[:_NAME_CHARS]


def _box(value: object) -> tuple[float, float, float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    sides = []
    for side in value:
        if isinstance(side, bool) or not isinstance(side, int | float) or not abs(side) < 1e6 or math.isnan(side):
            return None
        sides.append(float(side))
    return sides[0], sides[1], sides[2], sides[3]
