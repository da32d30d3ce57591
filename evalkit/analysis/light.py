"""A run's records without their texts: what the figures need, read in half the time and without their memory.

The fields have the names they have in `evalkit.records`, so that code for one reads the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from evalkit.records import AGENT, CallStatus, Outcome, StopReason, Timing, Usage
from evalkit.runs.lines import latest_lines

TAIL = 40
"""Characters of a model's text that are kept."""


class Tail(str):
    """The last `TAIL` characters of a text."""

    __slots__ = ()


class Counted(msgspec.Struct, frozen=True, gc=False):
    """A thing of which only the number matters, e.g. an image."""


class LightSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See `Sample`; the images' names are left out."""

    id: str
    question: str = ""
    answer: str = ""
    images: tuple[Counted, ...] = ()
    choices: dict[str, str] = {}
    category: str = ""
    cluster: str = ""


class LightCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See `ToolCall`; the arguments are left out."""

    tool: str
    status: CallStatus
    seconds: float | None = 0.0
    error: str = ""


class LightObservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See `Observation`."""

    images: tuple[Counted, ...] = ()


class LightShown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See `Shown`."""

    width: int
    height: int
    shown_width: int | None = None
    shown_height: int | None = None
    tokens: int | None = None


class LightTurn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See `Turn`; of the text only the end is kept."""

    text: Tail
    finish_reason: str = ""
    calls: tuple[LightCall, ...] = ()
    observations: tuple[LightObservation, ...] = ()
    usage: Usage = Usage()
    timing: Timing = Timing()
    retries: int = 0
    shown: tuple[LightShown, ...] = ()
    discarded: Tail = Tail()


class LightTrajectory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See `Trajectory`; the prompt is left out."""

    stop: StopReason
    turns: tuple[LightTurn, ...] = ()
    started_at: float | None = 0.0
    total_s: float | None = 0.0
    partial: bool = False
    restarts: int = 0
    fallback: Tail = Tail()


class LightRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See `Record`."""

    version: int
    sample: LightSample
    trajectory: LightTrajectory
    outcome: Outcome
    arm: str = AGENT
    repeat: int = 0


def read_light(folder: Path) -> list[LightRecord]:
    """The valid record of each trajectory of a run: its last line, in the order of first appearance.

    A torn last line is left out, as is a file that is not there yet.

    Raises:
        DataError: a line in the middle is corrupt, or of a newer version; the message names it.
    """
    return [record for _, record in latest_lines(folder, decode_light)]


def _tail(kind: type, value: Any) -> Any:
    if kind is Tail and isinstance(value, str):
        return Tail(value[-TAIL:])
    raise NotImplementedError(kind)


decode_light = msgspec.json.Decoder(LightRecord, dec_hook=_tail).decode
"""From a line of `samples.jsonl` to its light record."""
