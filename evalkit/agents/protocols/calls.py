"""What a protocol reads in a generation."""

from __future__ import annotations

from typing import Any

import msgspec


class ParsedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call read from the model's text.

    Attributes:
        tool: name as the model wrote it.
        arguments: parsed arguments.
        raw: the text between the call's tags.
        error: why it is malformed; empty when it is well formed.
    """

    tool: str
    raw: str
    arguments: dict[str, Any] = {}
    error: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation means: calls to run, or the end.

    Attributes:
        calls: in order; when there are any, the trajectory goes on after them.
        answered: whether the protocol's answer form is there.
        last: the turn is the last whatever calls are in it: they are counted and not run.
    """

    calls: tuple[ParsedCall, ...] = ()
    answered: bool = False
    last: bool = False
