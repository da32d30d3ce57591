"""A judge's reply, read: one JSON object of the form asked for, or nothing."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, NoReturn

from evalkit.errors import one_line
from evalkit.rulings import Said
from evalkit.scoring.judge.question import Asked, Question
from evalkit.scoring.tags import without_reasoning, without_tokens

_LONGEST_REPLY = 20_000
_LONGEST_ANSWER = 200
_FENCE = re.compile(r"```(?:json)?\s{0,8}(\{.*\})\s{0,8}```", re.DOTALL | re.IGNORECASE)
_VERDICTS = {"correct": Said.CORRECT, "incorrect": Said.INCORRECT, "unclear": Said.NO_ANSWER}
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[a-z]+|[^\W\d_a-z]")
"""What a quote may not cut: a number, a word of plain letters; of other scripts, which may not part words, a letter."""
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TAG = re.compile(r"</?answer|\\boxed|<\|", re.IGNORECASE)


class UnreadableError(ValueError):
    """The reply is no verdict; the text says why, in words for the judge."""


class Read(NamedTuple):
    """What a reply says; see `Ruling`."""

    said: Said
    answer: str | None = None
    quote: str = ""


def read(reply: str, question: Question) -> Read:
    """Read a judge's reply.

    It must be one JSON object with exactly the fields asked for, each once. Reasoning of the judge's own before it
    and a code fence around it are left out; nothing else is looked for in prose, and nothing is guessed. An extracted
    answer must be one of the options' letters, or a short line; its quote must stand in the response in whole words and
    numbers, where white space, punctuation and case do not count.

    Args:
        reply: the judge's whole text.
        question: what it was asked.

    Raises:
        UnreadableError: it is anything else.
    """
    fields = json_object(reply)
    if question.asked is Asked.EQUIVALENCE:
        exactly(fields, "verdict")
        verdict = fields["verdict"]
        if not isinstance(verdict, str) or verdict not in _VERDICTS:
            raise UnreadableError('"verdict" must be "correct", "incorrect" or "unclear"')
        return Read(_VERDICTS[verdict])
    exactly(fields, "quote", "answer")
    quote, answer = fields["quote"], fields["answer"]
    if not isinstance(quote, str | None) or not isinstance(answer, str | None):
        raise UnreadableError('"quote" and "answer" must be a string or null')
    if answer is None:
        return Read(Said.NO_ANSWER)
    if question.choices and answer not in question.choices:
        raise UnreadableError(f'"answer" must be one of {", ".join(question.choices)}, or null')
    if not answer.strip() or len(answer) > _LONGEST_ANSWER or not answer.isprintable() or _TAG.search(answer):
        raise UnreadableError(f'"answer" must be one short line of at most {_LONGEST_ANSWER} characters, without tags')
    if not quote or not _stands_in(quote, question.shown):
        raise UnreadableError('"quote" must be a passage of the reply that was judged, copied exactly')
    return Read(Said.EXTRACTED, answer.strip(), one_line(quote, 500))


def json_object(reply: str) -> dict[str, Any]:
    """The one JSON object that a reply is, without reasoning before it and a code fence around it.

    Raises:
        UnreadableError: it is anything else.
    """
    if len(reply) > _LONGEST_REPLY:
        raise UnreadableError("it is too long")
    text = without_reasoning(without_tokens(reply)).strip()
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1]
    if not text:
        raise UnreadableError("it is empty")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except UnreadableError:
        raise
    except (ValueError, RecursionError):
        raise UnreadableError("it is not one JSON object") from None
    if not isinstance(value, dict):
        raise UnreadableError("it is not one JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        # the last of two verdicts is no more the judge's word than the first
        raise UnreadableError("a field is there twice")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise UnreadableError(f"{name} is no JSON")


def exactly(fields: dict[str, Any], *names: str) -> None:
    """Check that an object has these fields and no other.

    Raises:
        UnreadableError: it has not.
    """
    if set(fields) != set(names):
        raise UnreadableError(f"the fields must be {' and '.join(names)}, and no other")


def _stands_in(quote: str, text: str) -> bool:
    bare = _words(quote)
    return bare in _words(text) if bare else quote.strip() != "" and quote.strip() in text


def _words(text: str) -> str:
    """The words of a text, one on each line."""
    found = _WORD.findall(_THOUSANDS.sub("", text.casefold()))
    return "\n".join(["", *found, ""]) if found else ""
