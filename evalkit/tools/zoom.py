"""The zoom tool: a part of an image, cut out by a box. How it is named and how boxes are read is a family's data."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from evalkit.images import ImageFile
from evalkit.records import CallStatus, Sample
from evalkit.tools.base import Cut, ToolResult, ToolSpec
from evalkit.tools.boxes import BadBox, BoxRule, PixelBox, pixel_box

_OBSERVATION = re.compile(r"observation_(\d{1,4})")
_MOST_IMAGES = 10**6
_NUMBER = {"type": "number"}


class Pick(StrEnum):
    """How a call says which image it cuts."""

    FIRST = "first"
    """It does not: always the sample's first."""
    NUMBER = "number"
    """By a number: the sample's images, then the crops in order."""
    NAME = "name"
    """"original_image", or "observation_i" for the i-th crop, counted from 1."""


class ZoomSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A family's zoom tool.

    Attributes:
        name: as the model writes it.
        description: one sentence for the model.
        box: how its boxes are read.
        box_about: the box, in words for the model.
        keys: names of the argument that holds the box; the first is declared, the first there is counts.
        label: whether an argument `label` is declared, which nothing depends on.
        pick: see `Pick`.
        image_key: name of the argument that says which image; declared where there is one.
        image_about: that argument, in words for the model.
        first: the number of the sample's first image.
        default: the image taken where a call names none; None where it must.
        enlarge: a side of a crop with fewer pixels is stretched to that many.
    """

    name: str
    description: str
    box: BoxRule
    box_about: str
    keys: tuple[str, ...] = ("bbox_2d",)
    label: bool = False
    pick: Pick = Pick.FIRST
    image_key: str = ""
    image_about: str = ""
    first: int = 0
    default: int | None = None
    enlarge: int = 0


class ZoomTool:
    """Cuts parts out of the sample's images, and out of what it has cut out before.

    Args:
        zoom: the family's.
        kept: what a crop is when it is cut again, e.g. as large as the model was shown it; None for the crop itself.
    """

    def __init__(self, zoom: ZoomSpec, kept: Callable[[ImageFile], ImageFile | None] | None = None) -> None:
        self.zoom = zoom
        self._kept = kept

    @property
    def spec(self) -> ToolSpec:
        """The family's name and arguments."""
        zoom = self.zoom
        box = {"type": "array", "items": _NUMBER, "minItems": 4, "maxItems": 4, "description": zoom.box_about}
        arguments: dict[str, Any] = {zoom.keys[0]: box}
        if zoom.label:
            arguments["label"] = {"type": "string", "description": "What is in the box (may be left out)."}
        if zoom.image_key:
            kind = "string" if zoom.pick is Pick.NAME else "integer"
            arguments[zoom.image_key] = {"type": kind, "description": zoom.image_about}
        must = [name for name in arguments if name != "label" and (name != zoom.image_key or zoom.default is None)]
        return ToolSpec(
            name=zoom.name,
            description=zoom.description,
            parameters={"type": "object", "properties": arguments, "required": must},
        )

    async def open(self, sample: Sample, names: Mapping[str, str]) -> ZoomSession:
        """A session on the sample's images."""
        return ZoomSession(self.zoom, sample.images, self._kept)


class _Held(NamedTuple):
    """An image that may be cut.

    Attributes:
        image: the image.
        source: the sample's image that it is a part of, as `image_N`.
        box: the part, in pixels of that image.
    """

    image: ImageFile
    source: str
    box: tuple[float, float, float, float]


