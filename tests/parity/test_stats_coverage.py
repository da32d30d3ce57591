"""Intervals cover, tests hold their level and power is what it says, in worlds where the truth is known.

Unclustered worlds are enumerated and have no simulation error. The simulated ones are small here and large behind
`python benchmarks/stats.py`; a bound is widened by three standard errors of the simulation.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from benchmarks import stats as worlds
from benchmarks.stats import Rate

LOWEST, HIGHEST = 0.94, 0.965
"""Where the coverage of a nominal 95 % interval must lie."""


def misses(rates: Iterable[Rate], lowest: float = LOWEST, highest: float = HIGHEST) -> list[Rate]:
    """The rates outside the bounds, and at least one rate must have been there."""
    found = list(rates)
    assert found
    return [rate for rate in found if not lowest - 3 * rate.error <= rate.rate <= highest + 3 * rate.error]


def test_wilson_covers_at_191_samples_and_clopper_pearson_at_least_as_often_as_it_says() -> None:
    rates = list(worlds.share_coverage_exact())
    assert misses(rate for rate in rates if rate.what == "wilson") == []
    assert misses((rate for rate in rates if rate.what == "clopper_pearson"), 0.95, 1) == []


def test_tango_covers_at_191_samples() -> None:
    assert misses(worlds.paired_coverage_exact()) == []


def test_the_interval_against_a_published_mean_with_its_n_covers() -> None:
    assert misses(worlds.two_sample_coverage_exact(published_n=300)) == []


def test_the_default_for_clustered_shares_covers_at_800_samples_in_200_clusters() -> None:
    assert misses(worlds.share_coverage(8000, methods=["cluster_wilson"])) == []


def test_the_default_for_clustered_shares_covers_with_unequal_clusters() -> None:
    assert misses(worlds.share_coverage(4000, sizes=worlds.UNEQUAL, methods=["cluster_wilson"])) == []


def test_the_t_interval_covers_in_the_middle_and_not_near_one_where_the_default_still_does() -> None:
    middle = worlds.share_coverage(5000, shares=[0.5], methods=["cluster_robust"])
    assert misses(middle) == []
    few = np.full(20, 4)
    robust, wilson = worlds.share_coverage(1000, sizes=few, shares=[0.95], methods=["cluster_robust", "cluster_wilson"])
    assert robust.rate < 0.85
    assert misses([wilson], 0.94, 0.98) == []


def test_ignoring_clusters_covers_far_too_rarely() -> None:
    assert misses(worlds.share_coverage(500, methods=["wilson, clusters ignored"]), 0.7, 0.85) == []


@pytest.mark.parametrize("method", ["cluster_bootstrap percentile", "cluster_bootstrap bca"])
def test_bootstraps_of_a_share_cover_about_as_often(method: str) -> None:
    assert misses(worlds.share_coverage(800, methods=[method])) == []


def test_intervals_of_a_mean_cover() -> None:
    assert misses(worlds.mean_coverage(5000)) == []


def test_the_default_for_clustered_differences_covers() -> None:
    assert misses(worlds.paired_coverage(2000, methods=["cluster_tango"])) == []


def test_the_bootstrap_of_clustered_differences_covers_about_as_often() -> None:
    assert misses(worlds.paired_coverage(400, methods=["paired_cluster_bootstrap percentile"])) == []


def test_solvable_shares_cover_and_cover_zero_when_all_is_luck() -> None:
    rates = list(worlds.guessing_coverage(1000))
    assert misses(rate for rate in rates if rate.world.endswith("0.3")) == []
    assert misses((rate for rate in rates if rate.world.endswith("0.0")), 0.95, 1) == []
    assert misses((rate for rate in rates if rate.world.endswith("0.9")), 0.94, 0.98) == []


def test_tests_on_independent_samples_never_go_far_beyond_their_level() -> None:
    rates = list(worlds.false_alarms_exact())
    assert misses((rate for rate in rates if rate.what == "mcnemar exact, 5 %"), 0, 0.05) == []
    assert misses((rate for rate in rates if rate.what == "mcnemar mid-p, 5 %"), 0.04, 0.051) == []
    assert misses((rate for rate in rates if rate.what == "non_inferiority, 2.5 %"), 0.015, 0.026) == []
    assert misses((rate for rate in rates if rate.what == "equivalence, 5 %"), 0, 0.051) == []


def test_tests_on_clusters_hold_their_level_and_ignoring_clusters_does_not() -> None:
    rates = list(worlds.false_alarms(2500))
    for what in ("cluster_mcnemar, 5 %", "t_test on clusters, 5 %"):
        assert misses((rate for rate in rates if rate.what == what), 0.05, 0.05) == []
    assert misses((rate for rate in rates if rate.what == "non_inferiority, 2.5 %"), 0.025, 0.025) == []
    assert misses((rate for rate in rates if rate.what == "equivalence, 5 %"), 0.05, 0.05) == []
    assert misses((rate for rate in rates if rate.what == "mcnemar, clusters ignored, 5 %"), 0.15, 0.3) == []


def test_a_loss_of_the_margin_in_few_flips_passes_no_more_often_than_it_says_unless_they_come_by_whole_clusters() -> (
    None
):
    *loose, whole = worlds.few_flips(1500)
    assert misses(loose, 0, 0.025) == []
    # a cluster that would be lost as a whole is seldom seen where flips are few
    assert misses([whole], 0, 0.07) == []


def test_holm_rejects_a_true_hypothesis_at_most_as_often_as_it_says() -> None:
    assert misses([worlds.family_alarms(10_000)], 0.05, 0.05) == []


def test_computed_power_is_simulated_power() -> None:
    for what, computed, simulated in worlds.powers(4000):
        # A design effect stands in for whole clusters, which is no more than a good approximation.
        allowed = 3 * simulated.error + (0.015 if "clusters" in what else 0)
        assert simulated.rate == pytest.approx(computed, abs=allowed), what
