"""Lists in answers: numbers or texts parted by commas, read without evaluating anything."""

from __future__ import annotations

import re
from fractions import Fraction

from evalkit.scoring._text import plain, unwrap
from evalkit.scoring.number import read_number

LONGEST = 5_000
"""Characters beyond which a text is no list."""
_MOST = 500

_MARKS = re.compile(r"\*\*|[$`]|\\[()\[\]]|\\(?:left|right)(?![A-Za-z])|^(?:list|answer)\s{0,2}[:=]", re.IGNORECASE)
_ELEMENT = re.compile(
    r"\s*(?:\"(?P<double>[^\"\\\n]{0,200})\"|'(?P<single>[^'\\\n]{0,200})'|(?P<bare>[^,;'\"\[\]()\n]{1,200}?))\s*(?P<end>,|;|$)"
)
_BRACKETS = {"[": "]", "(": ")", "{": "}"}

Elements = list[Fraction | str]


def read_list(text: str) -> Elements | None:
    """The elements of a list: `[0, 2, 0]`, `(1; 2)`, `['a', "b"]`, `0, 2, 0`.

    Unquoted elements must be numbers as `read_number` reads them; without brackets there must be two elements
    or more. Nested lists, unquoted words, an empty list and an empty element are not read.

    Args:
        text: an extracted answer, or a gold.

    Returns:
        Numbers as exact values, quoted texts case-folded; None where `text` is no such list. Never raises.
    """
    if len(text) > LONGEST:
        return None
    body = _MARKS.sub("", unwrap(plain(text))).strip().rstrip(".").strip()
    closing = _BRACKETS.get(body[:1])
    if closing is not None:
        if not body.endswith(closing):
            return None
        body = body[1:-1].strip().removesuffix(",")
    elements: Elements = []
    position, ended = 0, False
    while not ended:
        found = _ELEMENT.match(body, position)
        if found is None or len(elements) >= _MOST:
            return None
        element = _element(found)
        if element is None:
            return None
        elements.append(element)
        position, ended = found.end(), not found["end"]
    return elements if closing is not None or len(elements) > 1 else None


def same_lists(first: Elements, second: Elements) -> bool:
    """Whether two lists have equal elements in the same order; a quoted number is its value."""
    return [_value(element) for element in first] == [_value(element) for element in second]


def _element(found: re.Match[str]) -> Fraction | str | None:
    quoted = found["double"] if found["double"] is not None else found["single"]
    if quoted is not None:
        return " ".join(quoted.casefold().split())
    return read_number(found["bare"])


def _value(element: Fraction | str) -> Fraction | str:
    if isinstance(element, str):
        number = read_number(element)
        return element if number is None else number
    return element
