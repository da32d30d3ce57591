"""The options of a question, where only its text has them: so that a lucky guess is known for one."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST = 10
_MARK = r"(?:(?<=\s)|(?<=^)|\(){letter}\s?[.):]\s?"
_YES_NO = ("yes", "no")


def options_of(text: str, answer: str, choices: Sequence[str] = ()) -> dict[str, str]:
    """Option letter to its text; empty for an open question.

    Args:
        text: of the question.
        answer: the reference: options are looked for only where it is a letter, or yes or no.
        choices: as the task itself lists them.
    """
    if choices:
        return dict(zip(_LETTERS, choices, strict=False)) if len(choices) <= len(_LETTERS) else {}
    right = answer.strip().strip("().")
    if right.casefold() in _YES_NO:
        return {word: word for word in _YES_NO}
    if len(right) != 1 or right not in _LETTERS[:_MOST]:
        return {}
    spans: list[tuple[int, int]] = []
    for letter in _LETTERS[:_MOST]:
        found = re.compile(_MARK.replace("{letter}", letter)).search(text, spans[-1][1] if spans else 0)
        if found is None:
            break
        spans.append(found.span())
    if len(spans) < 2 or right not in _LETTERS[: len(spans)]:
        return {}
    ends = [start for start, _ in spans[1:]] + [len(text)]
    texts = [text[start:end] for (_, start), end in zip(spans, ends, strict=True)]
    return {
        letter: option.strip().split("\n")[0].rstrip(" ,;") for letter, option in zip(_LETTERS, texts, strict=False)
    }
