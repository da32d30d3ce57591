"""Where in a complete response the answer stands, and how it was found.

The rules are tried in a fixed order and the first that applies decides; an answer that none of
them finds is no answer. Nothing here knows what kind of answer is wanted: `choice` turns the
extracted string into an option letter.
"""

from __future__ import annotations

import re

import msgspec

ANSWER_TAG = "answer_tag"
BOXED = "boxed"
CUE = "cue"
WHOLE = "whole"
NONE = "none"

_WHOLE_LIMIT = 300
_MARKUP = " \t\r\n*_`"

# Every pattern starts with a literal and has bounded repeats, so that no text takes more than linear time.
_REASONING_TAG = re.compile(r"<(/?)(?:think|thinking|reason|reasoning)\s{0,8}>", re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(/?)answer\s{0,8}>", re.IGNORECASE)
_BRACE = re.compile(r"\\boxed\s{0,8}\{|\\.|[{}]", re.DOTALL)
_CUE = re.compile(
    r"\b(?:answer|(?:final|correct|right|best)\s{1,3}(?:option|choice))[*_`>]{0,4}"
    r"(?:\s{0,3}[:：]|\s{1,3}(?P<verb>is|would\s{1,3}be|should\s{1,3}be)\b(?:\s{0,3}[:：])?)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"\s(?:because|since)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


class Extraction(msgspec.Struct, frozen=True):
    """An answer as the model wrote it.

    Attributes:
        answer: the text, without tags and markup around it; None when there is none.
        reason: the rule that found it: "answer_tag", "boxed", "cue", "whole" or "none".
    """

    answer: str | None
    reason: str


def extract(response: str) -> Extraction:
    r"""Find the answer of a complete response, or none.

    Reasoning is dropped first: `<think>`, `<thinking>`, `<reason>` and `<reasoning>` blocks, all
    that follows an unclosed one, and all that precedes a closing tag whose opening tag was part of
    the prompt. In the rest the first rule that applies decides:

    1. "answer_tag": the last complete `<answer>…</answer>`, and in it the box or the cue if it has one;
    2. "boxed": the last `\boxed{…}`;
    3. "cue": the last of `Answer: …`, `<Answer>: …` (We-Math's own format), `the correct answer is …`;
    4. "whole": the whole rest, if it is one short line.

    Args:
        response: the complete text of the last turn.

    Returns:
        The answer and the rule; takes time linear in the response and never raises.
    """
    text = _without_reasoning(response)
    tagged = _last_tag(text)
    if tagged is not None:
        answer = _last_box(tagged) or _last_cue(tagged) or _bare(_bare(tagged).lstrip(":："))
        return Extraction(answer, ANSWER_TAG) if answer else Extraction(None, NONE)
    if boxed := _last_box(text):
        return Extraction(boxed, BOXED)
    if cued := _last_cue(text):
        return Extraction(cued, CUE)
    whole = _bare(text)
    if whole and len(whole) <= _WHOLE_LIMIT and "\n" not in whole:
        return Extraction(whole, WHOLE)
    return Extraction(None, NONE)


def _without_reasoning(text: str) -> str:
    kept: list[str] = []
    start, inside = 0, False
    for tag in _REASONING_TAG.finditer(text):
        if tag[1]:
            if not inside:
                kept.clear()
            start, inside = tag.end(), False
        elif not inside:
            kept.append(text[start : tag.start()])
            inside = True
    if not inside:
        kept.append(text[start:])
    return "\n".join(kept)


def _last_tag(text: str) -> str | None:
    opened: int | None = None
    span: tuple[int, int] | None = None
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            span, opened = (opened, tag.start()), None
    return text[slice(*span)] if span else None


def _last_box(text: str) -> str | None:
    """The content of the balanced box that starts last; in nested boxes the innermost."""
    if "\\boxed" not in text:
        return None
    stack: list[int | None] = []
    best: tuple[int, int] | None = None
    for token in _BRACE.finditer(text):
        piece = token[0]
        if piece == "{":
            stack.append(None)
        elif piece == "}":
            opened = stack.pop() if stack else None
            if opened is not None and (best is None or opened > best[0]):
                best = (opened, token.start())
        elif piece[-1] == "{" and len(piece) > 2:
            stack.append(token.end())
    return text[slice(*best)].strip() if best else None


def _bare(text: str) -> str:
    """`text` without white space and markup around it."""
    start, end = 0, len(text)
    while start < end and (text[start].isspace() or text[start] in _MARKUP):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in _MARKUP):
        end -= 1
    return text[start:end]


def _last_cue(text: str) -> str | None:
    end = len(text.rstrip(_MARKUP))
    last: re.Match[str] | None = None
    for cue in _CUE.finditer(text):
        if cue.end() < end:
            last = cue
    if last is None:
        return None
    line = text[last.end() : end].lstrip(_MARKUP).split("\n", 1)[0]
    ends = [_CLAUSE.search(line)]
    if last["verb"]:
        ends.append(_SENTENCE_END.search(line))
    cut = min((found.start() for found in ends if found), default=len(line))
    return line[:cut].rstrip(_MARKUP + ",;") or None
