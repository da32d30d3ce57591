"""A conversation grows: messages of one role in a row are one, where that role is the assistant's."""

from __future__ import annotations

from collections.abc import Iterable

from evalkit.engines.base import Message, Part


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
