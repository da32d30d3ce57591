"""Thumbnails, each made once per report however many trajectories show it."""

from __future__ import annotations

import base64
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.images import FORMATS, ImageFile
from evalkit.reporting.trajectories.detail import Details, Picture

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

SIDE = 320
"""Longest side in pixels of a sample image's thumbnail."""
GIVEN_SIDE = 224
"""The same of an image that a tool gave."""
_QUALITY = 50
_KEY = 16


def key_of(image: ImageFile) -> str:
    """What names the picture of an image in a report: the start of its digest."""
    return image.header.sha256[:_KEY]


class Album:
    """The thumbnails made so far; runs that show the same images share them."""

    def __init__(self) -> None:
        self._made: dict[str, Picture] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._made

    def picture(self, image: ImageFile, side: int = SIDE) -> Picture:
        """The thumbnail of an image, or why there is none.

        Args:
            image: of a run.
            side: the longest, where it is not made already; never larger than the image.
        """
        key = key_of(image)
        if key not in self._made:
            try:
                data = image.read()
            except DataError as error:
                # the same image may be whole in another run: nothing is kept
                gone = isinstance(error.__cause__, OSError)
                return Picture(why=f"the image file is {'missing or cannot be read' if gone else 'broken'}")
            try:
                self._made[key] = Picture(data=thumbnail(data, side))
            except Exception as error:
                # format plugins raise whatever they stumble over
                return Picture(why=f"the image file is broken: {one_line(error, 120)}")
        return self._made[key]


def pooled(runs: Sequence[Details]) -> tuple[tuple[Details, ...], dict[str, Picture]]:
    """The runs without the pictures that several of them show, and those pictures: so that a file has each once."""
    uses = Counter(key for run in runs for key, picture in run.pictures.items() if picture.data)
    pool: dict[str, Picture] = {}
    slim = []
    for run in runs:
        shared = {key for key, picture in run.pictures.items() if picture.data and uses[key] > 1}
        pool |= {key: run.pictures[key] for key in shared}
        own = {key: picture for key, picture in run.pictures.items() if key not in shared}
        slim.append(msgspec.structs.replace(run, pictures=own))
    return tuple(slim), dict(sorted(pool.items()))


def thumbnail(data: bytes, side: int, *, fast: bool = False) -> str:
    """A small copy of an encoded image, as a `data:` address.

    Args:
        data: the image's bytes.
        side: the longest, in pixels; never larger than the image.
        fast: in a fifth of the time; somewhat coarser, and half as large again.

    Raises:
        Exception: whatever a format's plugin stumbles over.
    """
    from PIL import Image, features

    kind = "jpeg" if fast or not features.check("webp") else "webp"
    buffer = io.BytesIO()
    with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        # a large photograph is no attack: what is beyond Pillow's own limit is still refused
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        if fast and (longest := max(image.size)) > side:
            # Pillow asks a JPEG's decoder for a square, and so for twice what an oblong needs
            image.draft(None, (image.width * side // longest, image.height * side // longest))
        small = _eight_bit(image)
        if fast:
            small.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=1.0)
        else:
            small.thumbnail((side, side), reducing_gap=3.0)
        _opaque(small).save(buffer, kind, quality=_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _eight_bit(image: PILImage) -> PILImage:
    """Scaled, where Pillow would clip; a palette's colours cannot be mixed as numbers."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image.convert("RGBA") if image.mode in ("P", "PA", "1") else image


def _opaque(image: PILImage) -> PILImage:
    """In RGB, with white where nothing is."""
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
