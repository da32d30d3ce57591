"""A record's outcome as Inspect's scores."""

from __future__ import annotations

from typing import Any

from inspect_ai.scorer import Score

from evalkit.errors import one_line
from evalkit.records import Outcome, Record, Rule, Verdict

RECORDED = "recorded"
CALLS = "tool_calls"
OWN = (str(Rule.STRICT), str(Rule.OFFICIAL), RECORDED, CALLS)
"""Names that evalkit gives; others are the task's own marks."""
_RIGHT, _WRONG, _UNSCORED = "C", "I", float("nan")


def scores(record: Record) -> dict[str, Score]:
    """One score per rule, the task's own marks, and the number of tool calls that ran.

    A row whose scoring failed has a strict score that counts nowhere; one that the harness failed has none.
    """
    outcome, trajectory = record.outcome, record.trajectory
    found: dict[str, Score] = {}
    if outcome.verdict is Verdict.JUDGE_ERROR:
        found[str(Rule.STRICT)] = Score(value=_UNSCORED, explanation=_words(outcome), metadata=_about(outcome))
    elif not outcome.verdict.is_error:
        found[str(Rule.STRICT)] = Score(
            value=_mark(outcome.right()), answer=outcome.answer, explanation=_words(outcome), metadata=_about(outcome)
        )
        if outcome.official is not None:
            found[str(Rule.OFFICIAL)] = Score(value=_mark(outcome.official), answer=outcome.official_answer)
        if outcome.recorded is not None:
            found[RECORDED] = Score(value=_mark(outcome.recorded))
        if not trajectory.partial:
            found[CALLS] = Score(value=sum(call.status.dispatched for call in trajectory.calls))
    for name, value in outcome.scores.items():
        if name not in OWN and isinstance(value, str | int | float | bool):
            found[name] = Score(value=value)
    return found


def _mark(right: bool) -> str:
    return _RIGHT if right else _WRONG


def _words(outcome: Outcome) -> str:
    parts = [str(outcome.verdict), outcome.reason, outcome.error]
    return one_line(": ".join(filter(None, parts)), 1000)


def _about(outcome: Outcome) -> dict[str, Any]:
    return {"verdict": str(outcome.verdict), "reason": outcome.reason, "scorer": outcome.scorer}
