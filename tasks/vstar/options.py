"""A question's options: read from the hub's text, and put into an order that is the same from every source."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLOSING = "Answer with the option's letter from the given choices directly."

_OPTION = re.compile(r"\((?P<letter>[A-Z])\)[ \t]{0,9}(?P<text>\S.*)", re.DOTALL)


def parse_text(text: str) -> tuple[str, list[str]] | None:
    """Question and options of the hub's `text`: the question, one `(A) …` a line, the closing sentence.

    Returns:
        None where it is anything else: no question, letters out of order, or lines after the options that
        are not the closing sentence.
    """
    lines = [line.strip() for line in text.split("\n")]
    found = [_OPTION.fullmatch(line) for line in lines]
    start = next((i for i, option in enumerate(found) if option), len(lines))
    options: list[str] = []
    for option, letter in zip(found[start:], LETTERS, strict=False):
        if option is None or option["letter"] != letter:
            break
        options.append(option["text"])
    question = "\n".join(lines[:start]).strip()
    rest = [line for line in lines[start + len(options) :] if line]
    return (question, options) if question and options and rest in ([], [CLOSING]) else None


def shuffled(question: str, options: Sequence[str], seed: int) -> list[int]:
    """Places of the options in shuffled order, which depends on nothing but the question and what is to choose.

    The options are sorted by a digest of seed, question and option. What goes in of an option is only the words
    in which it differs from the others, since one source writes "The cup is red." where another has "red".

    Args:
        question: as any source has it; case, white space and closing punctuation do not matter.
        options: at least two, all different under `plain`.
        seed: another seed, another order.
    """
    asked = plain(question)
    keys = [hashlib.sha256(json.dumps([seed, asked, core]).encode()).digest() for core in distinct_parts(options)]
    return sorted(range(len(options)), key=keys.__getitem__)


def plain(text: str) -> str:
    """The form in which questions and options are compared."""
    return " ".join(text.casefold().split()).rstrip(".?! ")


def distinct_parts(options: Sequence[str]) -> list[str]:
    """Each option without the words that all of them begin or end with."""
    words = [plain(option).split() for option in options]
    shortest = min(map(len, words))
    start = 0
    while start < shortest and len({option[start] for option in words}) == 1:
        start += 1
    end = 0
    while end < shortest - start and len({option[-1 - end] for option in words}) == 1:
        end += 1
    return [" ".join(option[start : len(option) - end]) for option in words]
