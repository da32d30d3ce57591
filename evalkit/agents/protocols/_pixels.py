"""Image sizes as Qwen-VL models take them: sides a multiple of the patch, area within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from evalkit.images import ImageFile

MAX_ASPECT = 200


class PixelBudget(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a shown image: sides are multiples of `factor`, the area (pixels) is within two bounds."""

    factor: int
    min_pixels: int
    max_pixels: int


def fit_size(width: int, height: int, budget: PixelBudget) -> tuple[int, int] | None:
    """The size an image of `width` x `height` pixels is shown in, or None beyond an aspect ratio of 200.

    The rule of the Qwen-VL image processors: round both sides to the factor, then scale both by one
    number so that the area comes inside the bounds (rounding down when shrinking, up when enlarging).
    """
    if max(width, height) > MAX_ASPECT * min(width, height):
        return None
    factor = budget.factor

    def size(scale: float, whole: Callable[[float], int]) -> tuple[int, int]:
        w, h = (max(factor, whole(side * scale / factor) * factor) for side in (width, height))
        return w, h

    w, h = size(1.0, round)
    if w * h > budget.max_pixels:
        return size(math.sqrt(budget.max_pixels / (width * height)), math.floor)
    if w * h < budget.min_pixels:
        return size(math.sqrt(budget.min_pixels / (width * height)), math.ceil)
    return w, h


def fit_image(image: ImageFile, budget: PixelBudget) -> ImageFile | None:
    """`image` resized to `fit_size`, or as it is when that is its size; None when it cannot be shown."""
    header = image.header
    size = fit_size(header.width, header.height, budget)
    if size is None or size == (header.width, header.height):
        return None if size is None else image
    from PIL import Image

    pixels = image.open()
    if pixels.mode not in ("RGB", "RGBA", "L"):
        pixels = pixels.convert("RGB")
    return ImageFile.from_pil(pixels.resize(size, Image.Resampling.BICUBIC), image.name)