class ZoomSession:
    """The zoom tool in the hands of one trajectory."""

    def __init__(
        self,
        zoom: ZoomSpec,
        images: tuple[ImageFile, ...],
        kept: Callable[[ImageFile], ImageFile | None] | None,
    ) -> None:
        self._zoom = zoom
        self._images = images
        self._kept = kept
        self._crops: list[_Held] = []

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Cut one part out; the crop is kept, and can be cut by later calls. The text is its name, if it has one.

        Raises:
            DataError: an image of the sample cannot be read.
        """
        return await asyncio.to_thread(self._call, arguments)

    async def close(self) -> None:
        """Nothing is held."""

    def _call(self, arguments: dict[str, Any]) -> ToolResult:
        try:
            key = next((key for key in self._zoom.keys if arguments.get(key) is not None), None)
            if key is None:
                raise BadBox(f"The argument {self._zoom.keys[0]!r} is missing.", CallStatus.MALFORMED)
            held = self._held(arguments)
            header = held.image.header
            box = pixel_box(arguments[key], header.width, header.height, self._zoom.box)
        except BadBox as problem:
            return ToolResult(status=problem.status, error=str(problem))
        crop = _cut(held.image, box, self._zoom.enlarge)
        place = _within(held, box)
        self._crops.append(_Held((self._kept and self._kept(crop)) or crop, held.source, place))
        name = f"observation_{len(self._crops)}" if self._zoom.pick is Pick.NAME else ""
        return ToolResult(status=CallStatus.OK, text=name, images=(crop,), cut=Cut(source=held.source, box=place))

    def _held(self, arguments: Mapping[str, Any]) -> _Held:
        """The image that a call names."""
        if not self._images:
            raise BadBox("There is no image to zoom into.")
        zoom = self._zoom
        named = arguments.get(zoom.image_key) if zoom.image_key else None
        if zoom.pick is Pick.NAME:
            return self._by_name(named)
        if zoom.pick is Pick.FIRST:
            return self._original(0)
        number = zoom.default if named is None else named
        if number is None:
            raise BadBox(f"The argument {zoom.image_key!r} is missing.", CallStatus.MALFORMED)
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < _MOST_IMAGES:
            raise BadBox(f"The argument {zoom.image_key!r} must be the number of an image.", CallStatus.MALFORMED)
        if number != int(number):
            raise BadBox(f"The argument {zoom.image_key!r} must be a whole number.", CallStatus.MALFORMED)
        count = len(self._images) + len(self._crops)
        if not 0 <= number - zoom.first < count:
            raise BadBox(f"There is no image {number:g}: they are numbered {zoom.first} to {zoom.first + count - 1}.")
        place = int(number) - zoom.first
        return self._original(place) if place < len(self._images) else self._crops[place - len(self._images)]

    def _by_name(self, named: object) -> _Held:
        key = self._zoom.image_key
        if named is None:
            raise BadBox(f"The argument {key!r} is missing.", CallStatus.MALFORMED)
        found = _OBSERVATION.fullmatch(named) if isinstance(named, str) else None
        number = int(found[1]) if found is not None else 0
        if named == "original_image" or (found is not None and not number):
            return self._original(0)
        if 0 < number <= len(self._crops):
            return self._crops[number - 1]
        last = f" or observation_1 to observation_{len(self._crops)}" if self._crops else ""
        raise BadBox(f"The argument {key!r} names no image: it is original_image{last}.")

    def _original(self, place: int) -> _Held:
        image = self._images[place]
        return _Held(image, f"image_{place + 1}", (0.0, 0.0, float(image.header.width), float(image.header.height)))


def _cut(image: ImageFile, box: PixelBox, enlarge: int) -> ImageFile:
    from PIL import Image

    pixels = image.open()
    if pixels.mode not in ("RGB", "RGBA", "L"):
        pixels = pixels.convert("RGB")
    crop = pixels.crop(box)
    size = (max(crop.width, enlarge), max(crop.height, enlarge))
    if size != crop.size:
        crop = crop.resize(size, Image.Resampling.LANCZOS)
    return ImageFile.from_pil(crop, "crop")


def _within(held: _Held, box: PixelBox) -> tuple[float, float, float, float]:
    """A box of a held image, in pixels of the sample's image that it is a part of."""
    left, top, right, bottom = held.box
    wide, high = (right - left) / held.image.header.width, (bottom - top) / held.image.header.height
    return left + box[0] * wide, top + box[1] * high, left + box[2] * wide, top + box[3] * high
