"""What a sample's events tell of its generations and tool calls: tokens, times, tools."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.records import Usage


class _Name(msgspec.Struct):
    name: str


class _Tokens(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_cache_write: int | None = None
    input_tokens_cache_read: int | None = None


class _Message(msgspec.Struct):
    id: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    stop_reason: str = ""


class _Output(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Tokens | None = None


class Generation(msgspec.Struct):
    """A call of the model.

    Attributes:
        timestamp: when it began.
        completed: when it ended.
        retries: requests that were repeated.
        tools: those offered.
        output: what came back.
    """

    timestamp: datetime | None = None
    completed: datetime | None = None
    retries: int | None = None
    tools: list[_Name] = []
    output: _Output = msgspec.field(default_factory=_Output)

    @property
    def seconds(self) -> float | None:
        """How long it took, waiting and repeated requests included."""
        return _between(self.timestamp, self.completed)


class _Called(msgspec.Struct):
    id: str
    timestamp: datetime | None = None
    completed: datetime | None = None


class Happened:
    """The events of a sample.

    Attributes:
        generations: by the id of the message that each gave.
        seconds: of each tool call, by its id; None where it is not known.
        tools: names of those offered, in order.

    Args:
        events: their trees.
        where: for messages.

    Raises:
        DataError: one is not as Inspect writes it.
    """

    def __init__(self, events: Iterable[Any], where: str) -> None:
        self.generations: dict[str, Generation] = {}
        self.seconds: dict[str, float | None] = {}
        self.tools: dict[str, None] = {}
        for event in events:
            kind = event.get("event") if isinstance(event, dict) else None
            try:
                if kind == "model":
                    self._generation(msgspec.convert(event, Generation))
                elif kind == "tool":
                    called = msgspec.convert(event, _Called)
                    self.seconds[called.id] = _between(called.timestamp, called.completed)
            except msgspec.ValidationError as error:
                raise DataError(
                    f"{where}: a {kind} event is not as Inspect writes it: {one_line(error, 120)}"
                ) from None

    def _generation(self, one: Generation) -> None:
        self.tools.update(dict.fromkeys(tool.name for tool in one.tools))
        for choice in one.output.choices[:1]:
            if choice.message.id is not None:
                self.generations[choice.message.id] = one


def tokens(usage: Any) -> Usage:
    """Inspect's count of tokens as evalkit's: those that came from a cache are prompt tokens too."""
    if usage is None:
        return Usage()
    cached = (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
    return Usage(prompt_tokens=usage.input_tokens + cached, completion_tokens=usage.output_tokens)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or (start.tzinfo is None) != (end.tzinfo is None):
        return None
    return max(0.0, (end - start).total_seconds())
