"""Shares and means: intervals against statsmodels, scipy and matrices written out, and what they do at the edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from evalkit import stats
from evalkit.stats import StatsUnavailable
from evalkit.stats.bootstrap import resampled_means
from evalkit.stats.clusters import cluster_variance
from evalkit.stats.intervals import score_interval

RNG = np.random.default_rng(7)
SIZES = np.array([1, 5, 2, 2, 7, 1, 3, 4, 4, 1, 6, 2, 3, 3, 1, 2, 8, 1, 2, 3, 5, 4])
LABELS = np.repeat(np.arange(len(SIZES)), SIZES)
REAL = RNG.normal(3, 1, len(LABELS)) + np.repeat(RNG.normal(0, 1, len(SIZES)), SIZES)
RIGHT = (REAL > 2.5).astype(float)

Rights = st.lists(st.integers(0, 1), min_size=1, max_size=40)


def attempt(call: Callable[[], Any]) -> Any:
    """The result, or the reason (a text) why it is not available."""
    try:
        return call()
    except StatsUnavailable as error:
        return error.reason


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 191), (191, 191), (174, 191), (3, 800)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_and_clopper_pearson_are_those_of_statsmodels(k: int, n: int, confidence: float) -> None:
    for interval, method in ((stats.wilson, "wilson"), (stats.clopper_pearson, "beta")):
        expected = proportion_confint(k, n, 1 - confidence, method)
        assert interval(k, n, confidence) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 2000), st.data())
def test_intervals_of_a_share_contain_it_and_mirror_when_right_and_wrong_swap(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    for interval in (stats.wilson, stats.clopper_pearson):
        low, high = interval(k, n)
        assert 0 <= low <= k / n <= high <= 1
        assert (1 - high, 1 - low) == pytest.approx(interval(n - k, n), abs=1e-9)


def brute_force_variance(values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Bell and McCaffrey's variance and degrees of freedom with every matrix written out."""
    n = len(values)
    hat = np.full((n, n), 1 / n)
    residual = (np.eye(n) - hat) @ values
    variance, rows = 0.0, []
    for label in np.unique(labels):
        own = labels == label
        block = np.eye(own.sum()) - hat[np.ix_(own, own)]
        eigen, vectors = np.linalg.eigh(block)
        root = vectors @ np.diag(eigen**-0.5) @ vectors.T
        variance += float(np.ones(own.sum()) @ root @ residual[own] / n) ** 2
        rows.append((np.eye(n) - hat)[:, own] @ root @ np.ones(own.sum()) / n)
    spectrum = np.linalg.eigvalsh(np.array(rows) @ np.array(rows).T)
    return variance, float(spectrum.sum() ** 2 / (spectrum**2).sum())


def test_cluster_robust_is_the_matrix_formula_for_unequal_clusters() -> None:
    variance, df = brute_force_variance(REAL, LABELS)
    found = stats.cluster_robust(REAL, LABELS)
    assert found.standard_error == pytest.approx(math.sqrt(variance))
    assert found.df == pytest.approx(df)
    assert found.value == pytest.approx(REAL.mean())
    expected = scipy.stats.t.interval(0.95, df, REAL.mean(), math.sqrt(variance))
    assert found.interval == pytest.approx(expected)


def test_cluster_robust_is_that_of_statsmodels_for_equal_clusters() -> None:
    values, labels = REAL[:60], np.repeat(np.arange(15), 4)
    fit = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": labels}, use_t=True)
    found = stats.cluster_robust(values, labels)
    assert found.standard_error == pytest.approx(fit.bse[0])
    assert found.interval == pytest.approx(fit.conf_int()[0])
    assert stats.t_test(found, 3.0) == pytest.approx(fit.t_test("const = 3").pvalue.item())


def test_clusters_of_one_are_no_clusters() -> None:
    alone = np.arange(len(REAL))
    assert stats.mean(REAL, alone) == stats.mean(REAL)
    assert stats.share(RIGHT, alone) == stats.share(RIGHT)
    robust = stats.cluster_robust(REAL, alone)
    assert robust.interval == pytest.approx(stats.mean(REAL).interval)
    assert robust.df == pytest.approx(len(REAL) - 1)


def test_the_mean_of_real_values_has_students_interval() -> None:
    found = stats.mean(REAL)
    reference = scipy.stats.ttest_1samp(REAL, 2.9)
    assert found.interval == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert stats.t_test(found, 2.9) == pytest.approx(reference.pvalue)


def test_samples_repeated_four_times_count_once() -> None:
    once = np.repeat([1.0, 0.0], [40, 10])
    found = stats.cluster_wilson(np.repeat(once, 4), np.repeat(np.arange(50), 4))
    assert found.effective_n == pytest.approx(200 * 49 / 199)
    assert found.interval == pytest.approx(score_interval(0.8, 200 * 49 / 199, scipy.stats.t.ppf(0.975, 49)))
    assert found.method == "cluster_wilson"
    assert found.n == 200
    assert found.clusters == 50


def test_samples_of_a_cluster_that_disagree_never_count_as_more_than_they_are() -> None:
    right = np.tile([1, 0, 0, 0], 50)
    found = stats.cluster_wilson(right, np.repeat(np.arange(50), 4))
    assert found.effective_n == 200
    assert found.interval.low < 0.25 < found.interval.high


