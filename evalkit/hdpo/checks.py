"""What the tensors of a batch must look like, and one line for those that do not."""

from __future__ import annotations

import torch

from evalkit.errors import EvalkitError


class HdpoInputError(EvalkitError):
    """Tensors that do not belong together, or values that no rollout can have."""


def same_rows(**tensors: torch.Tensor) -> None:
    """All tensors have one value a rollout, for the same number of rollouts.

    Raises:
        HdpoInputError: they do not.
    """
    same_shape(**tensors)
    for name, tensor in tensors.items():
        if tensor.dim() != 1:
            raise HdpoInputError(f"{name} must have one value a rollout, not the shape {shape_of(tensor)}")


def same_shape(**tensors: torch.Tensor) -> None:
    """All tensors have the same shape.

    Raises:
        HdpoInputError: they do not.
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {shape_of(tensor)}" for name, tensor in tensors.items())
        raise HdpoInputError(f"shapes that disagree: {shapes}; give one row for every rollout of the batch in each")


def finite(name: str, values: torch.Tensor) -> None:
    """Every value is a number.

    Raises:
        HdpoInputError: some are NaN or infinite; the first one is named.
    """
    bad = ~torch.isfinite(values)
    if bad.any():
        first = int(bad.nonzero()[0, 0])
        raise HdpoInputError(
            f"{name} of rollout {first} is {values[first].item()} ({int(bad.sum())} of {len(values)} are no numbers): "
            "score these rollouts, or leave them out"
        )


def zero_or_one(name: str, values: torch.Tensor) -> None:
    """Every value is 0 or 1.

    Raises:
        HdpoInputError: some are not; the first one is named.
    """
    _every(name, values, (values == 0) | (values == 1), "neither 0 nor 1")


def counts(name: str, values: torch.Tensor) -> None:
    """Every value is a whole number from 0.

    Raises:
        HdpoInputError: some are not; the first one is named.
    """
    _every(name, values, torch.isfinite(values) & (values >= 0) & (values == values.floor()), "no count")


def prompt_ids(prompt: torch.Tensor) -> None:
    """Every rollout says by a whole number from 0 which prompt it belongs to.

    Raises:
        HdpoInputError: some do not.
    """
    if prompt.is_floating_point() or prompt.is_complex() or prompt.dtype == torch.bool:
        raise HdpoInputError(f"prompt must hold integer ids, not {str(prompt.dtype).removeprefix('torch.')}")
    _every("prompt", prompt, prompt >= 0, "an unknown prompt: ids start at 0")


def _every(name: str, values: torch.Tensor, good: torch.Tensor, wrong: str) -> None:
    if not good.all():
        first = int((~good).nonzero()[0, 0])
        raise HdpoInputError(f"{name} of rollout {first} is {values[first].item()}, {wrong}")


def shape_of(tensor: torch.Tensor) -> str:
    """A shape as errors show it."""
    return f"({', '.join(map(str, tensor.shape))})"
