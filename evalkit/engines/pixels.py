"""What a model's image processor makes of an image's size, computed without the processor or the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

MAX_ASPECT = 200
"""Longer side over shorter side beyond which the Qwen-VL processors refuse an image."""


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image as the model gets it; None where it is not known.

    Attributes:
        width: pixels after the processor's resizing.
        height: pixels after the processor's resizing.
        tokens: positions it takes in the prompt.
        computed: it follows from the family's published rule; the processor itself was not asked.
    """

    width: int | None = None
    height: int | None = None
    tokens: int | None = None
    computed: bool = False


class PixelBudget(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a shown image: sides are multiples of `factor`, the area (pixels) is within two bounds."""

    factor: int
    min_pixels: int
    max_pixels: int


FAMILIES: Mapping[str, PixelBudget] = {
    "qwen2_vl": PixelBudget(factor=28, min_pixels=56 * 56, max_pixels=16384 * 28 * 28),
    "qwen2_5_vl": PixelBudget(factor=28, min_pixels=56 * 56, max_pixels=16384 * 28 * 28),
    "qwen3_vl": PixelBudget(factor=32, min_pixels=256 * 256, max_pixels=4096 * 4096),
    "qwen3_vl_moe": PixelBudget(factor=32, min_pixels=256 * 256, max_pixels=4096 * 4096),
}
"""Budgets that the families' released processors come with (preprocessor_config.json), by config.json's model_type."""


def budget_of(family: str, min_pixels: int | None, max_pixels: int | None) -> PixelBudget | None:
    """A family's budget with the bounds given in place of its own; None for a family whose rule is not known."""
    budget = FAMILIES.get(family)
    if budget is None:
        return None
    return PixelBudget(
        factor=budget.factor,
        min_pixels=budget.min_pixels if min_pixels is None else min_pixels,
        max_pixels=budget.max_pixels if max_pixels is None else max_pixels,
    )


def smart_resize(width: int, height: int, budget: PixelBudget) -> tuple[int, int] | None:
    """The size (width, height) in which an image is shown, or None beyond an aspect ratio of 200.

    The rule of the Qwen-VL image processors (`smart_resize` in transformers' Qwen2VLImageProcessor, with which
    it agrees to the pixel): both sides go to the nearest multiple of the factor; where the area is then out of
    bounds both are scaled by one number, rounding down when shrinking and up when enlarging.
    """
    if max(width, height) / min(width, height) > MAX_ASPECT:
        return None
    factor = budget.factor

    def size(scale: Callable[[int], float], whole: Callable[[float], int]) -> tuple[int, int]:
        w, h = (max(factor, whole(scale(side)) * factor) for side in (width, height))
        return w, h

    # Without the lower limit of one factor: it is this area that decides which bound is broken.
    area = round(width / factor) * factor * round(height / factor) * factor
    if area > budget.max_pixels:
        # Multiplied and divided in the processor's order, so that no rounding differs.
        beta = math.sqrt((height * width) / budget.max_pixels)
        return size(lambda side: side / beta / factor, math.floor)
    if area < budget.min_pixels:
        beta = math.sqrt(budget.min_pixels / (height * width))
        return size(lambda side: side * beta / factor, math.ceil)
    return size(lambda side: side / factor, round)


def computed(width: int, height: int, budget: PixelBudget | None) -> Seen | None:
    """What `budget` makes of an image of `width` x `height` pixels; None where the rule is unknown or refuses it.

    A token stands for one square of `factor` pixels.
    """
    size = None if budget is None else smart_resize(width, height, budget)
    if budget is None or size is None:
        return None
    return Seen(width=size[0], height=size[1], tokens=size[0] * size[1] // budget.factor**2, computed=True)


def budget_of_processor(processor: object) -> PixelBudget | None:
    """The budget that a loaded Qwen-VL image processor really has; None for other processors."""
    size: Any = getattr(processor, "size", None)
    patch, merge = getattr(processor, "patch_size", None), getattr(processor, "merge_size", None)
    if "image_grid_thw" not in getattr(processor, "model_input_names", ()) or size is None:
        return None
    if not isinstance(patch, int) or not isinstance(merge, int):
        return None
    if not all(name in size and size[name] for name in ("shortest_edge", "longest_edge")):
        return None
    return PixelBudget(
        factor=patch * merge, min_pixels=int(size["shortest_edge"]), max_pixels=int(size["longest_edge"])
    )