@pytest.mark.parametrize("value", [0, 1])
def test_all_right_or_all_wrong_in_clusters_counts_a_cluster_as_one_sample(value: int) -> None:
    found = stats.share(np.full(80, value), np.repeat(np.arange(20), 4))
    assert found.value == value
    assert found.effective_n == 20
    assert found.interval.high - found.interval.low > stats.wilson(20, 20).high - stats.wilson(20, 20).low - 1e-12


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), min_size=2, max_size=60))
def test_clustered_intervals_contain_the_share_and_mirror(rows: list[tuple[int, int]]) -> None:
    right, labels = np.array([r for r, _ in rows]), [c for _, c in rows]
    if len(set(labels)) < 2:
        with pytest.raises(StatsUnavailable, match="one cluster"):
            stats.cluster_wilson(right, labels)
        return
    found, mirrored = stats.cluster_wilson(right, labels), stats.cluster_wilson(1 - right, labels)
    assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1
    assert (1 - mirrored.interval.high, 1 - mirrored.interval.low) == pytest.approx(found.interval)
    shuffled = np.random.default_rng(0).permutation(len(rows))
    again = stats.cluster_wilson(right[shuffled], [f"cluster {labels[i]}" for i in shuffled])
    assert again.interval == pytest.approx(found.interval)


@settings(max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.data())
def test_means_contain_the_mean_or_say_why_there_is_none(values: list[float], data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.integers(0, 8), min_size=len(values), max_size=len(values)))
    for call in (lambda: stats.mean(values), lambda: stats.mean(values, labels)):
        found = attempt(call)
        if not isinstance(found, str):
            assert found.interval.low < found.value < found.interval.high
            assert found.value == pytest.approx(np.mean(values), abs=1e-6)


def totals_and_sizes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.bincount(LABELS, weights=values), np.bincount(LABELS).astype(float)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("values", [REAL, RIGHT], ids=["real", "right"])
def test_the_bootstrap_agrees_with_scipys_up_to_chance(method: str, values: np.ndarray) -> None:
    reference = scipy.stats.bootstrap(
        totals_and_sizes(values),
        lambda totals, sizes, axis=-1: totals.sum(axis=axis) / sizes.sum(axis=axis),
        n_resamples=20_000,
        paired=True,
        vectorized=True,
        method="BCa" if method == "bca" else "percentile",
        rng=np.random.default_rng(1),
    )
    found = stats.cluster_bootstrap(values, LABELS, draws=20_000, method=method)  # type: ignore[arg-type]
    width = found.interval.high - found.interval.low
    assert found.interval == pytest.approx(tuple(reference.confidence_interval), abs=0.04 * width)
    assert found.standard_error == pytest.approx(reference.standard_error, rel=0.03)


def test_drawing_kinds_of_clusters_is_drawing_clusters() -> None:
    totals, sizes = totals_and_sizes(RIGHT)
    kinds = resampled_means(totals, sizes, 40_000, seed=1)
    nudged = np.concatenate([totals + np.arange(len(totals)) * 1e-9] * 4), np.concatenate([sizes] * 4)
    assert len(np.unique(nudged[0] + 1j * nudged[1])) < 64
    rng = np.random.default_rng(2)
    drawn = rng.integers(0, len(totals), size=(40_000, len(totals)))
    clusters = totals[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    assert kinds.mean() == pytest.approx(clusters.mean(), abs=0.002)
    assert np.quantile(kinds, [0.025, 0.5, 0.975]) == pytest.approx(
        np.quantile(clusters, [0.025, 0.5, 0.975]), abs=0.01
    )


def test_many_different_clusters_are_drawn_in_pieces() -> None:
    values = np.random.default_rng(3).normal(0, 1, 3000)
    means = resampled_means(values, np.ones(3000), 2000, seed=1)
    assert means.std() == pytest.approx(values.std() / math.sqrt(3000), rel=0.08)
    assert means.mean() == pytest.approx(values.mean(), abs=0.002)


def test_equal_seeds_give_equal_intervals() -> None:
    first, again, other = (stats.cluster_bootstrap(REAL, LABELS, seed=seed).interval for seed in (1, 1, 2))
    assert first == again != other


@given(Rights.filter(lambda right: len(right) >= 20), st.sampled_from(["percentile", "bca"]))
@settings(max_examples=30)
def test_a_bootstrap_contains_the_mean_or_says_why_there_is_none(right: list[int], method: str) -> None:
    found = attempt(lambda: stats.cluster_bootstrap(right, draws=1000, method=method))  # type: ignore[arg-type]
    if len(set(right)) == 1:
        assert "do not differ" in found
    else:
        assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1


def test_correlation_within_clusters_is_one_for_copies_and_negative_for_opposites() -> None:
    labels = np.repeat(np.arange(30), 2)
    assert stats.intraclass_correlation(np.repeat(RNG.normal(0, 1, 30), 2), labels) == pytest.approx(1)
    assert stats.intraclass_correlation(np.tile([0, 1], 30), labels) == pytest.approx(-1)


def test_the_variance_does_not_care_about_the_order_of_clusters() -> None:
    totals, sizes = totals_and_sizes(REAL)
    assert cluster_variance(totals[::-1], sizes[::-1]) == pytest.approx(cluster_variance(totals, sizes))
