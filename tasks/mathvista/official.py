"""The official rule: how the authors' scripts turn an extracted answer into one that they compare.

Facts of lupantech/MathVista@53d5258, evaluation/calculate_score.py and extract_answer.py, faults included:
an answer that is no letter becomes the choice nearest to it by edit distance, and so does an empty one, which
is right wherever the shortest choice is; 3.9 is 3 where an integer is wanted; a list must be the answer's
very string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BRACKETED = re.compile(r"\(([a-zA-Z])\)")
_LONGEST = 10_000


def normalise(extraction: str, answer_type: str, choices: Mapping[str, str], precision: int | None) -> str | None:
    """What the official scripts compare with the answer.

    Args:
        extraction: the answer that was extracted from the response, "" for none.
        answer_type: "text" (multiple choice), "integer", "float" or "list".
        choices: upper-case letter, from A on, to text.
        precision: decimal places of a float.

    Returns:
        The text of a choice, or the number or the list as a string; None where the scripts have None, and for
        more than 10,000 characters, which they would take hours for.
    """
    if len(extraction) > _LONGEST:
        return None
    if answer_type == "text":
        return _choice(extraction.strip(), choices)
    if answer_type == "list":
        return extraction
    try:
        number = float(extraction)
        return str(int(number)) if answer_type == "integer" else str(round(number, precision))
    except (ValueError, OverflowError):
        return None


def quick_extraction(response: str, answer_type: str, choices: Mapping[str, str]) -> str | None:
    """What the official scripts extract without their language model; None where they would ask it."""
    if not response or response in choices.values():
        return response
    if len(response) <= _LONGEST and answer_type in ("integer", "float"):
        try:
            return str(int(response) if answer_type == "integer" else float(response))
        except ValueError:
            return None
    return None


def distance(first: str, second: str) -> int:
    """The edit distance of two texts: insertions, deletions and substitutions, each for 1.

    The columns of the table are kept as bit vectors (Hyyrö 2003, after Myers 1999), so that the time is linear
    in `second` for a `first` of any length that occurs here.
    """
    if not first:
        return len(second)
    places: dict[str, int] = {}
    for place, character in enumerate(first):
        places[character] = places.get(character, 0) | 1 << place
    whole = (1 << len(first)) - 1
    last = 1 << len(first) - 1
    rises, falls, edits = whole, 0, len(first)
    for character in second:
        same = places.get(character, 0)
        vertical = same | falls
        across = (((same & rises) + rises) ^ rises) | same
        up, down = falls | ~(across | rises) & whole, rises & across
        edits += bool(up & last) - bool(down & last)
        up, down = up << 1 | 1, down << 1
        rises, falls = (down | ~(vertical | up)) & whole, up & vertical & whole
    return edits


def _choice(extraction: str, choices: Mapping[str, str]) -> str | None:
    if bracketed := _BRACKETED.search(extraction):
        extraction = bracketed[1].upper()
    if extraction in choices:
        return choices[extraction]
    return min(choices.values(), key=lambda text: distance(text, extraction), default=None)
