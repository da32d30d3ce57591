"""The difference and the ratio of two figures that have nothing but an interval each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.stats import Interval, StatsUnavailable, difference_apart, ratio_apart, wilson


def test_two_wilson_intervals_give_newcombes() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table II, example (a), method 10: 56/70 - 48/80
    found = difference_apart(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    assert tuple(found) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_figure_that_is_exact_shifts_the_others_interval() -> None:
    assert tuple(difference_apart(0.8, Interval(0.7, 0.85), 0.75, Interval(0.75, 0.75))) == pytest.approx((-0.05, 0.1))
    assert tuple(ratio_apart(3.0, Interval(2.0, 6.0), 2.0, Interval(2.0, 2.0))) == pytest.approx((1.0, 3.0))


def test_changing_the_sides_turns_the_interval() -> None:
    parts = (0.4, Interval(0.3, 0.6)), (0.2, Interval(0.1, 0.25))
    low, high = difference_apart(*parts[0], *parts[1])
    assert tuple(difference_apart(*parts[1], *parts[0])) == pytest.approx((-high, -low))
    low, high = ratio_apart(*parts[0], *parts[1])
    assert tuple(ratio_apart(*parts[1], *parts[0])) == pytest.approx((1 / high, 1 / low))


def test_a_lower_end_of_0_gives_no_bound_and_no_crash() -> None:
    assert ratio_apart(0.1, Interval(0.0, 0.2), 0.1, Interval(0.0, 0.2)) == (0.0, math.inf)
    for new, old in ((0.0, 1.0), (1.0, 0.0)):
        with pytest.raises(StatsUnavailable, match="above 0"):
            ratio_apart(new, Interval(0, 2), old, Interval(0, 2))
    with pytest.raises(ValueError, match="outside its interval"):
        difference_apart(1.0, Interval(2, 3), 0.0, Interval(0, 1))


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.3, 0.3, 60, 60), (0.9, 0.6, 50, 200), (0.05, 0.1, 300, 100)])
def test_the_difference_is_covered(p: float, q: float, n: int, m: int) -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for a, b in zip(rng.binomial(n, p, 2000), rng.binomial(m, q, 2000), strict=True):
        low, high = difference_apart(a / n, wilson(int(a), n), b / m, wilson(int(b), m))
        hits += low <= p - q <= high
    assert 0.94 < hits / 2000 < 0.97
