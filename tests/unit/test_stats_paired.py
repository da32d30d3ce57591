"""Two models on the same samples: tests, differences and margins against statsmodels, scipy and plain counting."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from evalkit import stats
from evalkit.stats.paired_score import score_statistic
from evalkit.stats.paired_tests import sign_flips

Counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200)).filter(lambda c: sum(c) > 0)


def arrays(new_only: int, old_only: int, rest: int) -> tuple[np.ndarray, np.ndarray]:
    new = np.repeat([1, 0, 0], [new_only, old_only, rest])
    old = np.repeat([0, 1, 0], [new_only, old_only, rest])
    return new, old


@pytest.mark.parametrize(("b", "c"), [(1, 7), (0, 5), (12, 3), (40, 20), (6, 6), (0, 1), (300, 260)])
def test_exact_mcnemar_is_that_of_statsmodels(b: int, c: int) -> None:
    expected = statsmodels_mcnemar([[3, b], [c, 5]], exact=True).pvalue
    assert stats.mcnemar(b, c, mid_p=False) == pytest.approx(expected)


@pytest.mark.parametrize(("b", "c"), [(1, 7), (0, 5), (12, 3), (6, 6), (0, 1)])
def test_mid_p_counts_half_of_what_was_seen(b: int, c: int) -> None:
    n = b + c
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    expected = sum(
        p * (0.5 if abs(2 * k - n) == abs(b - c) else 1) for k, p in enumerate(chances) if abs(2 * k - n) >= abs(b - c)
    )
    assert stats.mcnemar(b, c) == pytest.approx(expected)


def test_mcnemar_of_the_airway_example() -> None:
    # Fagerland, Lydersen and Laake (2013): exact 0.070, mid-p 0.039 for 1 against 7.
    assert stats.mcnemar(1, 7, mid_p=False) == pytest.approx(18 / 256)
    assert stats.mcnemar(1, 7) == pytest.approx(10 / 256)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_a_probability_the_same_for_both_directions(b: int, c: int) -> None:
    exact, mid = stats.mcnemar(b, c, mid_p=False), stats.mcnemar(b, c)
    assert 0 < mid <= exact <= 1
    assert stats.mcnemar(c, b) == mid


def test_without_a_discordant_pair_nothing_speaks_against_equality() -> None:
    assert stats.mcnemar(0, 0) == 1
    assert stats.cluster_mcnemar([1, 0, 1, 1], [1, 0, 1, 1], [0, 0, 1, 1]) == 1


def test_sign_flips_are_all_sign_patterns() -> None:
    sizes = np.array([1, 2, 2, 3, 1, 4, 1])
    found = sign_flips(sizes)
    reach = int(sizes.sum())
    expected = np.zeros(2 * reach + 1)
    for signs in itertools.product([-1, 1], repeat=len(sizes)):
        expected[int(np.dot(signs, sizes)) + reach] += 0.5 ** len(sizes)
    assert found == pytest.approx(expected)


@given(Counts)
@settings(max_examples=50)
def test_with_one_sample_a_cluster_the_clustered_test_is_mcnemars(counts: tuple[int, int, int]) -> None:
    new, old = arrays(*counts)
    if len(new) > 1:
        for mid_p in (True, False):
            found = stats.cluster_mcnemar(new, old, np.arange(len(new)), mid_p=mid_p)
            assert found == pytest.approx(stats.mcnemar(counts[0], counts[1], mid_p=mid_p), abs=1e-10)


def test_copies_of_a_sample_do_not_make_a_difference_surer() -> None:
    new, old = arrays(12, 3, 40)
    copied = stats.cluster_mcnemar(np.repeat(new, 4), np.repeat(old, 4), np.repeat(np.arange(55), 4))
    assert copied == pytest.approx(stats.mcnemar(12, 3))
    assert stats.mcnemar(48, 12) < copied / 100


def profile_statistic(b: int, c: int, n: int, difference: float) -> float:
    """Tango's statistic with the restricted likelihood maximised numerically."""

    def loss(q: float) -> float:
        cells = ((b, q + difference), (c, q), (n - b - c, 1 - 2 * q - difference))
        return -sum(k * math.log(max(p, 1e-300)) for k, p in cells if k)

    lowest, highest = max(0.0, -difference), (1 - difference) / 2
    q = scipy.optimize.minimize_scalar(loss, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}).x
    return float((b - c - n * difference) / math.sqrt(n * (2 * q + difference - difference**2)))


