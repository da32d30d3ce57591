"""The samples that one run has right and another has not."""

from __future__ import annotations

import msgspec

from evalkit.analysis.pairing import Pair

RIGHT_TO_WRONG = "right -> wrong"
WRONG_TO_RIGHT = "wrong -> right"


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """A sample that one run has right and the other has not (with repeats: in more than half of them).

    Attributes:
        id: the sample's.
        category: the task's main grouping.
        direction: `RIGHT_TO_WRONG` or `WRONG_TO_RIGHT`, from the reference to the other run.
        expected: the reference answer.
        old_answer: what the reference run answered; None where nothing was read.
        old_verdict: its verdict.
        old_reason: how the answer was read, or why not.
        new_answer: what the other run answered.
        new_verdict: its verdict.
        new_reason: how the answer was read, or why not.
    """

    id: str
    category: str
    direction: str
    expected: str
    old_answer: str | None
    old_verdict: str
    old_reason: str
    new_answer: str | None
    new_verdict: str
    new_reason: str


def flip(pair: Pair) -> Flip | None:
    """The flip of a pair with a score in both runs; None where both have it right, or both not."""
    old, new = pair
    assert old.right is not None
    assert new.right is not None
    if (old.right - 0.5) * (new.right - 0.5) >= 0:
        return None
    return Flip(
        id=old.id,
        category=old.category,
        direction=RIGHT_TO_WRONG if old.right > new.right else WRONG_TO_RIGHT,
        expected=new.expected,
        old_answer=old.answer,
        old_verdict=old.verdict,
        old_reason=old.reason,
        new_answer=new.answer,
        new_verdict=new.verdict,
        new_reason=new.reason,
    )
