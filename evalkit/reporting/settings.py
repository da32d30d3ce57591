"""Settings in which runs differ, in a few words; nothing here is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.analysis.config_diff import ASKED, MODEL, WHERE

GROUPS = {ASKED: "what was asked and how it was scored", MODEL: "who was asked", WHERE: "where and how it ran"}


def setting(value: Any, unknown: bool = False, limit: int = 60) -> str:
    """A setting's value in a few words."""
    if value is None:
        return "unknown" if unknown else "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        known = {key: part for key, part in value.items() if part is not None}
        text = ", ".join(f"{key} {setting(part)}" for key, part in known.items()) or "empty"
    elif isinstance(value, (list, tuple)):
        text = ", ".join(setting(part) for part in value) or "none"
    else:
        text = str(value)
        if len(text) == 64 and not set(text) - set("0123456789abcdef"):
            text = text[:12]
    return text if len(text) <= limit else text[: limit - 1] + "…"
