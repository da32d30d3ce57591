"""Quantiles with intervals: exact coverage by enumeration, clusters by simulation, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from evalkit.stats import StatsUnavailable, quantile, samples_for_quantile

NORMAL_95 = float(scipy_stats.norm.ppf(0.95))


@pytest.mark.parametrize(("probability", "n"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_the_fewest_samples_are_known(probability: float, n: int) -> None:
    assert samples_for_quantile(probability) == n
    # with one fewer, the whole range of the values covers the quantile less often than it should at one end
    assert (
        max(probability**n, (1 - probability) ** n) <= 0.025 < max(probability ** (n - 1), (1 - probability) ** (n - 1))
    )
    values = np.arange(n, dtype=float)
    assert quantile(values, probability).interval.high == n - 1
    with pytest.raises(StatsUnavailable, match=f"needs {n} independent values, there are {n - 1}"):
        quantile(values[:-1], probability)


@pytest.mark.parametrize(
    ("n", "probability"),
    [*((n, 0.5) for n in (6, 25, 191, 5000)), *((n, 0.95) for n in (72, 191, 800)), (368, 0.99), (5000, 0.99)],
)
def test_the_interval_covers_at_least_as_often_as_it_says_and_no_narrower_one_would(n: int, probability: float) -> None:
    # the values are their own places, so the ends tell which order statistics they are
    low, high = map(int, quantile(np.arange(n, dtype=float), probability).interval)
    law = scipy_stats.binom(n, probability)
    # value number `low` lies above the true quantile, or number `high` below it, so often
    above, below = law.cdf(low), law.sf(high)
    assert above <= 0.025
    assert below <= 0.025
    assert law.cdf(low + 1) > 0.025
    assert law.sf(high - 1) > 0.025


def test_the_interval_of_a_median_is_that_of_the_tables() -> None:
    # places 40 and 61 of 100: H. A. David, H. N. Nagaraja, section 7.1; any table of the sign test
    assert quantile(np.arange(1.0, 101.0), 0.5).interval == (40, 61)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize(("probability", "truth"), [(0.5, 0.0), (0.95, NORMAL_95)])
def test_clustered_intervals_cover(correlation: float, probability: float, truth: float) -> None:
    rng = np.random.default_rng(7)
    labels, trials, held, ignored = np.repeat(np.arange(200), 4), 1500, 0, 0
    for _ in range(trials):
        shared, own = np.repeat(rng.normal(size=200), 4), rng.normal(size=800)
        values = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
        low, high = quantile(values, probability, labels).interval
        held += low <= truth <= high
        low, high = quantile(values, probability).interval
        ignored += low <= truth <= high
    assert 0.94 <= held / trials <= 0.98
    if correlation and probability == 0.5:
        assert ignored / trials < 0.9


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=300), st.sampled_from([0.3, 0.5, 0.6]))
def test_the_value_is_numpys_and_lies_in_its_interval(values: list[float], probability: float) -> None:
    try:
        found = quantile(values, probability)
    except StatsUnavailable:
        assert len(values) < samples_for_quantile(probability)
        return
    assert found.value == pytest.approx(np.quantile(values, probability), rel=1e-9, abs=1e-9)
    assert found.interval.low <= found.value <= found.interval.high
    assert quantile(values, probability, list(range(len(values)))) == found


def test_what_cannot_be_had_is_said_so() -> None:
    with pytest.raises(StatsUnavailable, match="there is no sample"):
        quantile([], 0.5)
    with pytest.raises(StatsUnavailable, match="all samples belong to one cluster"):
        quantile([1.0] * 50, 0.5, ["a"] * 50)
    with pytest.raises(StatsUnavailable, match="needs 6 independent values, there are 5"):
        quantile(np.arange(50.0), 0.5, [label for label in "abcde" for _ in range(10)])
    with pytest.raises(ValueError, match="probability must lie between 0 and 1"):
        quantile([1.0], 1.0)
    with pytest.raises(ValueError, match="1 of 2 values are not finite"):
        quantile([1.0, float("nan")], 0.5)
    with pytest.raises(ValueError, match="lengths differ"):
        quantile([1.0, 2.0], 0.5, ["a"])


def test_equal_values_are_their_own_interval() -> None:
    found = quantile([3.0] * 100, 0.95)
    assert (found.value, *found.interval) == (3.0, 3.0, 3.0)
    assert quantile([3.0] * 400, 0.95, np.repeat(np.arange(100), 4)).interval == (3.0, 3.0)
