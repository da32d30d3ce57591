"""When a judge is asked, and what its word comes to: the rules go first, and score what it extracts."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from evalkit.records import Outcome, Sample, Verdict
from evalkit.rulings import Ruling, Said
from evalkit.scoring.choice import NO_CHOICE
from evalkit.scoring.extract import ANSWER_TAG, NONE, stated
from evalkit.scoring.free_form import NO_LIST, NO_NUMBER
from evalkit.scoring.judge.question import Asked, Question

JUDGE = "judge"
"""Reason code: a judge found the answer, or compared it."""
JUDGE_NONE = "judge_none"
"""Reason code: the rules and a judge found no answer."""

_UNREAD = frozenset({NONE, NO_CHOICE, NO_NUMBER, NO_LIST})


def question_for(asked: Asked | None, sample: Sample, response: str, outcome: Outcome, form: str) -> Question | None:
    """What a judge is asked after the rules; None where there is nothing to ask.

    A response of which nothing is left without its reasoning gives no answer that a judge could find.

    Args:
        asked: what the task has judges for.
        sample: what was asked of the model.
        response: what it said.
        outcome: by the rules.
        form: of an open question's answer.
    """
    if asked is Asked.EXTRACTION:
        wanted = outcome.verdict is Verdict.UNPARSED and outcome.reason in _UNREAD
    else:
        wanted = asked is Asked.EQUIVALENCE and outcome.verdict in (Verdict.INCORRECT, Verdict.UNPARSED)
    text = stated(response).strip() if wanted else ""
    if asked is None or not text:
        return None
    return Question(
        asked=asked,
        question=sample.question,
        response=text,
        choices=sample.choices,
        form=form,
        reference=sample.answer if asked is Asked.EQUIVALENCE else "",
    )


def with_ruling(outcome: Outcome, ruling: Ruling, score: Callable[[str], Outcome]) -> Outcome:
    """The outcome with a judge's word.

    Args:
        outcome: by the rules.
        ruling: no failure.
        score: the task's rule, for a response that is the extracted answer in its tag.
    """
    if ruling.said is Said.EXTRACTED:
        found = score(tagged(ruling))
        reason = JUDGE if found.reason == ANSWER_TAG else found.reason
        return replace(outcome, verdict=found.verdict, answer=found.answer, reason=reason, ruling=ruling)
    if ruling.said is Said.NO_ANSWER:
        return replace(outcome, verdict=Verdict.UNPARSED, reason=JUDGE_NONE, ruling=ruling)
    verdict = Verdict.CORRECT if ruling.said is Said.CORRECT else Verdict.INCORRECT
    return replace(outcome, verdict=verdict, reason=JUDGE, ruling=ruling)


def tagged(ruling: Ruling) -> str:
    """The extracted answer as a response that marks it."""
    return f"<answer>{ruling.answer}</answer>"
