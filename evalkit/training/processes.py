"""The processes that train together: this one alone, or as many as `accelerate launch` has started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

import torch

from evalkit.errors import EvalkitError

T = TypeVar("T")


class Processes(Protocol):
    """What a process must know of the others."""

    rank: int
    count: int
    device: torch.device

    def gather(self, value: T) -> list[T]:
        """The value of every process, in order, in each of them."""
        ...

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over the processes."""
        ...

    def wait(self) -> None:
        """Until all are here."""
        ...


class Alone:
    """One process, without a library's help."""

    rank = 0
    count = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def gather(self, value: T) -> list[T]:
        """See `Processes`."""
        return [value]

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """They are the sum already."""

    def wait(self) -> None:
        """There is nobody."""


class Accelerated:
    """One of several processes under `accelerate launch`, each with the whole model.

    Raises:
        EvalkitError: the library is not here.
    """

    def __init__(self) -> None:
        try:
            from accelerate import Accelerator
        except ModuleNotFoundError as error:
            raise EvalkitError(
                "training in several processes needs accelerate: pip install 'evalkit[train]'"
            ) from error
        self._accelerator: Any = Accelerator()
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device

    def gather(self, value: T) -> list[T]:
        """See `Processes`."""
        from accelerate.utils import gather_object

        return list(gather_object([value]))

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """See `Processes`. A process whose rollouts gave a parameter no gradient adds nothing to it."""
        trained = list(parameters)
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([parameter.grad for parameter in trained if parameter.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            total = self._accelerator.reduce(flat, "sum")
            for gradient, part in zip(bucket, total.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def wait(self) -> None:
        """See `Processes`."""
        self._accelerator.wait_for_everyone()


def these_processes(device: str = "auto") -> Processes:
    """The processes of this training.

    Args:
        device: "auto", "cpu" or "cuda" for a process alone; several have one GPU each where there are any.

    Raises:
        EvalkitError: there are several, and the library for that is not here; or the device does not exist.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return Accelerated()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EvalkitError("device cuda was asked for, but torch sees no GPU: use --device cpu")
    try:
        return Alone(torch.device(device))
    except RuntimeError as error:
        raise EvalkitError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:N") from error


_BUCKET = 2**25


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    """Tensors of one type in lots of some 100 MB: one message each, and little memory beside."""
    lot: list[torch.Tensor] = []
    for tensor in tensors:
        if lot and (lot[0].dtype != tensor.dtype or sum(t.numel() for t in lot) + tensor.numel() > _BUCKET):
            yield lot
            lot = []
        lot.append(tensor)
    if lot:
        yield lot
