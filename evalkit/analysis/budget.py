"""How right the agent would have been with fewer calls, tokens or seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from evalkit.analysis.figure import Figure, bounded_mean, codes_of, figure, share_of
from evalkit.analysis.rollout import Rollout, rollouts_of
from evalkit.records import AGENT, Record, Rule, answer_arm, calls_before_answer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


class _Rows:
    """Trajectories: what each used, and whether it was right at each number of calls before it was done."""

    def __init__(self, found: Sequence[tuple[Rollout, float]], cuts: Sequence[Sequence[bool]] = ()) -> None:
        import numpy as np

        self.n = len(found)
        self.used = np.asarray([used for _, used in found], dtype=np.float64)
        self.right = np.asarray([one.right for one, _ in found], dtype=bool)
        self.clusters = codes_of([one.cluster for one, _ in found])
        self.cuts = cuts

    def right_within(self, budget: float) -> NDArray[np.bool_]:
        """Which are right with this budget."""
        import numpy as np

        inside = self.used <= budget
        found = self.right & inside
        if self.cuts:
            found |= np.asarray([not done and cut[int(budget)] for done, cut in zip(inside, self.cuts, strict=True)])
        return found

    def area(self, unit: Unit, most: float) -> list[float]:
        """For each the share of the budgets from 0 to the largest at which it is right."""
        import numpy as np

        if unit == "seconds":
            return [float(share) for share in np.maximum(0.0, 1 - self.used / most) * self.right]
        budgets = int(most) + 1
        inside = np.maximum(0, budgets - self.used.astype(np.int64)) * self.right
        if self.cuts:
            inside += np.asarray([sum(cut[:budgets]) for cut in self.cuts])
        return [float(share) for share in inside / budgets]


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
    return curve_of(rollouts_of(records, rule), unit, forced=forced, upto=upto, arm=arm)


def curve_of(
    rollouts: Sequence[Rollout],
    unit: Unit = "calls",
    *,
    forced: bool = False,
    upto: float | None = None,
    arm: str = AGENT,
) -> BudgetCurve:
    """See `budget_curve`."""
    if forced and unit != "calls":
        raise ValueError(f"forced answers are after so many calls, not {unit}")
    if upto is not None and not 0 <= upto < float("inf"):
        raise ValueError(f"upto must be a number of at least 0, not {upto}")
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
    rows = _forced_rows(found, rollouts, most, left_out) if forced else _Rows(found)
    empty = BudgetCurve(unit=unit, forced=forced, upto=most, n=rows.n, left_out=dict(left_out))
    if why := _unavailable(rollouts, rows, unit, most, forced=forced):
        return msgspec.structs.replace(empty, area=Figure(why=why), why=why)

    def at(budget: float) -> Figure:
        return figure(lambda: share_of(rows.right_within(budget), rows.clusters), rows.n)

    return msgspec.structs.replace(
        empty,
        points=tuple(Point(budget=budget, accuracy=at(budget)) for budget in _grid(unit, most)),
        area=figure(lambda: bounded_mean(rows.area(unit, most), rows.clusters), rows.n),
    )


def budget_curves(records: Sequence[Record], rule: Rule = Rule.STRICT) -> tuple[BudgetCurve, ...]:
    """The agent's curves over calls, tokens and seconds, and over calls by forced answers where there are any."""
    return curves_of(rollouts_of(records, rule))


def curves_of(rollouts: Sequence[Rollout]) -> tuple[BudgetCurve, ...]:
    """See `budget_curves`."""
    curves = [curve_of(rollouts, unit) for unit in UNITS]
    if any(calls_before_answer(one.arm) is not None for one in rollouts):
        curves.insert(1, curve_of(rollouts, "calls", forced=True))
    return tuple(curves)


def _forced_rows(
    found: Sequence[tuple[Rollout, float]], rollouts: Sequence[Rollout], most: float, left_out: Counter[str]
) -> _Rows:
    """Rows with every forced answer that the curve needs; the others are counted as left out."""
    answers = {(one.id, one.arm): one for one in rollouts if one.repeat == 0 and not one.error}
    kept, cuts = [], []
    for one, used in found:
        needed = [answers.get((one.id, answer_arm(k))) for k in range(min(int(used), int(most) + 1))]
        cut = [answer.right for answer in needed if answer is not None]
        if len(cut) < len(needed):
            left_out["a forced answer is missing or an error"] += 1
        else:
            kept.append((one, used))
            cuts.append(cut)
    return _Rows(kept, cuts)


def _unavailable(rollouts: Sequence[Rollout], rows: _Rows, unit: Unit, most: float, *, forced: bool) -> str:
    if forced and not any(calls_before_answer(one.arm) is not None for one in rollouts):
        return "no forced answers were asked for"
    if not rows.n:
        return f"there is no scored row of which the {unit} are known"
    return "" if most > 0 or unit == "calls" else f"no row used any {unit}"


def _grid(unit: Unit, most: float) -> list[float]:
    if unit == "seconds":
        return [*(most * i / POINTS for i in range(POINTS)), most]
    return [float(k) for k in sorted({-(-int(most) * i // POINTS) for i in range(POINTS + 1)})]
