"""From a trajectory to its outcome: the task scores answers; limits and errors speak for themselves."""

from __future__ import annotations

from evalkit.errors import one_line
from evalkit.records import CallStatus, Outcome, Sample, StopReason, Trajectory, Verdict
from evalkit.task import Task

_VERDICTS = {
    StopReason.LIMIT_TURNS: Verdict.LIMIT_TURNS,
    StopReason.LIMIT_TOKENS: Verdict.LIMIT_TOKENS,
    StopReason.LIMIT_TIME: Verdict.LIMIT_TIME,
    StopReason.ENGINE_ERROR: Verdict.ENGINE_ERROR,
    StopReason.SANDBOX_ERROR: Verdict.SANDBOX_ERROR,
    StopReason.DATA_ERROR: Verdict.DATA_ERROR,
}


def outcome_of(task: Task, sample: Sample, trajectory: Trajectory) -> Outcome:
    """The outcome of a trajectory; a response is scored only if the agent came to an end by itself."""
    verdict = _VERDICTS.get(trajectory.stop)
    if verdict is None:
        try:
            return task.score(sample, _said(trajectory))
        except Exception as error:
            # a task's own rule may fail in any way; it must cost no other row
            why = f"task {task.name} cannot score: {type(error).__name__}: {one_line(error)}"
            return Outcome(verdict=Verdict.JUDGE_ERROR, error=why, scorer=f"{task.name}/{task.version}")
    return Outcome(verdict=verdict, error=trajectory.error, scorer=f"{task.name}/{task.version}")


def _said(trajectory: Trajectory) -> str:
    """The response, without what stands in calls that were not run: code that prints an answer gives none."""
    text = trajectory.response
    for call in trajectory.turns[-1].calls if trajectory.turns else ():
        if call.status in (CallStatus.NOT_RUN, CallStatus.MALFORMED) and call.raw:
            text = text.replace(call.raw, "")
    return text
