"""Inspect's scores, errors and limits, as what became of a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from evalkit.bridges.inspect.turns import LENGTH
from evalkit.errors import one_line
from evalkit.records import StopReason, Turn

_LIMITS = {
    "message": StopReason.LIMIT_TURNS,
    "turn": StopReason.LIMIT_TURNS,
    "token": StopReason.LIMIT_TOKENS,
    "context": StopReason.LIMIT_TOKENS,
    "cost": StopReason.LIMIT_TOKENS,
    "time": StopReason.LIMIT_TIME,
    "working": StopReason.LIMIT_TIME,
}
_WORDS = {"yes": 1, "true": 1, "no": 0, "false": 0}


def stopped(sample: Any, turns: tuple[Turn, ...]) -> tuple[StopReason, str]:
    """Why a sample ended, and an error's line.

    Inspect does not tell a failed sandbox from a failed model: an error of either is the engine's here.
    """
    if sample.error is not None:
        return StopReason.ENGINE_ERROR, one_line(sample.error.message, 300) or "the log names an error without words"
    if sample.limit is not None:
        known = _LIMITS.get(sample.limit.type)
        if known is not None:
            return known, ""
        return StopReason.GAVE_UP, f"ended by a limit: {one_line(sample.limit.type, 40)}"
    if turns and turns[-1].finish_reason == LENGTH:
        return StopReason.LIMIT_TOKENS, ""
    return StopReason.ENDED, ""


def marks(scores: Mapping[str, Any] | None) -> dict[str, Any]:
    """The scores by name, as values that JSON has; those of a scorer that gives several are `SCORER.NAME`."""
    found: dict[str, Any] = {}
    for name, score in (scores or {}).items():
        if isinstance(score.value, dict):
            found |= {f"{name}.{part}": _mark(value) for part, value in score.value.items()}
        else:
            found[name] = _mark(score.value)
    return found


def main_names(head: Any) -> list[str]:
    """Under which names the log's main score may stand among `marks`, best first."""
    results = head.results
    if results is None or not results.scores:
        return []
    first = results.scores[0]
    if (headline := getattr(results, "headline", None)) is not None:
        for score in results.scores:
            if headline.scorer in (None, score.scorer) and headline.score in (None, score.name):
                first = score
                break
    return [f"{first.scorer}.{first.name}", first.name, first.scorer]


def _mark(value: Any) -> Any:
    if isinstance(value, str):
        if value.lower() in _WORDS:
            return _WORDS[value.lower()]
        return _number(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_mark(part) for part in value]
    return value


def _number(text: str) -> Any:
    """A text of a number as that number, which is how Inspect counts it."""
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text
