"""What is left of a stored trajectory where a run goes on: no text, no image."""

from __future__ import annotations

import msgspec

from evalkit.records import CallStatus, Record, Verdict

RAN = frozenset(status for status in CallStatus if status.dispatched)
"""What became of a call for which a tool really ran."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One stored trajectory.

    Attributes:
        arm: see `Record`.
        verdict: what became of it.
        error: one line, for the error verdicts.
        started_at: seconds since the epoch; None where it is not known.
        called: at least one of its calls really ran.
    """

    arm: str
    verdict: Verdict
    error: str
    started_at: float | None
    called: bool


def stored_of(record: Record) -> Stored:
    """The same of a record."""
    outcome, trajectory = record.outcome, record.trajectory
    called = any(call.status in RAN for turn in trajectory.turns for call in turn.calls)
    return Stored(record.arm, outcome.verdict, outcome.error, trajectory.started_at, called)
