"""Which runs of a board no other beats, by the figures that its table shows."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis.board import Entry
from evalkit.analysis.budget import UNITS
from evalkit.analysis.pareto import CostPoint, Front, pareto_front


def fronts_of(entries: Sequence[Entry]) -> tuple[Front, ...]:
    """Accuracy against mean calls, mean generated tokens and median seconds as run, in the order of `UNITS`."""
    points = [
        CostPoint(
            name=entry.run,
            accuracy=entry.accuracy.value,
            calls=entry.calls.value,
            tokens=entry.tokens_out.value,
            seconds=entry.p50.value,
        )
        for entry in entries
    ]
    return tuple(pareto_front(points, unit) for unit in UNITS)
