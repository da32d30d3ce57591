"""The transformers model inside what training libraries wrap around it, and methods replaced for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def bare(model: Any) -> Any:
    """The model without wrappers of torch (parallel, compiled) and peft; adapters that peft put into it stay in it."""
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif hasattr(model, "module") and not hasattr(model, "config"):
            model = model.module
        else:
            return model


@contextmanager
def instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value`, and afterwards what it was; hooks of other libraries sit in the same place."""
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
