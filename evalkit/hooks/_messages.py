"""Messages as the semantic conventions for generative AI write them: JSON text, images left out."""

from __future__ import annotations

from typing import Any

import msgspec

from evalkit.records import Turn


def input_messages(prompt: str) -> str:
    """The first user turn."""
    return _json([{"role": "user", "parts": [{"type": "text", "content": prompt}]}])


def output_messages(turn: Turn) -> str:
    """What one generation gave."""
    parts: list[dict[str, Any]] = [{"type": "text", "content": turn.text}]
    parts += [{"type": "tool_call", "name": call.tool, "arguments": call.arguments or call.raw} for call in turn.calls]
    return _json([{"role": "assistant", "parts": parts, "finish_reason": turn.finish_reason or "unknown"}])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