@pytest.mark.parametrize(("b", "c", "n"), [(7, 1, 21), (40, 20, 160), (3, 9, 50), (1, 30, 191)])
@pytest.mark.parametrize("difference", [-0.3, -0.05, 0.02, 0.2])
def test_tangos_statistic_is_at_the_restricted_maximum(b: int, c: int, n: int, difference: float) -> None:
    found = score_statistic(b, c, n, difference)
    assert found == pytest.approx(profile_statistic(b, c, n, difference), rel=1e-4)


def test_tangos_interval_of_the_airway_example() -> None:
    # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014): -0.517 to -0.026 for 1 against 7 of 21.
    assert stats.tango(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_at_no_difference_tangos_statistic_is_mcnemars() -> None:
    assert score_statistic(40, 20, 160, 0) == pytest.approx(20 / math.sqrt(60))
    assert score_statistic(0, 0, 160, 0) == 0


def test_without_a_discordant_pair_tangos_interval_is_as_wide_as_wilsons_for_none() -> None:
    assert stats.tango(0, 0, 100) == pytest.approx((-stats.wilson(0, 100).high, stats.wilson(0, 100).high))


@given(Counts)
@settings(max_examples=60)
def test_tangos_interval_contains_the_difference_and_mirrors(counts: tuple[int, int, int]) -> None:
    b, c, rest = counts
    n = b + c + rest
    low, high = stats.tango(b, c, n)
    assert -1 <= low <= (b - c) / n + 1e-12
    assert (b - c) / n - 1e-12 <= high <= 1
    assert stats.tango(c, b, n) == pytest.approx((-high, -low), abs=1e-9)
    for end in (low, high):
        if abs(end) < 1 - 1e-9:
            assert abs(score_statistic(b, c, n, end)) == pytest.approx(1.959964, abs=1e-4)


def test_the_difference_of_independent_samples_is_tangos_with_mcnemars_p() -> None:
    new, old = arrays(12, 3, 176)
    found = stats.paired_difference(new, old)
    assert found.value == pytest.approx(9 / 191)
    assert found.interval == stats.tango(12, 3, 191)
    assert found.p_value == stats.mcnemar(12, 3)
    assert found.counts == stats.PairedCounts(both=0, new_only=12, old_only=3, neither=176)
    assert (found.method, found.test, found.clusters) == ("tango", "mcnemar:mid-p", None)


def test_copies_of_a_sample_do_not_narrow_the_difference() -> None:
    new, old = arrays(12, 3, 85)
    once = stats.paired_difference(new, old)
    copied = stats.paired_difference(np.repeat(new, 4), np.repeat(old, 4), np.repeat(np.arange(100), 4))
    assert copied.value == pytest.approx(once.value)
    assert copied.interval == pytest.approx(once.interval, abs=0.003)
    assert copied.effective_n == pytest.approx(100, rel=0.02)
    assert (copied.method, copied.test, copied.clusters) == ("cluster_tango", "cluster_mcnemar:mid-p", 100)


def lone_flips(clusters: int, size: int, pairs: int) -> stats.PairedDifference:
    """As many flips of either direction, each in a cluster of its own."""
    new, old = np.zeros(clusters * size), np.zeros(clusters * size)
    new[: pairs * size : size] = 1
    old[pairs * size : 2 * pairs * size : size] = 1
    return stats.paired_difference(new, old, np.repeat(np.arange(clusters), size))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_two_more_flips_of_opposite_directions_never_narrow_the_difference(size: int) -> None:
    ends = [lone_flips(250, size, pairs).interval.high for pairs in range(60)]
    assert all(more > fewer for fewer, more in itertools.pairwise(ends))
    assert ends[59] > 1.5 * ends[0]


def test_how_flips_cluster_is_assumed_where_none_is_seen_and_seen_where_many_are() -> None:
    none, many = lone_flips(250, 4, 0), lone_flips(250, 4, 100)
    assert none.effective_n == pytest.approx(1000 / (1 + 0.5 * 3))
    assert many.effective_n == pytest.approx(1000, rel=0.08)
    alone = stats.tango(0, 0, 1000)
    assert none.interval.high == pytest.approx(alone.high * 2.5, rel=0.02)


def test_a_loss_of_one_whole_cluster_counts_once() -> None:
    new, old = np.ones(400), np.ones(400)
    new[:4] = 0
    found = stats.paired_difference(new, old, np.repeat(np.arange(100), 4))
    assert found.effective_n == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("flips", [-1, 1])
def test_a_flip_of_every_sample_is_as_sure_as_none(flips: int) -> None:
    new, old, labels = np.full(400, (1 + flips) / 2), np.full(400, (1 - flips) / 2), np.repeat(np.arange(100), 4)
    found = stats.paired_difference(new, old, labels)
    assert found.effective_n == pytest.approx(400 / 2.5)
    assert found.interval.low < found.interval.high


Rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 7)), min_size=2, max_size=60)


