"""What a judge said of one response, as a record keeps it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Said(StrEnum):
    """What a judge's word comes to. The last two are failures of the judge and say nothing of the response."""

    EXTRACTED = "extracted"
    """The response gives this answer."""
    NO_ANSWER = "no_answer"
    """The response gives no one answer, or it cannot be told which."""
    RATED = "rated"
    """Grades under a rubric; `answer` has them as a JSON object."""
    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNPARSABLE = "unparsable"
    """The judge's reply was no verdict, also when it was asked once more."""
    UNAVAILABLE = "unavailable"
    """The judge could not be reached, refused, or took too long."""

    @property
    def failed(self) -> bool:
        """Whether there is no verdict."""
        return self in (Said.UNPARSABLE, Said.UNAVAILABLE)


class Ruling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A judge's word on one response.

    Attributes:
        asked: "extraction", "equivalence", or the rubric that it is rated under.
        said: see `Said`.
        answer: what was extracted, in the question's form.
        quote: where the response says so, in its own words.
        error: one line for the failures.
        judge: digest of the judge's identity, as `run.json` has it.
        seconds: time at the judge, waiting for a free place left out; None where nobody measured it. With
            `cached`, the time it took when it was asked.
        prompt_tokens: over all tries; None where the judge does not say.
        completion_tokens: over all tries; None where the judge does not say.
        tries: 2 where the first reply could not be read.
        cached: it comes from the cache; nobody was asked.
    """

    asked: str
    said: Said
    answer: str | None = None
    quote: str = ""
    error: str = ""
    judge: str = ""
    seconds: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tries: int = 1
    cached: bool = False
