"""What a judge is asked: to find an answer in prose, or to compare one with the right one."""

from __future__ import annotations

from enum import StrEnum

import msgspec

MOST_CHARACTERS = 8_000
"""A longer response is cut to its end, where answers stand."""


class Asked(StrEnum):
    """The two tasks of a judge."""

    EXTRACTION = "extraction"
    """Which answer does the response give? The judge does not see the right one."""
    EQUIVALENCE = "equivalence"
    """Does the response give the right answer?"""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One response to be judged. All of it but `asked` is data, and shown as such.

    Attributes:
        asked: see `Asked`.
        question: as the model got it.
        response: under judgement, without its reasoning.
        choices: option letter to option text; empty for open questions.
        form: what kind of answer an open question wants, e.g. "a whole number".
        reference: the right answer, for equivalence only.
    """

    asked: Asked
    question: str
    response: str
    choices: dict[str, str] = {}
    form: str = ""
    reference: str = ""

    @property
    def shown(self) -> str:
        """The part of the response that the judge sees."""
        return self.response[-MOST_CHARACTERS:]
