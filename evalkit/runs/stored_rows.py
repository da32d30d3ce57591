"""What a run folder holds of each trajectory, as far as going on with the run needs."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from evalkit.records import AGENT, CallStatus, Verdict
from evalkit.runs.lines import read_lines
from evalkit.runs.store import Key
from evalkit.runs.stored import RAN, Stored


def stored_rows(folder: Path) -> dict[Key, Stored]:
    """What a run folder holds, by key and in the order of first appearance; of 100,000 rows some 40 MB.

    A torn last line is left out, as is a file that is not there yet. What it does not read is not checked.

    Raises:
        DataError: a line in the middle is corrupt, or of a newer version; the message names it.
    """
    found: dict[Key, Stored] = {}
    decode = msgspec.json.Decoder(_Row).decode
    for _, row in read_lines(folder, decode):
        called = any(call.status in RAN for turn in row.trajectory.turns for call in turn.calls)
        arm = sys.intern(row.arm)
        found[row.sample.id, arm, row.repeat] = Stored(
            arm, row.outcome.verdict, row.outcome.error, row.trajectory.started_at, called
        )
    return found


class _Id(msgspec.Struct, frozen=True, gc=False):
    id: str


class _Call(msgspec.Struct, frozen=True, gc=False):
    status: CallStatus


class _Turn(msgspec.Struct, frozen=True, gc=False):
    calls: tuple[_Call, ...] = ()


class _Trajectory(msgspec.Struct, frozen=True, gc=False):
    turns: tuple[_Turn, ...] = ()
    started_at: float | None = 0.0


class _Outcome(msgspec.Struct, frozen=True, gc=False):
    verdict: Verdict
    error: str = ""


class _Row(msgspec.Struct, frozen=True, gc=False):
    """The part of a `Record` that is read; the fields have its names."""

    version: int
    sample: _Id
    trajectory: _Trajectory
    outcome: _Outcome
    arm: str = AGENT
    repeat: int = 0
