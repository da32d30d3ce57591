"""Inspect's messages as turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from evalkit.bridges.inspect.content import Content, ContentReader
from evalkit.bridges.inspect.happened import Happened, tokens
from evalkit.errors import one_line
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, Timing, ToolCall, Turn, Usage

LENGTH = "length"
_STOPS = {"max_tokens": LENGTH, "model_length": LENGTH, "unknown": ""}
_STATUS = {
    "parsing": CallStatus.MALFORMED,
    "timeout": CallStatus.TIMEOUT,
    "approval": CallStatus.BLOCKED,
    "limit": CallStatus.BLOCKED,
    "cancelled": CallStatus.NOT_RUN,
}
_BLANK = "\n\n"


class Talk(NamedTuple):
    """A conversation.

    Attributes:
        system: the system prompts before the first turn.
        prompt: the texts before it.
        images: the images before it.
        turns: in order.
    """

    system: str
    prompt: str
    images: tuple[ImageFile, ...]
    turns: tuple[Turn, ...]


def talk(sample: Any, happened: Happened, reader: ContentReader) -> Talk:
    """The conversation of a sample.

    Args:
        sample: Inspect's `EvalSample`.
        happened: its events.
        reader: of contents.
    """
    attachments: Mapping[str, str] = sample.attachments
    given = {message.id for message in sample.input} if isinstance(sample.input, list) else set()
    messages = sample.messages
    if not messages:
        messages = sample.input if isinstance(sample.input, list) else []
    systems, prompts, images = list[str](), list[str](), list[ImageFile]()
    if not messages and isinstance(sample.input, str):
        prompts.append(reader.text(sample.input, attachments))
    turns: list[_Turn] = []
    for message in messages:
        content = reader.read(message.content, attachments)
        mine = message.role == "assistant" and message.source != "input" and not (message.id and message.id in given)
        if mine:
            turns.append(_Turn(message, content))
        elif turns:
            _answer(turns, message, content, reader)
        elif message.role == "system":
            systems.append(content.text)
        else:
            prompts.append(content.text)
            images.extend(content.images)
    only = sample.output.usage if len(turns) == 1 and not happened.generations and sample.output else None
    return Talk(
        system=_BLANK.join(systems),
        prompt=_BLANK.join(prompts),
        images=tuple(images),
        turns=tuple(turn.made(happened, tokens(only), index == len(turns) - 1) for index, turn in enumerate(turns)),
    )


def _answer(turns: Sequence[_Turn], message: Any, content: Content, reader: ContentReader) -> None:
    """A message that came after a turn: the result of a call, or something the model was told."""
    seen = Observation(text=content.text, images=content.images)
    named = message.tool_call_id if message.role in ("tool", "user") else None
    for id in [named] if isinstance(named, str) else named or []:
        for turn in reversed(turns):
            if turn.answer(id, seen, message):
                return
    if message.role == "tool":
        reader.lost["results of calls that no message makes"] += 1
        return
    turns[-1].tell(seen)


class _Turn:
    """A turn that is being read."""

    def __init__(self, message: Any, content: Content) -> None:
        self._message = message
        self._content = content
        self._calls: dict[str, Any] = {}
        for call in message.tool_calls or ():
            # of calls with one id the first gets the result; the others are there all the same
            self._calls[call.id if call.id not in self._calls else f"{call.id} {len(self._calls)}"] = call
        self._seen: dict[str, Observation] = {}
        self._errors: dict[str, Any] = {}
        self._told: list[Observation] = []

    def answer(self, id: str, seen: Observation, message: Any) -> bool:
        """Take the result of a call; whether it is one of this turn's."""
        if id not in self._calls:
            return False
        self._seen[id] = _joined(self._seen[id], seen) if id in self._seen else seen
        if message.role == "tool" and message.error is not None:
            self._errors[id] = message.error
        return True

    def tell(self, seen: Observation) -> None:
        """Take what the model was told after the turn."""
        self._told.append(seen)

    def made(self, happened: Happened, only: Usage, last: bool) -> Turn:
        """The turn.

        Args:
            happened: the sample's events.
            only: its tokens, where no event tells them.
            last: whether no other follows.
        """
        event = happened.generations.get(self._message.id or "")
        calls = [self._call(id, call, happened) for id, call in self._calls.items()]
        seen = [self._seen.get(id, Observation()) for id in self._calls] if self._seen or self._told or not last else []
        served = [_served(call) for call in self._content.calls]
        if served:
            # they ran before the message was whole
            calls = [call for call, _ in served] + calls
            seen = [result for _, result in served] + (seen or [Observation() for _ in self._calls])
        if self._told:
            told = self._told[0]
            for more in self._told[1:]:
                told = _joined(told, more)
            # observations stand for calls, one each: what else was said goes with the last
            seen = [*seen[:-1], _joined(seen[-1], told)] if seen else [told]
        tool_s: float | None = 0.0
        for call in calls:
            tool_s = None if tool_s is None or call.seconds is None else tool_s + call.seconds
        stop = event.output.choices[0].stop_reason if event else ""
        return Turn(
            text=self._content.text,
            finish_reason=_STOPS.get(stop, stop),
            calls=tuple(calls),
            observations=tuple(seen),
            usage=tokens(event.output.usage) if event else only,
            timing=Timing(generate_s=event.seconds if event else None, tool_s=tool_s),
            retries=(event.retries or 0) if event else 0,
        )

    def _call(self, id: str, call: Any, happened: Happened) -> ToolCall:
        raw = msgspec.json.encode(call.arguments).decode()
        status, why = CallStatus.OK, ""
        error = self._errors.get(id)
        if call.parse_error:
            status, why = CallStatus.MALFORMED, call.parse_error
        elif error is not None:
            status, why = _STATUS.get(error.type, CallStatus.FAILED), error.message
            if why == f"Tool {call.function} not found":
                status = CallStatus.UNKNOWN_TOOL
        elif id not in self._seen:
            status = CallStatus.NOT_RUN
        ran = status.dispatched
        return ToolCall(
            tool=call.function,
            raw=raw,
            status=status,
            arguments={} if status is CallStatus.MALFORMED else call.arguments,
            seconds=happened.seconds.get(id) if ran else 0.0,
            error=one_line(why, 1000),
        )


def _served(call: Any) -> tuple[ToolCall, Observation]:
    status = CallStatus.FAILED if call.error else CallStatus.OK
    try:
        arguments = msgspec.json.decode(call.arguments, type=dict[str, Any])
    except msgspec.MsgspecError:
        arguments = {}
    made = ToolCall(
        tool=call.name,
        raw=call.arguments,
        status=status,
        arguments=arguments,
        seconds=None,
        error=one_line(call.error, 1000),
    )
    return made, Observation(text=call.result)


def _joined(one: Observation, other: Observation) -> Observation:
    text = "\n".join(filter(None, (one.text, other.text)))
    return replace(one, text=text, images=one.images + other.images)
