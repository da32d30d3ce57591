"""The first filter: trajectories that can teach a tool's use at all, told by their records alone."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.curation.source import Entry, Sifted
from evalkit.records import Rule, StopReason

NAME = "whole"
EXPLAINED = (
    "A trajectory must have come to its own end with the right answer, in one conversation, with at least one tool "
    "call, and with every call really run: a call that no tool could run has nothing to be executed again. Rows in "
    "which the harness failed, not the agent, are errors."
)


def whole(entries: Sequence[Entry], rule: Rule = Rule.STRICT) -> Sifted[Entry]:
    """Drop what cannot be learned from, whatever its calls are.

    Reasons: `partial`, `unfinished`, `wrong_answer`, `rewritten` (the protocol took turns out), `no_call`,
    `call_not_run`. Errors: the verdict, e.g. `engine_error`.

    Args:
        entries: trajectories.
        rule: whose verdict says that an answer is right.
    """
    sifted = Sifted[Entry]([], [])
    for entry in entries:
        verdict = entry.record.outcome.verdict
        if verdict.is_error:
            why = entry.record.outcome.error or entry.record.trajectory.error
            sifted.out.append(entry.fate(NAME, verdict.value, why, error=True))
        elif problem := _problem(entry, rule):
            sifted.out.append(entry.fate(NAME, *problem))
        else:
            sifted.kept.append(entry)
    return sifted


def _problem(entry: Entry, rule: Rule) -> tuple[str, str] | None:
    trajectory = entry.record.trajectory
    if trajectory.partial:
        return "partial", "only the last response is recorded"
    if trajectory.stop is not StopReason.ANSWERED:
        return "unfinished", trajectory.error or trajectory.stop.value
    if not entry.record.outcome.right(rule):
        return "wrong_answer", ""
    if trajectory.fallback or trajectory.restarts or any(turn.discarded for turn in trajectory.turns):
        return "rewritten", "the protocol took turns out of the conversation"
    if not trajectory.calls:
        return "no_call", ""
    odd = next((call for call in trajectory.calls if not call.status.dispatched), None)
    return None if odd is None else ("call_not_run", f"{odd.status.value}: {odd.error}")
