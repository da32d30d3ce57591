"""Accuracy against a budget: curves counted by hand, and which runs are worth their cost."""

from __future__ import annotations

import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import Record, Rule
from evalkit.analysis.budget import POINTS, BudgetCurve, budget_curve, budget_curves
from evalkit.analysis.pareto import CostPoint, cost_point, pareto_front
from evalkit.reporting.repeats import budget_rows, curve_rows
from tests.arms import ERROR, NO_ANSWER, RIGHT, WRONG, record


def values(curve: BudgetCurve) -> list[tuple[float, float | None]]:
    return [(point.budget, point.accuracy.value) for point in curve.points]


# calls and verdict of five rows
ROWS = [record(i, verdict, calls=calls) for i, (calls, verdict) in enumerate(
    [(0, RIGHT), (0, WRONG), (1, RIGHT), (1, RIGHT), (3, RIGHT)]
)]  # fmt: skip


def test_a_row_beyond_the_budget_is_not_answered() -> None:
    curve = budget_curve(ROWS)
    assert values(curve) == [(0, 0.2), (1, 0.6), (2, 0.6), (3, 0.8)]
    assert (curve.upto, curve.n, curve.why) == (3, 5, "")
    assert (curve.points[1].accuracy.count, curve.points[1].accuracy.n) == (3, 5)


def test_the_area_is_the_mean_over_the_budgets() -> None:
    assert budget_curve(ROWS).area.value == pytest.approx((0.2 + 0.6 + 0.6 + 0.8) / 4)
    assert budget_curve(ROWS, upto=1).area.value == pytest.approx((0.2 + 0.6) / 2)
    assert budget_curve(ROWS, upto=7).area.value == pytest.approx((0.2 + 0.6 + 0.6 + 5 * 0.8) / 8)


def test_seconds_are_a_line_and_not_whole_numbers() -> None:
    rows = [record(0, RIGHT, seconds=1.0), record(1, WRONG, seconds=2.0), record(2, RIGHT, seconds=4.0)]
    curve = budget_curve(rows, "seconds")
    assert curve.upto == 4
    assert curve.area.value == pytest.approx((0.75 + 0 + 0) / 3)
    assert curve.points[-1].accuracy.value == pytest.approx(2 / 3)
    assert len(curve.points) == POINTS + 1


def test_tokens_are_those_generated() -> None:
    rows = [record(0, RIGHT, tokens=2), record(1, RIGHT, tokens=3)]
    assert values(budget_curve(rows, "tokens")) == [(0, 0), (1, 0), (2, 0.5), (3, 1)]


def test_a_long_curve_has_few_points_and_its_whole_area() -> None:
    rows = [record(i, RIGHT, tokens=i * 100) for i in range(50)]
    curve = budget_curve(rows, "tokens")
    assert len(curve.points) == POINTS + 1
    expected = sum(sum(i * 100 <= k for i in range(50)) / 50 for k in range(4901)) / 4901
    assert curve.area.value == pytest.approx(expected)


def test_errors_and_unknown_costs_are_left_out_and_counted() -> None:
    rows = [record(0, RIGHT), record(1, ERROR), record(2, RIGHT, tokens=None), record(3, RIGHT, seconds=math.nan)]
    assert budget_curve(rows, "calls").left_out == {"errors": 1}
    assert budget_curve(rows, "tokens").left_out == {"errors": 1, "tokens not known": 1}
    seconds = budget_curve(rows, "seconds")
    assert (seconds.n, seconds.left_out) == (2, {"errors": 1, "seconds not known": 1})


@pytest.mark.parametrize("rows", [[], [record(0, ERROR)], [record(0, RIGHT, partial=True)]])
def test_without_a_row_there_is_no_curve_and_a_reason(rows: list[Record]) -> None:
    curve = budget_curve(rows)
    assert (curve.points, curve.area.value) == ((), None)
    assert curve.why == curve.area.why == "there is no scored row of which the calls are known"


def test_no_calls_at_all_is_a_curve_of_one_point() -> None:
    curve = budget_curve([record(0, RIGHT), record(1, WRONG)])
    assert values(curve) == [(0, 0.5)]
    assert curve.area.value == 0.5
    assert budget_rows([curve]) == []
    seconds = budget_curve([record(0, RIGHT, seconds=0.0)], "seconds")
    assert seconds.why == "no row used any seconds"


def test_only_the_arm_asked_for_counts() -> None:
    rows = [record(0, RIGHT), record(0, WRONG, repeat=1), record(0, WRONG, arm="direct")]
    rows += [record(0, WRONG, arm="isolated", seconds=9.0)]
    assert values(budget_curve(rows)) == [(0, 1.0)]
    assert budget_curve(rows, "seconds", arm="isolated").upto == 9


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="forced answers"):
        budget_curve(ROWS, "tokens", forced=True)
    with pytest.raises(ValueError, match="upto"):
        budget_curve(ROWS, upto=math.inf)
    with pytest.raises(ValueError, match="upto"):
        budget_curve(ROWS, upto=-1)


