"""A trajectory as Inspect's messages."""

from __future__ import annotations

from typing import Any, NamedTuple

from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentText,
)
from inspect_ai.tool import ToolCall, ToolCallError

from evalkit.bridges.inspect.pictures import Scrapbook
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, Record, Turn
from evalkit.records import ToolCall as Call

_ERRORS = {
    CallStatus.MALFORMED: "parsing",
    CallStatus.UNKNOWN_TOOL: "parsing",
    CallStatus.BLOCKED: "limit",
    CallStatus.NOT_RUN: "cancelled",
    CallStatus.FAILED: "unknown",
    CallStatus.TIMEOUT: "timeout",
}
_DEEPEST = 100
NO_NAME = "unnamed"
"""Function of a call whose tool could not be read."""


class Exchange(NamedTuple):
    """One turn as messages.

    Attributes:
        said: the model's own.
        results: one per call that was answered, in order: the call, how the model made it, and what came back.
        told: what followed without a call.
    """

    said: ChatMessageAssistant
    results: list[tuple[Call, ToolCall, ChatMessageTool]]
    told: list[ChatMessageUser]


class Conversation(NamedTuple):
    """All messages of a trajectory.

    Attributes:
        system: the system prompt, where there is one.
        question: the first user message.
        exchanges: in order.
        asked_again: the question without tools that came before the last exchange; None for most.
    """

    system: list[ChatMessageSystem]
    question: ChatMessageUser
    exchanges: list[Exchange]
    asked_again: ChatMessageUser | None

    @property
    def before(self) -> list[Any]:
        """What the model saw before its first turn."""
        return [*self.system, self.question]

    @property
    def messages(self) -> list[Any]:
        """All of them."""
        return [*self.before, *(message for part in self.parts() for message in part)]

    def parts(self) -> list[list[Any]]:
        """The messages that each turn brought, its own first but for a question that was asked again."""
        found: list[list[Any]] = []
        for index, exchange in enumerate(self.exchanges):
            again = [self.asked_again] if self.asked_again and index == len(self.exchanges) - 1 else []
            results = [message for *_, message in exchange.results]
            found.append([*again, exchange.said, *results, *exchange.told])
        return found


def conversation(record: Record, system: str, model: str, scrapbook: Scrapbook, name: str) -> Conversation:
    """The messages of a record.

    Args:
        record: of a run.
        system: the system prompt as sent.
        model: its name.
        scrapbook: for the images.
        name: unique in the log; begins the messages' ids.
    """
    trajectory = record.trajectory
    first = _content(trajectory.prompt, record.sample.images, scrapbook)
    return Conversation(
        system=[ChatMessageSystem(id=f"{name}.system", content=system, source="input")] if system else [],
        question=ChatMessageUser(id=f"{name}.question", content=first, source="input"),
        exchanges=[_exchange(turn, f"{name}.{index}", model, scrapbook) for index, turn in enumerate(trajectory.turns)],
        asked_again=ChatMessageUser(id=f"{name}.again", content=trajectory.fallback) if trajectory.fallback else None,
    )


def _exchange(turn: Turn, name: str, model: str, scrapbook: Scrapbook) -> Exchange:
    calls = [_call(call, f"{name}.call{index}") for index, call in enumerate(turn.calls)]
    said = ChatMessageAssistant(
        id=name,
        content=turn.text,
        source="generate",
        model=model,
        tool_calls=calls or None,
        metadata={"discarded": turn.discarded} if turn.discarded else None,
    )
    results = [
        (call, made, _result(call, made, seen, scrapbook))
        for call, made, seen in zip(turn.calls, calls, turn.observations, strict=False)
    ]
    told = [
        ChatMessageUser(id=f"{name}.told{index}", content=_content(seen.text, seen.images, scrapbook))
        for index, seen in enumerate(turn.observations[len(calls) :])
    ]
    return Exchange(said, results, told)


def _call(call: Call, id: str) -> ToolCall:
    broken = call.status is CallStatus.MALFORMED
    whole = not broken and not _deeper(call.arguments, _DEEPEST)
    arguments = call.arguments if whole else {"raw": call.raw}
    return ToolCall(
        id=id,
        function=call.tool or NO_NAME,
        arguments=arguments,
        parse_error=(call.error or "it could not be read") if broken else None,
    )


def _deeper(tree: Any, levels: int) -> bool:
    """Whether a tree is deeper than Inspect can write: a model may send any."""
    if not isinstance(tree, dict | list):
        return False
    parts = tree.values() if isinstance(tree, dict) else tree
    return levels == 0 or any(_deeper(part, levels - 1) for part in parts)


def _result(call: Call, made: ToolCall, seen: Observation, scrapbook: Scrapbook) -> ChatMessageTool:
    return ChatMessageTool(
        id=f"{made.id}.result",
        content=_content(seen.text, seen.images, scrapbook),
        tool_call_id=made.id,
        function=made.function,
        error=call_error(call),
    )


def call_error(call: Call) -> ToolCallError | None:
    """Why a call has no proper result."""
    kind: Any = _ERRORS.get(call.status)
    return None if kind is None else ToolCallError(kind, call.error or str(call.status))


def _content(text: str, images: tuple[ImageFile, ...], scrapbook: Scrapbook) -> Any:
    """The images, in the order in which the model sees them, then the text."""
    if not images:
        return text
    parts: list[Any] = []
    for image in images:
        uri = scrapbook.uri(image)
        parts.append(ContentText(text=scrapbook.instead(image)) if uri is None else ContentImage(image=uri))
    return [*parts, *([ContentText(text=text)] if text else [])]
