"""A conversation grows: messages of one role in a row are one, where that role is the assistant's."""

from __future__ import annotations

from collections.abc import Iterable

from evalkit.agents.protocols.base import Protocol
from evalkit.engines.base import Message, Part
from evalkit.records import Sample


def extend(messages: list[Message], role: str, parts: Iterable[Part]) -> None:
    """Append a message; what follows an assistant's message under the same role goes on in it.

    Texts that meet are joined: servers put what they please between two texts of one message.
    """
    parts = tuple(parts)
    if role != "assistant" or not messages or messages[-1].role != role:
        messages.append(Message(role, parts))
        return
    whole: list[Part] = list(messages[-1].parts)
    for part in parts:
        if isinstance(part, str) and whole and isinstance(whole[-1], str):
            whole[-1] += part
        else:
            whole.append(part)
    messages[-1] = Message(role, tuple(whole))


def question(protocol: Protocol, sample: Sample, plain: bool) -> tuple[Part, ...]:
    """The first user turn on a sample: its own prompt, where it brings one, or the protocol's words.

    Args:
        protocol: words the question.
        sample: what is asked.
        plain: no tools are offered.
    """
    if sample.prompt:
        return (*sample.images, sample.prompt)
    return protocol.fallback(sample) if plain else protocol.question(sample)
