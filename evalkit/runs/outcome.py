"""From a trajectory to its outcome: the task scores answers; limits and errors speak for themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from evalkit.errors import one_line
from evalkit.records import CallStatus, Outcome, Sample, StopReason, Trajectory, Verdict
from evalkit.rulings import Ruling
from evalkit.scoring.judge.question import Question
from evalkit.task import Task

T = TypeVar("T")

_VERDICTS = {
    StopReason.LIMIT_TURNS: Verdict.LIMIT_TURNS,
    StopReason.LIMIT_TOKENS: Verdict.LIMIT_TOKENS,
    StopReason.LIMIT_TIME: Verdict.LIMIT_TIME,
    StopReason.GAVE_UP: Verdict.UNPARSED,
    StopReason.ENGINE_ERROR: Verdict.ENGINE_ERROR,
    StopReason.SANDBOX_ERROR: Verdict.SANDBOX_ERROR,
    StopReason.DATA_ERROR: Verdict.DATA_ERROR,
}

_UNLIKE_WORDS = 24
"""Characters of a call's text from which on it is only found where it was written as one."""


def outcome_of(task: Task, sample: Sample, trajectory: Trajectory) -> Outcome:
    """The outcome of a trajectory; a response is scored only if the agent came to an end by itself."""
    verdict = _VERDICTS.get(trajectory.stop)
    if verdict is None:
        return _safely(task, lambda: task.score(sample, said(trajectory)))
    scorer = f"{task.name}/{task.version}"
    if verdict is Verdict.UNPARSED:
        return Outcome(verdict=verdict, reason=trajectory.stop.value, scorer=scorer)
    return Outcome(verdict=verdict, error=trajectory.error, scorer=scorer)


def question_of(task: Task, sample: Sample, trajectory: Trajectory, outcome: Outcome) -> Question | Outcome | None:
    """What a judge is asked after the rules gave `outcome`; None where their word stands.

    A task that fails at the question gives the outcome of that.
    """
    if trajectory.stop in _VERDICTS or outcome.verdict is Verdict.JUDGE_ERROR:
        return None
    return _safely(task, lambda: task.judge_question(sample, said(trajectory), outcome))


def ruled(task: Task, sample: Sample, trajectory: Trajectory, outcome: Outcome, ruling: Ruling) -> Outcome:
    """The outcome with a judge's word; a judge that failed makes an error, and never a wrong answer."""
    if ruling.said.failed:
        return unjudged(outcome, ruling.error or f"the judge is {ruling.said}", ruling)
    return _safely(task, lambda: task.after_judge(sample, said(trajectory), outcome, ruling))


def unjudged(outcome: Outcome, why: str, ruling: Ruling | None = None) -> Outcome:
    """The outcome of a response that only a judge could read, and none did."""
    return replace(
        outcome,
        verdict=Verdict.JUDGE_ERROR,
        answer=None,
        reason="",
        official=None,
        official_answer=None,
        error=why,
        ruling=ruling,
    )


def _safely(task: Task, work: Callable[[], T]) -> T | Outcome:
    """What a task's own code gives; it may fail in any way, and must cost no other row."""
    try:
        return work()
    except Exception as error:
        why = f"task {task.name} cannot score: {type(error).__name__}: {one_line(error)}"
        return Outcome(verdict=Verdict.JUDGE_ERROR, error=why, scorer=f"{task.name}/{task.version}")


def said(trajectory: Trajectory) -> str:
    """What is scored: the response without what stands in calls that were not run, such as code that prints answers."""
    text = trajectory.response
    for call in trajectory.turns[-1].calls if trajectory.turns else ():
        if call.status in (CallStatus.NOT_RUN, CallStatus.MALFORMED) and call.raw:
            text = _without(text, call.raw)
    return text


def _without(text: str, raw: str) -> str:
    """`text` without a call; a call of a letter or two is not taken for the same letters elsewhere."""
    if len(raw) >= _UNLIKE_WORDS:
        return text.replace(raw, "")
    at = text.find(raw)
    while at >= 0:
        before = text[max(0, at - _UNLIKE_WORDS) : at].rstrip()
        if before.endswith(">") and not before.endswith("<answer>"):
            return text[:at] + text[at + len(raw) :]
        at = text.find(raw, at + 1)
    return text
