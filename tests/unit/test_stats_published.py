"""Against published figures: the two intervals, and whether a printed figure can be a count at all."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from evalkit import stats
from evalkit.stats import Rounding


def test_a_published_mean_without_n_moves_the_own_interval_and_says_so() -> None:
    own = stats.wilson(174, 191)
    found = stats.against_published(174 / 191, own, 0.882)
    assert found.value == pytest.approx(174 / 191 - 0.882)
    assert found.interval == pytest.approx((own.low - 0.882, own.high - 0.882))
    assert found.kind == "one-sample"
    assert "taken as exact" in found.caveat


@pytest.mark.parametrize(
    ("k", "n", "j", "m"), [(174, 191, 168, 191), (5, 20, 90, 100), (0, 10, 7, 10), (10, 10, 10, 12)]
)
def test_with_its_n_the_interval_is_newcombes(k: int, n: int, j: int, m: int) -> None:
    found = stats.against_published(k / n, stats.wilson(k, n), j / m, published_n=m)
    assert found.interval == pytest.approx(confint_proportions_2indep(k, n, j, m, method="newcomb"))
    assert found.kind == "two-sample"
    assert "pairing" in found.caveat


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0, 1), st.data())
def test_the_interval_contains_the_difference(n: int, m: int, published: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    own = stats.wilson(k, n)
    one = stats.against_published(k / n, own, published)
    two = stats.against_published(k / n, own, published, published_n=m)
    for found in (one, two):
        assert found.interval.low <= found.value <= found.interval.high
    assert two.interval.high - two.interval.low >= one.interval.high - one.interval.low - 1e-12


PLAIN = {
    "91.1": 174, "88.0": 168, "87.4": 167, "86.4": 165, "84.3": 161, "82.2": 157,
    "83.2": 159, "81.2": 155, "80.6": 154, "78.5": 150, "75.4": 144, "94.2": 180,
}  # fmt: skip


@pytest.mark.parametrize(("figure", "count"), PLAIN.items())
def test_figures_of_v_star_that_are_counts_of_191(figure: str, count: int) -> None:
    found = stats.granularity(figure, 191)
    assert found.reachable
    assert found.rounding is Rounding.HALF_UP
    assert found.counts[Rounding.HALF_UP] == (count,)


@pytest.mark.parametrize("figure", ["88.7", "81.8", "85.5", "85.6", "88.2"])
def test_figures_of_v_star_that_no_count_of_191_gives(figure: str) -> None:
    found = stats.granularity(figure, 191)
    assert not found.reachable
    assert found.rounding is None


@pytest.mark.parametrize(
    ("figure", "rounding", "count"),
    [
        ("92.2", Rounding.DOUBLE, 176),
        ("83.3", Rounding.DOUBLE, 159),
        ("75.3", Rounding.TRUNCATED, 144),
        ("86.3", Rounding.TRUNCATED, 165),
    ],
)
def test_figures_of_v_star_that_only_odd_rounding_gives(figure: str, rounding: Rounding, count: int) -> None:
    found = stats.granularity(figure, 191)
    assert not found.reachable
    assert found.rounding is rounding
    assert {kind: hits for kind, hits in found.counts.items() if hits} == {rounding: (count,)}


def test_a_mean_over_32_runs_explains_what_one_run_does_not() -> None:
    assert not stats.granularity("88.2", 191).reachable
    assert stats.granularity("88.2", 191, steps=32).reachable


def test_half_points_and_shares() -> None:
    assert stats.granularity("65.2", 525, steps=2).counts[Rounding.HALF_UP] == (685,)
    assert stats.granularity("65.2", 1740).counts[Rounding.HALF_UP] == (1134, 1135)
    assert stats.granularity("0.911", 191, scale=1).counts[Rounding.HALF_UP] == (174,)


def test_halves_go_up_or_to_even() -> None:
    up = stats.granularity("82.3", 800)
    assert up.counts[Rounding.HALF_UP] == (658,)
    even = stats.granularity("82.2", 800)
    assert 658 in even.counts[Rounding.HALF_EVEN]
    assert 658 not in even.counts[Rounding.HALF_UP]
    assert 662 in stats.granularity("82.8", 800).counts[Rounding.HALF_UP]


def test_nothing_and_everything_right() -> None:
    assert stats.granularity("0.0", 191).counts[Rounding.HALF_UP] == (0,)
    assert stats.granularity("100.0", 191).counts[Rounding.HALF_UP] == (191,)
    assert stats.granularity("100", 1).counts[Rounding.TRUNCATED] == (1,)


@given(st.integers(1, 3000), st.integers(0, 4), st.data())
def test_every_count_is_found_again_from_its_figure(n: int, decimals: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    percent = (Decimal(100 * k) / Decimal(n)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    found = stats.granularity(str(percent), n)
    assert k in found.counts[Rounding.HALF_UP]
    for count in found.counts[Rounding.HALF_UP]:
        assert abs(100 * count / n - float(percent)) <= 0.5 * 10**-decimals + 1e-9
