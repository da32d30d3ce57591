"""Hooks: what is told of a run while it goes on and when it ends; built-in ones log to MLflow, W&B and OpenTelemetry.

A hook watches. It can change no record and no exit code, and a hook that fails costs neither.
"""

from evalkit.hooks.base import Hook
from evalkit.hooks.builtin import BUILT_IN, open_hooks
from evalkit.hooks.hooks import Hooks

__all__ = ["BUILT_IN", "Hook", "Hooks", "open_hooks"]
