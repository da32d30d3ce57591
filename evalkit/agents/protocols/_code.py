"""Reading Python between `<code>` and `</code>`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evalkit.agents.protocols._hermes import first_answer
from evalkit.agents.protocols.calls import ParsedCall

OPEN, CLOSE = "<code>", "</code>"
_FENCE, _LANGUAGE = "```", "python"
_TAG = re.compile("<(/?)code>")
_ANY_CASE = re.compile(_TAG.pattern, re.IGNORECASE)


def code_calls(text: str, *, any_case: bool = False) -> tuple[ParsedCall, ...]:
    """Every code block of `text` as a call of the tool `python`; an opened and never closed one is malformed.

    A fence around the code is taken off, with the language's name. What stands outside of the fence goes with it.

    Args:
        text: what the model wrote.
        any_case: the tags may be written in capitals.
    """
    calls = []
    for start, end in _blocks(text, any_case):
        if end < 0:
            calls.append(ParsedCall(tool="python", raw=text[start:].strip(), error=f"{CLOSE} is missing"))
            continue
        raw = text[start:end].strip("\n")
        calls.append(ParsedCall(tool="python", raw=raw, arguments={"code": unfenced(raw)}))
    return tuple(calls)


def unfenced(raw: str) -> str:
    """The code in the first fence of `raw`; all of it where there is none."""
    at = raw.find(_FENCE)
    if at < 0:
        return raw
    code = raw[at + len(_FENCE) :]
    if code.lower().startswith(_LANGUAGE) and (code[len(_LANGUAGE) :][:1].isspace() or code == _LANGUAGE):
        code = code[len(_LANGUAGE) :]
    return code.partition(_FENCE)[0].strip("\n").rstrip()


def answer_outside(text: str, *, any_case: bool = False) -> bool:
    """Whether a complete answer tag stands outside the code blocks: code that prints an answer gives none.

    Args:
        text: what the model wrote.
        any_case: see `code_calls`.
    """
    said, end = [], 0
    for start, close in _blocks(text, any_case):
        said.append(text[end:start])
        end = len(text) if close < 0 else close
    return first_answer("".join([*said, text[end:]])) is not None


def _blocks(text: str, any_case: bool) -> Iterator[tuple[int, int]]:
    """Where the inside of each code block begins and ends; the end is -1 where it never closes."""
    start = -1
    for tag in (_ANY_CASE if any_case else _TAG).finditer(text):
        if start < 0 and not tag[1]:
            start = tag.end()
        elif start >= 0 and tag[1]:
            yield start, tag.start()
            start = -1
    if start >= 0:
        yield start, -1