@given(Rows)
@settings(max_examples=60)
def test_clustered_differences_contain_the_difference_and_mirror(rows: list[tuple[int, int, int]]) -> None:
    new, old, labels = (np.array(column) for column in zip(*rows, strict=True))
    if len(set(labels.tolist())) < 2:
        with pytest.raises(stats.StatsUnavailable):
            stats.paired_difference(new, old, labels)
        return
    found, swapped = stats.paired_difference(new, old, labels), stats.paired_difference(old, new, labels)
    assert -1 <= found.interval.low <= found.value <= found.interval.high <= 1
    assert (-swapped.interval.high, -swapped.interval.low) == pytest.approx(found.interval, abs=1e-9)
    assert swapped.p_value == pytest.approx(found.p_value)
    assert 0 < found.p_value <= 1


def test_the_mean_difference_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(5)
    new, old = rng.gamma(2, 1, 50), rng.gamma(2, 1, 50)
    reference = scipy.stats.ttest_rel(new, old)
    found = stats.paired_mean_difference(new, old)
    assert found.interval == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert stats.t_test(found) == pytest.approx(reference.pvalue)


def test_the_paired_bootstrap_is_the_bootstrap_of_differences() -> None:
    rng = np.random.default_rng(6)
    new, old, labels = rng.random(120), rng.random(120), np.repeat(np.arange(40), 3)
    paired = stats.paired_cluster_bootstrap(new, old, labels, draws=2000)
    assert paired == stats.cluster_bootstrap(new - old, labels, draws=2000, method="percentile")


@given(Counts, st.floats(0.005, 0.3), st.sampled_from([0.01, 0.025, 0.05]), st.booleans())
@settings(max_examples=80)
def test_a_margin_is_kept_exactly_where_the_interval_lies_inside_it(
    counts: tuple[int, int, int], margin: float, alpha: float, clustered: bool
) -> None:
    new, old = arrays(*counts)
    labels = [min(i, i // 3 + 1) for i in range(len(new))] if clustered and len(new) > 3 else None
    worse = stats.non_inferiority(new, old, margin, labels, alpha=alpha)
    same = stats.equivalence(new, old, margin, labels, alpha=alpha)
    assert worse.interval == same.interval
    if abs(worse.interval.low + margin) > 1e-9:
        assert worse.shown == (worse.interval.low > -margin) == (worse.p_value <= alpha)
        if abs(worse.interval.high - margin) > 1e-9:
            assert same.shown == (worse.interval.low > -margin and worse.interval.high < margin)
    assert same.p_value >= worse.p_value


def test_the_interval_of_a_margin_test_is_that_of_the_paired_difference() -> None:
    rng = np.random.default_rng(8)
    labels = np.repeat(np.arange(50), 4)
    old = rng.integers(0, 2, 200)
    new = np.where(rng.random(200) < 0.1, 1 - old, old)
    found = stats.non_inferiority(new, old, 0.1, labels, alpha=0.025)
    assert found.interval == pytest.approx(stats.paired_difference(new, old, labels, 0.95).interval)
    assert stats.equivalence(new, old, 0.1, labels).interval == pytest.approx(
        stats.paired_difference(new, old, labels, 0.90).interval
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=40)
def test_holm_is_that_of_statsmodels_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = stats.holm(p_values)
    assert adjusted == pytest.approx(multipletests(p_values, method="holm")[1])
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(adjusted[order]) >= 0)
    assert np.all(adjusted >= np.array(p_values))
    assert adjusted.max() <= 1
