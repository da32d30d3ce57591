"""The computed sizes are those of transformers' own image processor, to the pixel."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.engines.pixels import FAMILIES, PixelBudget, budget_of, budget_of_processor, computed, smart_resize

qwen = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")

SIDES = st.one_of(st.integers(1, 64), st.integers(1, 2000), st.integers(1, 20_000))
BUDGETS = st.one_of(
    st.sampled_from(list(FAMILIES.values())),
    st.builds(
        lambda factor, low, more: PixelBudget(factor=factor, min_pixels=low, max_pixels=low + more),
        st.sampled_from([28, 32]),
        st.integers(1, 10**6),
        st.integers(0, 10**7),
    ),
)


@settings(max_examples=1500, deadline=None)
@given(SIDES, SIDES, BUDGETS)
@example(7680, 4320, FAMILIES["qwen3_vl"])
@example(200, 1, FAMILIES["qwen2_5_vl"])
@example(201, 1, FAMILIES["qwen2_5_vl"])
@example(1, 20_000, FAMILIES["qwen3_vl"])
def test_sizes_are_those_of_the_processors_own_rule(width: int, height: int, budget: PixelBudget) -> None:
    try:
        high, wide = qwen.smart_resize(height, width, budget.factor, budget.min_pixels, budget.max_pixels)
    except ValueError:
        assert smart_resize(width, height, budget) is None
        assert max(width, height) > 200 * min(width, height)
        return
    assert smart_resize(width, height, budget) == (wide, high)


@pytest.mark.parametrize("factor", [28, 32])
def test_grids_and_tokens_are_those_of_real_images_through_the_real_processor(factor: int) -> None:
    budget = PixelBudget(factor=factor, min_pixels=4 * factor**2, max_pixels=40 * factor**2)
    patch = factor // 2
    processor = qwen.Qwen2VLImageProcessorPil(
        size={"shortest_edge": budget.min_pixels, "longest_edge": budget.max_pixels}, patch_size=patch, merge_size=2
    )
    assert budget_of_processor(processor) == budget
    draw = np.random.default_rng(factor)
    sizes = [(1, 1), (1, 200), (200, 1), (5, 999), (640, 4), (factor, factor), (4000, 21)]
    sizes += [(int(a), int(b)) for a, b in (10 ** draw.uniform(0.6, 2.6, (60, 2))) if max(a, b) < 150 * min(a, b)]
    assert len(sizes) > 50
    for width, height in sizes:
        grid = processor(images=[Image.new("RGB", (width, height))], return_tensors="np")["image_grid_thw"][0]
        seen = computed(width, height, budget)
        assert seen is not None, (width, height)
        assert (seen.height, seen.width) == (grid[1] * patch, grid[2] * patch), (width, height)
        assert (seen.tokens, seen.computed) == (math.prod(grid) // 4, True)
    with pytest.raises(ValueError, match="aspect ratio"):
        processor(images=[Image.new("RGB", (2010, 10))], return_tensors="np")
    assert computed(2010, 10, budget) is None


def test_an_8k_image_becomes_16_megapixels_and_16_320_tokens_of_qwen3_vl() -> None:
    seen = computed(7680, 4320, FAMILIES["qwen3_vl"])
    assert seen is not None
    assert (seen.width, seen.height, seen.tokens) == (5440, 3072, 170 * 96)


def test_a_card_replaces_one_bound_and_an_unknown_family_has_no_rule() -> None:
    own = FAMILIES["qwen3_vl"]
    assert budget_of("qwen3_vl", None, None) == own
    replaced = budget_of("qwen3_vl", None, 10**6)
    assert replaced == PixelBudget(factor=32, min_pixels=own.min_pixels, max_pixels=10**6)
    assert budget_of("internvl", None, 10**6) is None
    assert computed(100, 100, None) is None


def test_the_shipped_models_processor_says_its_budget_and_others_have_none() -> None:
    transformers = pytest.importorskip("transformers")
    weights = Path(__file__).parents[2] / "evalkit/models/metis_nano"
    processor = transformers.AutoImageProcessor.from_pretrained(weights)
    assert budget_of_processor(processor) == PixelBudget(factor=32, min_pixels=1024, max_pixels=9216)
    assert budget_of_processor(SimpleNamespace(model_input_names=["pixel_values"], size={"height": 224})) is None
    half = SimpleNamespace(model_input_names=["image_grid_thw"], size={"height": 1}, patch_size=14, merge_size=2)
    assert budget_of_processor(half) is None
    assert budget_of_processor(None) is None
