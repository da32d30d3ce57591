"""The hooks that `--log-to` names."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence

from evalkit.errors import EvalkitError, unknown
from evalkit.hooks.base import Hook

BUILT_IN = {
    "mlflow": ("evalkit.hooks.mlflow", "MlflowHook", "mlflow"),
    "wandb": ("evalkit.hooks.wandb", "WandbHook", "wandb"),
    "otel": ("evalkit.hooks.otel", "OtelHook", "opentelemetry.sdk"),
}
"""Name to module, class, and the library that it needs; the extra of evalkit has the name too."""


def open_hooks(names: Sequence[str]) -> list[Hook]:
    """The built-in hooks of these names, each once.

    Raises:
        EvalkitError: there is none of a name, or its library is not installed.
    """
    hooks = []
    for name in dict.fromkeys(names):
        if name not in BUILT_IN:
            raise unknown("place to log to", name, BUILT_IN, "evalkit run --help")
        module, kind, library = BUILT_IN[name]
        if not _installed(library):
            raise EvalkitError(f"--log-to {name} needs {library}; run: pip install 'evalkit[{name}]'")
        hook: Hook = getattr(importlib.import_module(module), kind)()
        hooks.append(hook)
    return hooks


def _installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:
        # a package above it is missing
        return False
