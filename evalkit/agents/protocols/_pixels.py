"""Images resized before they are shown, as the Qwen-VL families take them."""

from __future__ import annotations

import io
import math
from typing import Any

from evalkit.engines.pixels import PixelBudget, smart_resize
from evalkit.images import ImageFile


def fit_image(image: ImageFile, budget: PixelBudget, *, bilinear: bool = False) -> ImageFile | None:
    """`image` in the size that `smart_resize` says, or as it is when that is its size; None when it cannot be shown.

    Args:
        image: of any size.
        budget: of the result.
        bilinear: interpolate so, instead of bicubically.
    """
    header = image.header
    size = smart_resize(header.width, header.height, budget)
    if size is None or size == (header.width, header.height):
        return None if size is None else image
    return resized(image, size, "bilinear" if bilinear else "bicubic")


def resized(image: ImageFile, size: tuple[int, int], how: str = "bicubic") -> ImageFile:
    """`image` in a size (width, height); as it is where that is its own.

    Args:
        image: of any size.
        size: of the result.
        how: one of Pillow's resampling filters: "nearest", "bilinear", "bicubic".
    """
    if size == (image.header.width, image.header.height):
        return image
    from PIL import Image

    pixels = image.open()
    if pixels.mode not in ("RGB", "RGBA", "L"):
        pixels = pixels.convert("RGB")
    return ImageFile.from_pil(pixels.resize(size, Image.Resampling[how.upper()]), image.name)


def runner_size(width: int, height: int, budget: PixelBudget, *, whole: bool = False) -> tuple[int, int]:
    """The size (width, height) that the copies of `smart_resize` in evaluation scripts say.

    They differ from the processors' own rule for slivers: a side has one factor at least before the area is compared
    with its bounds, and no shape is refused.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        budget: of the result.
        whole: a scaled side is cut to whole pixels before it goes to a multiple of the factor.
    """
    factor = budget.factor
    wide, high = (max(factor, round(side / factor) * factor) for side in (width, height))
    if budget.min_pixels <= wide * high <= budget.max_pixels:
        return wide, high
    shrink = wide * high > budget.max_pixels
    # multiplied and divided in the scripts' order, so that no rounding differs
    beta = math.sqrt(width * height / budget.max_pixels if shrink else budget.min_pixels / (width * height))

    def side(length: int) -> int:
        scaled = length / beta if shrink else length * beta
        pieces = (int(scaled) if whole else scaled) / factor
        return max(factor, (math.floor(pieces) if shrink else math.ceil(pieces)) * factor)

    return side(width), side(height)


def as_jpeg(image: ImageFile) -> ImageFile:
    """`image` as a JPEG file of Pillow's default quality; what is transparent loses that."""
    buffer = io.BytesIO()
    image.open().convert("RGB").save(buffer, format="JPEG")
    return ImageFile.from_bytes(buffer.getvalue(), image.name)


def is_white(image: ImageFile, least: int) -> bool:
    """Whether no value of any channel is below `least`."""
    extrema: Any = image.open().getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low >= least for low, _ in bands)
