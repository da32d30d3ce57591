"""Questions compared by their words, whatever stands around them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evalkit.records import Sample

SHINGLE = 3
"""Words in a row that are compared as one."""
SHARE = 0.8
"""Part of a question's shingles that must stand in a text which repeats the question."""
_EAST = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# scripts without spaces count a character as a word; signs of arithmetic are words of a question, commas are not
_WORD = re.compile(rf"[{_EAST}]|[^\W_{_EAST}]+|[-+*/=<>^%°√π∠△]")

Shingle = tuple[str, ...]


def words(text: str) -> tuple[str, ...]:
    """The words of a text, without regard to case, width, spaces and punctuation."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def stem(sample: Sample) -> tuple[str, ...]:
    """The words of a question without the lines of its options."""
    options = {words(f"{letter} {text}") for letter, text in sample.choices.items()}
    lines = [line for line in sample.question.splitlines() if words(line) not in options]
    return words("\n".join(lines)) or words(sample.question)


def shingles(text: Sequence[str]) -> frozenset[Shingle]:
    """Every `SHINGLE` words in a row; a shorter text is one shingle."""
    return frozenset(tuple(text[i : i + SHINGLE]) for i in range(max(1, len(text) - SHINGLE + 1)))


class Worded(NamedTuple):
    """A question that a text repeats.

    Attributes:
        question: its place in the index.
        share: part of the question's shingles that stand in the text; 1 for all of them.
        equal: the text is the question and nothing else.
    """

    question: int
    share: float
    equal: bool


class WordIndex:
    """Questions, to be found in texts.

    A text repeats a question if it has `SHARE` of its shingles, so also with a prompt around it, an option more or a
    word changed. Of a question's shingles only the rarest are looked up: so few that a text with none of them has less
    than that share, and nothing is missed.

    Args:
        questions: the words of each.
    """

    def __init__(self, questions: Sequence[tuple[str, ...]]) -> None:
        self._questions = list(questions)
        self._shingles = [shingles(question) for question in self._questions]
        self._looked_up = _rarest(self._shingles)

    def find(self, text: tuple[str, ...]) -> list[Worded]:
        """The questions that a text repeats, the closest first."""
        there = shingles(text)
        places = {place for shingle in there for place in self._looked_up.get(shingle, ())}
        found = []
        for place in sorted(places):
            of = self._shingles[place]
            share = len(of & there) / len(of)
            if share >= SHARE:
                found.append(Worded(place, share, self._questions[place] == text))
        return sorted(found, key=lambda one: (not one.equal, -one.share, -len(self._questions[one.question])))


def _rarest(sets: Iterable[frozenset[Shingle]]) -> Mapping[Shingle, list[int]]:
    sets = list(sets)
    often = Counter(shingle for shingles in sets for shingle in shingles)
    found: dict[Shingle, list[int]] = defaultdict(list)
    for place, one in enumerate(sets):
        # so many can be absent from a text with the share
        absent = int(len(one) * (1 - SHARE) + 1e-9)
        for shingle in sorted(one, key=lambda shingle: (often[shingle], shingle))[: absent + 1]:
            found[shingle].append(place)
    return dict(found)
