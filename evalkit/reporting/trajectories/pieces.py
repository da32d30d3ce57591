"""A model's text split into reasoning, calls and answer, as they stand: no character is added or lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

REASON, ANSWER, CALL, PLAIN = "reason", "answer", "call", "text"
_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_KINDS = {
    "think": REASON,
    "thinking": REASON,
    "thought": REASON,
    "reason": REASON,
    "reasoning": REASON,
    "answer": ANSWER,
    "tool_call": CALL,
}
_TAG = re.compile(rf"<(/?)({'|'.join(_KINDS)})>")
_SPACE = re.compile(r"\s*")


class Stretch(NamedTuple):
    """A part of the text: `opening + body + closing`.

    Attributes:
        kind: `REASON`, `ANSWER`, `CALL` or `PLAIN`.
        body: between the tags.
        opening: the tag with the space after it that belongs to a call; empty where there is none.
        closing: see `opening`.
        call: place of the call that this is; None for any other text.
    """

    kind: str
    body: str
    opening: str = ""
    closing: str = ""
    call: int | None = None


def split(text: str, calls: Sequence[str] = ()) -> list[Stretch]:
    """The stretches of `text`, which joined are the text.

    Args:
        text: of one turn.
        calls: the text of each call in it, as it was read; calls that are not found after their tag have no stretch.
    """
    found: list[Stretch] = []
    at = 0
    for place, raw in enumerate(calls):
        start = text.find(_OPEN, at)
        while start >= 0:
            body = _after_space(text, start + len(_OPEN))
            if text.startswith(raw, body):
                break
            start = text.find(_OPEN, start + 1)
        else:
            continue
        found += _plain(text[at:start])
        end = body + len(raw)
        close = _after_space(text, end)
        at = close + len(_CLOSE) if text.startswith(_CLOSE, close) else end
        found.append(Stretch(CALL, raw, text[start:body], text[end:at], place))
    return [*found, *_plain(text[at:])]


def _plain(text: str) -> Iterator[Stretch]:
    """What lies between the calls, by its tags; a tag that is never closed reaches to the end."""
    at = 0
    while at < len(text):
        tag = _TAG.search(text, at)
        if tag is None:
            break
        kind = _KINDS[tag[2]]
        if tag[1]:
            if at == 0 and kind is REASON:
                # templates that open the reasoning themselves leave only its end in the text
                yield Stretch(REASON, text[: tag.start()], "", tag[0])
            else:
                yield Stretch(PLAIN, text[at : tag.end()])
            at = tag.end()
            continue
        if tag.start() > at:
            yield Stretch(PLAIN, text[at : tag.start()])
        closing = f"</{tag[2]}>"
        end = text.find(closing, tag.end())
        if end < 0:
            yield Stretch(kind, text[tag.end() :], tag[0])
            return
        yield Stretch(kind, text[tag.end() : end], tag[0], closing)
        at = end + len(closing)
    if at < len(text):
        yield Stretch(PLAIN, text[at:])


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
