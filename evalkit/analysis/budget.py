"""How right the agent would have been with fewer calls, tokens or seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from evalkit.analysis.figure import Figure, bounded_mean, codes_of, figure, share_of
from evalkit.analysis.rollout import Rollout, rollouts_of
from evalkit.records import AGENT, Record, Rule, answer_arm, calls_before_answer

Unit = Literal["calls", "tokens", "seconds"]
UNITS: tuple[Unit, ...] = ("calls", "tokens", "seconds")
POINTS = 20
"""Steps of a curve; over calls and tokens each whole number is one, where those are fewer."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy at one budget."""

    budget: float
    accuracy: Figure


class BudgetCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy against what one trajectory may use.

    Attributes:
        unit: tool calls that really run, tokens generated over all turns, or seconds from start to end.
        forced: a trajectory beyond the budget gave a forced answer there; else it counts as not answered.
        points: from a budget of 0 up to `upto`.
        area: mean accuracy over all budgets from 0 to `upto`: the area under the curve, normalised. Over calls and
            tokens it is the mean over the whole numbers.
        upto: the largest budget; compare areas only where it is the same.
        n: rows.
        left_out: rows that are not in the curve, by reason.
        why: why there is no curve; empty where there is one.
    """

    unit: Unit
    forced: bool
    points: tuple[Point, ...] = ()
    area: Figure = Figure()
    upto: float = 0.0
    n: int = 0
    left_out: dict[str, int] = {}
    why: str = ""


class _Row(NamedTuple):
    """One trajectory: what it used, and whether it was right at each number of calls before it was done."""

    used: float
    right: bool
    cut: Sequence[bool]
    cluster: str

    def at(self, budget: float) -> bool:
        """Right with this budget."""
        if self.used <= budget:
            return self.right
        return self.cut[int(budget)] if self.cut else False


def budget_curve(
    records: Iterable[Record],
    unit: Unit = "calls",
    *,
    forced: bool = False,
    upto: float | None = None,
    rule: Rule = Rule.STRICT,
    arm: str = AGENT,
) -> BudgetCurve:
    """Accuracy when each trajectory may use at most so much, from one recorded run.

    A trajectory that stayed within the budget keeps its verdict. One that went beyond counts as not answered, which
    is exactly what a limit gives: up to there nothing tells the model of it. (Seconds are those of the recorded run,
    with its load.) What the model would have said if asked at the limit only forced answers can tell: with `forced`
    a trajectory of more than k calls counts as its record in the arm `answer@k` does, and the curve need not rise.

    Args:
        records: of one run.
        unit: what is limited.
        forced: use forced answers; for calls alone.
        upto: the largest budget; None takes the most that a trajectory used.
        rule: whose verdicts.
        arm: which trajectories, repeat 0.

    Raises:
        ValueError: `forced` with another unit than calls, or a budget below 0.
    """
    if forced and unit != "calls":
        raise ValueError(f"forced answers are after so many calls, not {unit}")
    if upto is not None and not 0 <= upto < float("inf"):
        raise ValueError(f"upto must be a number of at least 0, not {upto}")
    rollouts = rollouts_of(records, rule)
    left_out: Counter[str] = Counter()
    found: list[tuple[Rollout, float]] = []
    for one in rollouts:
        if one.arm != arm or one.repeat != 0:
            continue
        used: float | None = getattr(one, unit)
        if one.error or used is None:
            left_out["errors" if one.error else f"{unit} not known"] += 1
        else:
            found.append((one, used))
    most = max((used for _, used in found), default=0.0) if upto is None else upto
    rows = _forced_rows(found, rollouts, most, left_out) if forced else _stopped_rows(found)
    empty = BudgetCurve(unit=unit, forced=forced, upto=most, n=len(rows), left_out=dict(left_out))
    if why := _unavailable(rollouts, rows, unit, most, forced=forced):
        return msgspec.structs.replace(empty, area=Figure(why=why), why=why)
    clusters = codes_of([row.cluster for row in rows])
    return msgspec.structs.replace(
        empty,
        points=tuple(
            Point(
                budget=budget,
                accuracy=figure(lambda budget=budget: share_of([r.at(budget) for r in rows], clusters), len(rows)),  # type: ignore[misc]
            )
            for budget in _grid(unit, most)
        ),
        area=figure(lambda: bounded_mean([_area(row, unit, most) for row in rows], clusters), len(rows)),
    )


def budget_curves(records: Sequence[Record], rule: Rule = Rule.STRICT) -> tuple[BudgetCurve, ...]:
    """The agent's curves over calls, tokens and seconds, and over calls by forced answers where there are any."""
    curves = [budget_curve(records, unit, rule=rule) for unit in UNITS]
    if any(calls_before_answer(record.arm) is not None for record in records):
        curves.insert(1, budget_curve(records, "calls", forced=True, rule=rule))
    return tuple(curves)


def _stopped_rows(found: Sequence[tuple[Rollout, float]]) -> list[_Row]:
    return [_Row(used, one.right, (), one.cluster) for one, used in found]


def _forced_rows(
    found: Sequence[tuple[Rollout, float]], rollouts: Sequence[Rollout], most: float, left_out: Counter[str]
) -> list[_Row]:
    """Rows with every forced answer that the curve needs; the others are counted as left out."""
    answers = {(one.id, one.arm): one for one in rollouts if one.repeat == 0 and not one.error}
    rows = []
    for one, used in found:
        needed = [answers.get((one.id, answer_arm(k))) for k in range(min(int(used), int(most) + 1))]
        cut = [answer.right for answer in needed if answer is not None]
        if len(cut) < len(needed):
            left_out["a forced answer is missing or an error"] += 1
        else:
            rows.append(_Row(used, one.right, cut, one.cluster))
    return rows


def _unavailable(rollouts: Sequence[Rollout], rows: Sequence[_Row], unit: Unit, most: float, *, forced: bool) -> str:
    if forced and not any(calls_before_answer(one.arm) is not None for one in rollouts):
        return "no forced answers were asked for"
    if not rows:
        return f"there is no scored row of which the {unit} are known"
    return "" if most > 0 or unit == "calls" else f"no row used any {unit}"


def _grid(unit: Unit, most: float) -> list[float]:
    if unit == "seconds":
        return [*(most * i / POINTS for i in range(POINTS)), most]
    return [float(k) for k in sorted({-(-int(most) * i // POINTS) for i in range(POINTS + 1)})]


def _area(row: _Row, unit: Unit, most: float) -> float:
    """Share of the budgets from 0 to the largest at which the row is right."""
    if unit == "seconds":
        return max(0.0, 1 - row.used / most) if row.right else 0.0
    budgets = int(most) + 1
    inside = max(0, budgets - int(row.used)) if row.right else 0
    return (inside + sum(row.cut[:budgets])) / budgets