class TestForcedAnswers:
    """What the model says when asked after k calls."""

    # row 2 is right at once and wrong after its call, row 4 right from two calls on
    ANSWERS = (
        record(2, RIGHT, arm="answer@0"),
        record(3, WRONG, arm="answer@0"),
        record(4, WRONG, arm="answer@0"),
        record(4, NO_ANSWER, arm="answer@1"),
        record(4, RIGHT, arm="answer@2"),
    )

    def test_they_stand_for_rows_beyond_the_budget(self) -> None:
        curve = budget_curve([*ROWS, *self.ANSWERS], forced=True)
        assert values(curve) == [(0, 0.4), (1, 0.6), (2, 0.8), (3, 0.8)]
        assert curve.area.value == pytest.approx((0.4 + 0.6 + 0.8 + 0.8) / 4)

    def test_the_curve_may_fall(self) -> None:
        rows = [record(0, WRONG, calls=1), record(0, RIGHT, arm="answer@0")]
        assert values(budget_curve(rows, forced=True)) == [(0, 1.0), (1, 0.0)]

    def test_a_row_whose_forced_answer_is_missing_or_failed_is_left_out(self) -> None:
        rows = [*ROWS, *self.ANSWERS[:-1], record(4, ERROR, arm="answer@2")]
        curve = budget_curve(rows, forced=True)
        assert (curve.n, curve.left_out) == (4, {"a forced answer is missing or an error": 1})
        assert budget_curve(rows, forced=True, upto=1).n == 5

    def test_without_them_there_is_a_reason(self) -> None:
        curve = budget_curve(ROWS, forced=True)
        assert curve.why == "no forced answers were asked for"

    def test_they_are_among_the_curves_of_a_run_that_has_them(self) -> None:
        kinds = [(curve.unit, curve.forced) for curve in budget_curves([*ROWS, *self.ANSWERS])]
        assert kinds == [("calls", False), ("calls", True), ("tokens", False), ("seconds", False)]
        assert [curve.forced for curve in budget_curves(ROWS)] == [False, False, False]
        names = [row.name for row in budget_rows(budget_curves([*ROWS, *self.ANSWERS]))]
        assert names[0] == "accuracy within 0 calls"
        assert "accuracy, asked after 1 call" in names
        assert "mean over 0 to 3 calls, when asked there" in [
            row.name for row in curve_rows(budget_curves([*ROWS, *self.ANSWERS]))
        ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from([RIGHT, WRONG, NO_ANSWER, ERROR]),
            st.one_of(st.none(), st.integers(0, 2000)),
            st.one_of(st.none(), st.floats(allow_nan=True), st.floats(0, 1e4)),
        ),
        max_size=20,
    ),
    st.sampled_from(["calls", "tokens", "seconds"]),
)
def test_a_stopped_curve_never_falls_and_ends_at_the_accuracy(
    drawn: list[tuple[int, object, int | None, float | None]], unit: str
) -> None:
    rows = [
        record(i, verdict, calls=calls, tokens=tokens, seconds=None if s is not None and s < 0 else s)  # type: ignore[arg-type]
        for i, (calls, verdict, tokens, s) in enumerate(drawn)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = budget_curve(rows, unit)  # type: ignore[arg-type]
    if curve.why:
        assert curve.points == ()
        return
    found = [point.accuracy.value for point in curve.points]
    known = [value for value in found if value is not None]
    assert known == sorted(known)
    assert len(known) == len(found) <= POINTS + 1
    assert curve.n + sum(curve.left_out.values()) == len(rows)
    assert curve.area.value is not None
    assert -1e-9 <= curve.area.value <= known[-1] + 1e-9


class TestTheFront:
    """Runs that no other beats."""

    POINTS = (
        CostPoint(name="cheap", accuracy=0.5, calls=0.0),
        CostPoint(name="good", accuracy=0.8, calls=1.0),
        CostPoint(name="good too", accuracy=0.8, calls=1.0),
        CostPoint(name="wasteful", accuracy=0.8, calls=2.0),
        CostPoint(name="worse", accuracy=0.7, calls=1.0),
        CostPoint(name="best", accuracy=0.9, calls=3.0),
        CostPoint(name="failed", accuracy=None, calls=1.0),
        CostPoint(name="unknown", accuracy=0.9),
        CostPoint(name="not a number", accuracy=math.nan, calls=1.0),
    )

    def test_it_holds_what_nothing_beats(self) -> None:
        front = pareto_front(self.POINTS)
        assert [point.name for point in front.best] == ["cheap", "good", "good too", "best"]
        assert front.beaten == {"worse": "good", "wasteful": "good"}
        assert front.left_out == {
            "failed": "no row has a score",
            "not a number": "no row has a score",
            "unknown": "the calls of a row are not known",
        }

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
    def test_by_definition(self, drawn: list[tuple[int, int]]) -> None:
        points = [CostPoint(name=str(i), accuracy=a / 5, tokens=float(t)) for i, (a, t) in enumerate(drawn)]
        front = pareto_front(points, "tokens")
        for i, (accuracy, tokens) in enumerate(drawn):
            beaten = any(a >= accuracy and t <= tokens and (a, t) != (accuracy, tokens) for a, t in drawn)
            assert (str(i) in front.beaten) == beaten
        assert len(front.best) + len(front.beaten) == len(drawn)

    def test_a_runs_place_is_that_of_its_scored_rows(self) -> None:
        rows = [*ROWS, record(9, ERROR, calls=9), record(0, WRONG, repeat=1, calls=9), record(0, WRONG, arm="direct")]
        point = cost_point("run", rows)
        assert (point.accuracy, point.calls, point.tokens, point.seconds) == (0.8, 1.0, 10.0, 1.0)
        unknown = cost_point("run", [*ROWS, record(9, RIGHT, tokens=None, seconds=math.inf)])
        assert (unknown.calls, unknown.tokens, unknown.seconds) == (5 / 6, None, None)
        assert cost_point("none", []).accuracy is None
        official = cost_point("run", [record(0, WRONG, official=True)], Rule.OFFICIAL)
        assert official.accuracy == 1
