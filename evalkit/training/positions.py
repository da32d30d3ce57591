"""Positions of tokens among images are computed once for rows that are laid out alike."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from evalkit.training.wrapping import bare, instead

_METHOD = "get_rope_index"


@contextmanager
def shared_positions(model: Any, images: Sequence[int]) -> Iterator[None]:
    """Within, the Qwen-VL families compute positions for the distinct layouts of a batch instead of for every row.

    They walk through each row in Python; for small models that takes longer than the model. Other families are left
    as they are.

    Args:
        model: wrapped or not.
        images: of each row of the batch.
    """
    inner = bare(model)
    core = getattr(inner, "base_model", inner)
    if not hasattr(core, _METHOD):
        yield
        return
    with instead(core, _METHOD, _sharing(getattr(core, _METHOD), images)):
        yield


def _sharing(original: Any, images: Sequence[int]) -> Any:
    # callers look at the signature
    @functools.wraps(original)
    def get_rope_index(input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        types, grid = kwargs.get("mm_token_type_ids"), kwargs.get("image_grid_thw")
        mask: torch.Tensor | None = kwargs.get("attention_mask")
        if args or types is None or grid is None or kwargs.get("video_grid_thw") is not None:
            return original(input_ids, *args, **kwargs)
        if len(input_ids) != len(images) or len(grid) != sum(images):
            return original(input_ids, *args, **kwargs)
        first, index, pictures = _layouts(types, mask, grid, images)
        few = {"mm_token_type_ids": types[first], "image_grid_thw": grid[pictures]}
        if mask is not None:
            few["attention_mask"] = mask[first]
        positions, deltas = original(input_ids[first], **{**kwargs, **few})
        return positions[:, index], deltas[index]

    return get_rope_index


def _layouts(
    types: torch.Tensor, mask: torch.Tensor | None, grid: torch.Tensor, images: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Rows with distinct layouts, which of them each row is like, and the images of the distinct ones."""
    columns = [types] if mask is None else [types, mask.to(types.dtype)]
    keys = torch.cat(columns, 1).to(torch.uint8).cpu().numpy()
    grids = grid.tolist()
    known: dict[Any, int] = {}
    first: list[int] = []
    index: list[int] = []
    pictures: list[int] = []
    start = 0
    for row, count in enumerate(images):
        key = (keys[row].tobytes(), str(grids[start : start + count]))
        if key not in known:
            known[key] = len(first)
            first.append(row)
            pictures += range(start, start + count)
        index.append(known[key])
        start += count
    return first, index, pictures
