r"""Tags and boxes: what a response marks as reasoning, and what it marks as its answer."""

from __future__ import annotations

import re

MARKUP = " \t\r\n*_`"
"""Characters around an answer that are not part of it."""

# Every pattern starts with a literal and has bounded repeats, so that no text takes more than linear time.
# `<Reason>: …` is a label, as `<Answer>: …` is.
_REASONING_TAG = re.compile(
    r"<(?:(/)(?:think|thinking|reason|reasoning)\s{0,8}>"
    r"|(?:think|thinking)\s{0,8}>|(?:reason|reasoning)\s{0,8}>(?!\s{0,3}[:：]))",
    re.IGNORECASE,
)
_END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "</s>")
_ANSWER_TAG = re.compile(r"<(/?)answer\s{0,8}>", re.IGNORECASE)
_ANSWERED = re.compile(r"</answer\s{0,8}>|\\boxed\s{0,8}\{", re.IGNORECASE)
_BRACE = re.compile(r"\\boxed\s{0,8}\{|\\.|[{}]", re.DOTALL)


def without_reasoning(text: str) -> str:
    """`text` without reasoning blocks, without all after an unclosed one and all before a lone closing tag."""
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


def unclosed_answer(text: str) -> str | None:
    """The answer tag that ends a response which is nothing but reasoning that was never closed."""
    opened: int | None = None
    for tag in _REASONING_TAG.finditer(text):
        opened = None if tag[1] else tag.end() if opened is None else opened
    if opened is None or not text.rstrip()[-20:].casefold().endswith("</answer>"):
        return None
    return last_answer_tag(text[opened:])


def without_tokens(text: str) -> str:
    r"""`text` without the tokens that end a model's turn; the tokens of a box become `\boxed{…}`."""
    end = len(text)
    ending: str | None = ""
    while ending is not None:
        end -= len(ending)
        while end and text[end - 1].isspace():
            end -= 1
        ending = next((token for token in _END_TOKENS if text.endswith(token, 0, end)), None)
    text = text[:end]
    if "<|begin_of_box|>" in text:
        text = text.replace("<|begin_of_box|>", "\\boxed{").replace("<|end_of_box|>", "}")
    return text


def last_answer_tag(text: str) -> str | None:
    """The content of the last complete answer tag; of nested ones, the innermost."""
    opened: int | None = None
    span: tuple[int, int] | None = None
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            span, opened = (opened, tag.start()), None
    return text[slice(*span)] if span else None


def answered_at(text: str) -> int | None:
    """Where the first closed answer tag or the first box stands."""
    tag = _ANSWERED.search(text)
    return tag.end() if tag else None


def last_box(text: str) -> str | None:
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


def bare(text: str) -> str:
    """`text` without white space and markup around it."""
    start, end = 0, len(text)
    while start < end and (text[start].isspace() or text[start] in MARKUP):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in MARKUP):
        end -= 1
    return text[start:end]
