"""The agent's first tries of a run, taken in one by one: numbers and outcomes stay, texts and turns do not."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

import msgspec

from evalkit.analysis.rollout import Rollout
from evalkit.records import CallStatus, Outcome, StopReason
from evalkit.runs.stored import RAN

_TOKENS = ("prompt_tokens", "completion_tokens", "image_tokens")
_TIMES = ("generate_s", "queue_s", "decode_s", "tool_s")
_tokens = attrgetter(*(f"usage.{name}" for name in _TOKENS))
_times = attrgetter(*(f"timing.{name}" for name in _TIMES))


class Case(msgspec.Struct, frozen=True, gc=False):
    """One row, with the names that a record has.

    Attributes:
        sample: the row without its texts.
        outcome: its score.
    """

    sample: Rollout
    outcome: Outcome


class Calls(msgspec.Struct, frozen=True, gc=False):
    """What became of one row's tool calls.

    Attributes:
        case: the row.
        ok: at least one succeeded.
        tools: those that really ran, each once.
    """

    case: Case
    ok: bool
    tools: frozenset[str]


class Tally:
    """What a summary says of rows, but for their texts.

    Attributes:
        cases: every row.
        scored: those without an error.
        calls: the scored rows whose trajectory is known whole.
        statuses: calls of these by what became of them.
        ttft: seconds to the first token, of each turn of a scored row that was timed.
        original: megapixels of each image of a scored row of which both sizes are known, as it is.
        shown: the same as the model got them.
        tries: rows by what their protocol did beside the usual; see `Summary.tries`.
    """

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.scored: list[Case] = []
        self.calls: list[Calls] = []
        self.statuses: Counter[str] = Counter()
        self.ttft, self.original, self.shown = array("d"), array("d"), array("d")
        self.tries: Counter[str] = Counter()
        self._tools: dict[frozenset[str], frozenset[str]] = {}
        self._has_score = bytearray()
        self._columns = {name: array("d") for name in (*_TOKENS, *_TIMES, "total_s", "shown_tokens")}

    def add(self, record: Any, one: Rollout) -> None:
        """Take in a row.

        Args:
            record: `Record` or `LightRecord`.
            one: of this record.
        """
        case = Case(one, record.outcome)
        self.cases.append(case)
        self._has_score.append(not one.error)
        turns = record.trajectory.turns
        self._add_numbers(record.trajectory)
        self._add_tries(record.trajectory)
        if one.error:
            return
        self.scored.append(case)
        self.ttft.extend(turn.timing.ttft_s for turn in turns if turn.timing.ttft_s is not None)
        for image in (image for turn in turns for image in turn.shown):
            if image.shown_width is not None and image.shown_height is not None:
                self.original.append(image.width * image.height / 1e6)
                self.shown.append(image.shown_width * image.shown_height / 1e6)
        if one.calls is not None:
            made = [call for turn in turns for call in turn.calls]
            self.statuses.update(str(call.status) for call in made)
            tools = frozenset(call.tool for call in made if call.status in RAN)
            ok = any(call.status is CallStatus.OK for call in made)
            self.calls.append(Calls(case, ok, self._tools.setdefault(tools, tools)))

    def column(self, name: str, *, scored: bool = True) -> Iterator[float]:
        """What each row used, NaN where it is not known: tokens, seconds, or tokens of its images.

        Args:
            name: a field of `Usage` or `Timing`, summed over turns; "total_s" or "shown_tokens".
            scored: leave out errors.
        """
        values = self._columns[name]
        return compress(values, self._has_score) if scored else iter(values)

    def _add_numbers(self, trajectory: Any) -> None:
        turns, columns = trajectory.turns, self._columns
        # of a trajectory without turns no time is known, and no token was used
        used = zip(*map(_tokens, turns), strict=True) if turns else ((),) * len(_TOKENS)
        times = zip(*map(_times, turns), strict=True) if turns else ((None,),) * len(_TIMES)
        for name, parts in zip((*_TOKENS, *_TIMES), (*used, *times), strict=True):
            columns[name].append(_sum(parts))
        columns["total_s"].append(math.nan if trajectory.total_s is None else trajectory.total_s)
        shown = [image.tokens for turn in turns for image in turn.shown]
        columns["shown_tokens"].append(_sum(shown or (None,)))

    def _add_tries(self, trajectory: Any) -> None:
        self.tries["discarded"] += any(turn.discarded for turn in trajectory.turns)
        self.tries["restarted"] += trajectory.restarts > 0
        self.tries["fallback"] += bool(trajectory.fallback)
        self.tries["gave_up"] += trajectory.stop is StopReason.GAVE_UP


def _sum(parts: Sequence[float | None]) -> float:
    """Not known as soon as one part is not."""
    return math.nan if None in parts else math.fsum(parts)  # type: ignore[arg-type]
