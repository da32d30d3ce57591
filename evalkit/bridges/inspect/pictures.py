"""Images as a log holds them: whole, small, or not at all."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from enum import StrEnum

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile

SIDE = 512
"""Longest side in pixels of a small image."""
_LIGHT = 1 << 16
_SHOWN = frozenset(("image/jpeg", "image/png", "image/webp", "image/gif"))
_KEPT = 256


class Pictures(StrEnum):
    """Which images go into a log."""

    FULL = "full"
    """As the model was sent them: an 8K benchmark makes a log of many gigabytes."""
    THUMBNAILS = "thumbnails"
    NONE = "none"


class Scrapbook:
    """The images of a run on their way into its log; several threads may ask for them.

    Attributes:
        missing: images that could not be read, by digest and why.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._made: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self.missing: dict[str, str] = {}

    def uri(self, image: ImageFile) -> str | None:
        """The image as a `data:` address; None where there is none."""
        if self._pictures is Pictures.NONE:
            return None
        key = image.header.sha256
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        if key in self.missing:
            return None
        try:
            made = self._make(image)
        except DataError as error:
            self.missing[key] = str(error)
            return None
        with self._lock:
            self._made[key] = made
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return made

    def instead(self, image: ImageFile) -> str:
        """The text in place of an image that is not there."""
        header = image.header
        why = "missing from the run folder" if header.sha256 in self.missing else "left out"
        return f"[image of {header.width} x {header.height} pixels, {why}]"

    def _make(self, image: ImageFile) -> str:
        header = image.header
        small = max(header.width, header.height) <= SIDE and header.size <= _LIGHT and header.mime in _SHOWN
        if small or self._pictures is Pictures.FULL:
            return f"data:{header.mime};base64,{base64.b64encode(image.read()).decode()}"
        from evalkit.reporting.trajectories.album import thumbnail

        data = image.read()
        try:
            return thumbnail(data, SIDE, fast=True)
        except Exception as error:
            # format plugins raise whatever they stumble over
            raise DataError(f"image {image.name} is broken: {one_line(error, 120)}") from error
