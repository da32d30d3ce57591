"""Reading Hermes-style tool calls: one JSON object {"name", "arguments"} between two tags."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from evalkit.agents.protocols.base import ParsedCall
from evalkit.errors import one_line

OPEN, CLOSE = "<tool_call>", "</tool_call>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"


def find_calls(text: str, bare: Collection[str] = ()) -> tuple[ParsedCall, ...]:
    """Every tool call of `text`, in order; an opened and never closed one is malformed.

    Args:
        text: what the model wrote.
        bare: tools that may be called without "arguments".
    """
    calls: list[ParsedCall] = []
    at = text.find(OPEN)
    while at >= 0:
        start = at + len(OPEN)
        end = text.find(CLOSE, start)
        if end < 0:
            calls.append(ParsedCall(tool="", raw=text[start:].strip(), error=f"{CLOSE} is missing"))
            break
        calls.append(read_call(text[start:end].strip(), bare))
        at = text.find(OPEN, end)
    return tuple(calls)


def read_call(raw: str, bare: Collection[str] = ()) -> ParsedCall:
    """The call in `raw`, which is malformed when it is not the JSON object asked for."""

    def malformed(why: str, tool: str = "") -> ParsedCall:
        return ParsedCall(tool=tool, raw=raw, error=why)

    value = _json(raw)
    if isinstance(value, Exception):
        return malformed(f"not valid JSON ({one_line(value, 120)})")
    if not isinstance(value, dict):
        return malformed('not a JSON object with "name" and "arguments"')
    name, arguments = value.get("name"), value.get("arguments")
    if not isinstance(name, str) or not name:
        return malformed('"name" is missing')
    if arguments is None and name in bare:
        arguments = {}
    if isinstance(arguments, str):
        arguments = _json(arguments)
    if not isinstance(arguments, dict):
        return malformed('"arguments" is not a JSON object', name)
    return ParsedCall(tool=name, raw=raw, arguments=arguments)


def has_answer(text: str) -> bool:
    """Whether `text` holds a complete answer tag outside its calls: code that prints an answer gives none."""
    return first_answer(_outside_calls(text)) is not None


def first_answer(text: str) -> str | None:
    """The first complete answer tag of `text`, tags included; None where there is none."""
    at = text.find(ANSWER_OPEN)
    end = text.find(ANSWER_CLOSE, at) if at >= 0 else -1
    return text[at : end + len(ANSWER_CLOSE)] if end >= 0 else None


def _outside_calls(text: str) -> str:
    parts: list[str] = []
    end, at = 0, text.find(OPEN)
    while at >= 0:
        parts.append(text[end:at])
        closed = text.find(CLOSE, at)
        if closed < 0:
            return "".join(parts)
        end = closed + len(CLOSE)
        at = text.find(OPEN, end)
    return "".join([*parts, text[end:]])


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        return error
