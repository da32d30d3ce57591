"""Which runs are worth their cost: accuracy against calls, tokens or seconds over many runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from evalkit.analysis.rollout import Rollout, rollouts_of
from evalkit.records import AGENT, Rule


class CostPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its accuracy over scored rows and its means per row; None where a mean is not known for every row.

    Attributes:
        name: of the run.
        accuracy: share of scored rows that are right.
        calls: tool calls that really ran.
        tokens: generated over all turns.
        seconds: from start to end, as run; where it is said so, their median.
    """

    name: str
    accuracy: float | None
    calls: float | None = None
    tokens: float | None = None
    seconds: float | None = None


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that no other beats.

    Attributes:
        cost: what accuracy is set against.
        best: from the cheapest to the dearest, which are also the least and the most accurate.
        beaten: each other run, with the first on the front that is no worse in both and better in one.
        left_out: runs that cannot be placed, with the reason.
    """

    cost: str
    best: tuple[CostPoint, ...]
    beaten: dict[str, str]
    left_out: dict[str, str]


def cost_point(name: str, records: Iterable[Any], rule: Rule = Rule.STRICT) -> CostPoint:
    """A run's place, from the agent's trajectories (repeat 0) that have a score, whole or light."""
    return point_of(name, rollouts_of(records, rule))


def point_of(name: str, rollouts: Iterable[Rollout]) -> CostPoint:
    """See `cost_point`."""
    rows = [one for one in rollouts if one.arm == AGENT and one.repeat == 0 and not one.error]
    return CostPoint(
        name=name,
        accuracy=_mean([float(one.right) for one in rows]),
        calls=_mean([one.calls for one in rows]),
        tokens=_mean([one.tokens for one in rows]),
        seconds=_mean([one.seconds for one in rows]),
    )


def pareto_front(points: Sequence[CostPoint], cost: Literal["calls", "tokens", "seconds"] = "calls") -> Front:
    """The runs for which no other is at least as accurate and as cheap, and better in one of the two.

    Estimates are compared as they are: two runs within each other's intervals can be told apart only by a paired
    comparison. Runs that are equal in both stand on the front together.

    Args:
        points: one per run.
        cost: what accuracy is set against.
    """
    left_out = {}
    placed: list[tuple[float, float, CostPoint]] = []
    for point in points:
        price = getattr(point, cost)
        if point.accuracy is None or not math.isfinite(point.accuracy):
            left_out[point.name] = "no row has a score"
        elif price is None or not math.isfinite(price):
            left_out[point.name] = f"the {cost} of a row are not known"
        else:
            placed.append((price, point.accuracy, point))
    best: list[tuple[float, float, CostPoint]] = []
    beaten = {}
    for price, accuracy, point in sorted(placed, key=lambda one: (one[0], -one[1])):
        # sorted by price, so that only what stands on the front already can beat it
        winner = next((other for p, a, other in best if a >= accuracy and (p < price or a > accuracy)), None)
        if winner is None:
            best.append((price, accuracy, point))
        else:
            beaten[point.name] = winner.name
    return Front(cost=cost, best=tuple(point for *_, point in best), beaten=beaten, left_out=left_out)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
