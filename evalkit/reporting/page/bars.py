"""What is drawn in a table's cells: places along an interval bar, and parts of an outcome bar."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from evalkit.analysis.board import Board, Entry
from evalkit.analysis.figure import Figure
from evalkit.records import Verdict

WIDTH = 100.0
"""Of both bars, in pixels."""
_STEP = 0.1

_NAMES = {
    Verdict.CORRECT: ("right", "right"),
    Verdict.INCORRECT: ("wrong", "wrong"),
    Verdict.UNPARSED: ("none", "without an answer that can be read"),
    Verdict.LIMIT_TURNS: ("none", "out of turns"),
    Verdict.LIMIT_TOKENS: ("none", "out of tokens"),
    Verdict.LIMIT_TIME: ("none", "out of time"),
    Verdict.JUDGE_ERROR: ("error", "judge errors"),
    Verdict.ENGINE_ERROR: ("error", "engine errors"),
    Verdict.SANDBOX_ERROR: ("error", "sandbox errors"),
    Verdict.DATA_ERROR: ("error", "data errors"),
}
"""Class and words of each verdict, in the order in which they are drawn."""


class Axis(NamedTuple):
    """The part of 0..1 that a board's interval bars show."""

    low: float
    high: float

    def x(self, value: float) -> float:
        """Where a share lies, in pixels."""
        return round((min(max(value, self.low), self.high) - self.low) / (self.high - self.low) * WIDTH, 1)

    @property
    def words(self) -> str:
        """For the column's heading."""
        return f"{100 * self.low:.0f} – {100 * self.high:.0f} %"

    @property
    def ticks(self) -> list[float]:
        """Where the tens lie, both ends left out."""
        tens = range(math.ceil(round(self.low / _STEP, 6)), math.floor(round(self.high / _STEP, 6)) + 1)
        return [self.x(ten * _STEP) for ten in tens if self.low < ten * _STEP - 1e-9 and ten * _STEP < self.high - 1e-9]


class IntervalBar(NamedTuple):
    """One value with its interval, or published values without one; in pixels."""

    points: tuple[float, ...]
    low: float | None = None
    high: float | None = None


class Part(NamedTuple):
    """One kind of outcome: class, left end and width in pixels, and words."""

    kind: str
    x: float
    width: float
    words: str


class OutcomeBar(NamedTuple):
    """All rows of a run by what became of them; `words` says the same."""

    parts: tuple[Part, ...]
    words: str


def axis_of(board: Board) -> Axis:
    """Tens around all that is drawn of a board."""
    ends = [
        value
        for entry in board.entries
        for value in (entry.accuracy.value, entry.accuracy.low, entry.accuracy.high)
        if value is not None
    ]
    ends += [one.value / 100 for one in board.published if one.task == board.task and one.metric == "accuracy"]
    if not ends:
        return Axis(0.0, 1.0)
    low = max(0.0, math.floor(round(min(ends) / _STEP, 6)) * _STEP)
    high = min(1.0, math.ceil(round(max(ends) / _STEP, 6)) * _STEP)
    return Axis(low, high) if high - low > _STEP / 2 else Axis(max(0.0, low - _STEP), min(1.0, high + _STEP))


def interval_bar(figure: Figure, axis: Axis) -> IntervalBar | None:
    """A measured value; None where there is none."""
    if figure.value is None:
        return None
    ends = (None, None) if figure.low is None or figure.high is None else (axis.x(figure.low), axis.x(figure.high))
    return IntervalBar((axis.x(figure.value),), *ends)


def published_bar(values: Iterable[float], axis: Axis) -> IntervalBar | None:
    """What others publish, as shares."""
    points = tuple(sorted({axis.x(value) for value in values}))
    return IntervalBar(points) if points else None


def outcome_bar(entry: Entry) -> OutcomeBar:
    """A run's rows; those without a record are a part of their own."""
    counts = [(*_NAMES[verdict], entry.outcomes.get(verdict, 0)) for verdict in Verdict]
    missing = max(0, entry.expected - sum(count for *_, count in counts))
    counts = [one for one in [*counts, ("missing", "not run", missing)] if one[2]]
    total = sum(count for *_, count in counts)
    parts: list[Part] = []
    x = 0.0
    for kind, words, count in counts:
        width = count / total * WIDTH
        parts.append(Part(kind, round(x, 2), round(width, 2), f"{count:,} {words}"))
        x += width
    return OutcomeBar(tuple(parts), ", ".join(part.words for part in parts) or "no row")
