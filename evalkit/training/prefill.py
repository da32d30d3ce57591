"""Prompts that are equal are read once: the rollouts of a prompt begin with the same conversation."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from evalkit.training.wrapping import instead


class CannotShareError(Exception):
    """The model keeps what it has read in a form that rows cannot be copied in."""


@contextmanager
def shared_prefill(model: Any, first: Sequence[int], index: Sequence[int]) -> Iterator[None]:
    """Within, the first call of `model` computes the distinct rows of its batch and copies them to the others.

    Args:
        model: of the transformers library, not wrapped; called by `generate`.
        first: rows that are distinct. The images that the call is given are those of these rows.
        index: for each row of the batch, which of them it is.

    Raises:
        CannotShareError: the model cannot; it has to be called again without.
    """
    if len(first) == len(index):
        yield
        return
    with instead(model, "forward", _first_call(model, model.forward, list(first), list(index))):
        yield


def _first_call(model: Any, original: Any, first: list[int], index: list[int]) -> Any:
    waiting = True

    # `generate` reads the signature
    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal waiting
        if not waiting:
            return original(*args, **kwargs)
        waiting = False
        # the name was changed in transformers 5.2x
        cache: Any = kwargs.get("cache", kwargs.get("past_key_values"))
        if args or type(cache) is not DynamicCache:
            raise CannotShareError
        few = {name: _rows(name, value, first, len(index)) for name, value in kwargs.items()}
        output = original(**few)
        if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
            raise CannotShareError
        # on the CPU: layers may be on several devices
        cache.batch_select_indices(torch.tensor(index))
        output.logits = output.logits[index]
        core = getattr(model, "base_model", model)
        deltas = getattr(core, "rope_deltas", None)
        if isinstance(deltas, torch.Tensor) and len(deltas) == len(first):
            # Qwen-VL: how far positions are ahead of tokens; some versions set it in this call
            core.rope_deltas = deltas[index]
        return output

    return forward


def _rows(name: str, value: Any, rows: list[int], batch: int) -> Any:
    """An input for some rows; positions may have axes of their own before that of the rows."""
    if not isinstance(value, torch.Tensor):
        return value
    if name == "position_ids" and value.ndim > 2:
        return value[..., rows, :]
    return value[rows] if value.ndim > 1 and len(value) == batch and not name.startswith(("pixel", "image")) else value
