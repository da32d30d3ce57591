"""Power by enumeration: against a full count of tables, a textbook formula, and its own inverses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multinomial, norm

from evalkit import stats
from evalkit.stats.power import _mcnemar_limits


def all_tables(n: int, new_only: float, old_only: float) -> list[tuple[int, int, float]]:
    law = multinomial(n, [new_only, old_only, 1 - new_only - old_only])
    return [(b, c, float(law.pmf([b, c, n - b - c]))) for b in range(n + 1) for c in range(n + 1 - b)]


@pytest.mark.parametrize(
    ("n", "discordance", "difference"), [(12, 0.5, 0.3), (30, 0.3, -0.2), (25, 0.2, 0.2), (20, 1, 0)]
)
def test_power_is_the_chance_of_a_table_that_rejects(n: int, discordance: float, difference: float) -> None:
    tables = all_tables(n, (discordance + difference) / 2, (discordance - difference) / 2)
    expected = sum(p for b, c, p in tables if stats.mcnemar(b, c) <= 0.05)
    assert stats.paired_power(n, discordance, difference) == pytest.approx(expected, abs=1e-9)


def test_power_of_non_inferiority_is_the_chance_of_a_table_that_shows_it() -> None:
    n, margin = 30, 0.2
    expected = 0.0
    for b, c, p in all_tables(n, 0.12, 0.08):
        new, old = np.repeat([1, 0, 0], [b, c, n - b - c]), np.repeat([0, 1, 0], [b, c, n - b - c])
        expected += p * stats.non_inferiority(new, old, margin).shown
    assert stats.non_inferiority_power(n, 0.2, margin, difference=0.04) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "discordance", "difference"), [(800, 0.2, 0.04), (1740, 0.15, 0.03), (5000, 0.3, 0.02)])
def test_for_many_samples_power_is_near_the_textbook_formula(n: int, discordance: float, difference: float) -> None:
    # Connor, Biometrics 43 (1987).
    z = (difference * math.sqrt(n) - norm.ppf(0.975) * math.sqrt(discordance)) / math.sqrt(discordance - difference**2)
    assert stats.paired_power(n, discordance, difference) == pytest.approx(norm.cdf(z), abs=0.01)


@given(st.integers(1, 3000), st.floats(0.01, 1), st.floats(-1, 1))
@settings(max_examples=60)
def test_power_is_a_probability_and_does_not_care_who_is_better(n: int, discordance: float, part: float) -> None:
    difference = discordance * part
    power = stats.paired_power(n, discordance, difference)
    assert 0 <= power <= 1
    assert stats.paired_power(n, discordance, -difference) == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.2, 0.05, 1e-3, 1e-5])
def test_the_limits_of_mcnemars_test_are_the_last_that_reject(alpha: float) -> None:
    pairs = np.arange(0, 300)
    wins, losses = _mcnemar_limits(pairs, alpha)
    for m, fewest, most in zip(pairs.tolist(), wins.tolist(), losses.tolist(), strict=True):
        assert fewest == m - most
        assert most < 0 or stats.mcnemar(most, m - most) <= alpha
        assert 2 * (most + 1) > m or stats.mcnemar(most + 1, m - most - 1) > alpha


def test_needed_n_reaches_the_power_and_half_of_it_does_not() -> None:
    n = stats.needed_n(0.12, 0.05)
    assert stats.paired_power(n, 0.12, 0.05) >= 0.8
    assert stats.paired_power(n // 2, 0.12, 0.05) < 0.8
    textbook = ((norm.ppf(0.975) * math.sqrt(0.12) + norm.ppf(0.8) * math.sqrt(0.12 - 0.05**2)) / 0.05) ** 2
    assert n == pytest.approx(textbook, rel=0.05)
    loss = stats.needed_n_non_inferiority(0.12, 0.03)
    assert stats.non_inferiority_power(loss, 0.12, 0.03) >= 0.8
    assert stats.non_inferiority_power(loss // 2, 0.12, 0.03) < 0.8


def test_the_smallest_difference_seen_is_just_seen() -> None:
    effect = stats.minimal_detectable_effect(800, 0.12)
    assert stats.paired_power(800, 0.12, effect) >= 0.8
    assert stats.paired_power(800, 0.12, effect - 0.001) < 0.8
    assert stats.needed_n(0.12, effect) <= 800


def test_a_design_effect_costs_its_share_of_the_samples() -> None:
    assert stats.paired_power(800, 0.12, 0.05, design_effect=4) == stats.paired_power(200, 0.12, 0.05)
    assert stats.needed_n(0.12, 0.05, design_effect=2.5) == pytest.approx(2.5 * stats.needed_n(0.12, 0.05), abs=3)
    assert stats.paired_power(1, 0.5, 0.1, design_effect=3) == 0


def test_what_no_number_of_samples_shows_is_said() -> None:
    with pytest.raises(stats.StatsUnavailable, match="without a difference"):
        stats.needed_n(0.1, 0)
    with pytest.raises(stats.StatsUnavailable, match="cannot reach"):
        stats.minimal_detectable_effect(20, 0.05)
    with pytest.raises(stats.StatsUnavailable, match="whole margin"):
        stats.needed_n_non_inferiority(0.1, 0.02, difference=-0.02)
    with pytest.raises(stats.StatsUnavailable, match="more than"):
        stats.needed_n(0.5, 1e-5)


def test_models_that_err_independently_disagree_most() -> None:
    assert stats.discordance_if_independent(0.9, 0.8) == pytest.approx(0.9 * 0.2 + 0.8 * 0.1)
    assert stats.discordance_if_independent(1, 0) == 1


@pytest.mark.parametrize(
    ("n", "discordance", "difference", "fail_below", "pass_above"),
    [
        (40, 0.3, -0.2, 0.0, -0.1),
        (40, 0.3, 0.0, 0.0, -0.1),
        (30, 0.6, -0.5, 0.0, -0.45),
        (35, 0.4, -0.3, -0.1, -0.1),
        (35, 0.4, 0.1, -0.05, -0.05),
        (30, 0.3, 0.2, 0.02, 0.02),
    ],
)
def test_what_a_gate_says_is_the_chance_of_a_table_with_which_it_says_so(
    n: int, discordance: float, difference: float, fail_below: float, pass_above: float
) -> None:
    fails = passes = 0.0
    for b, c, p in all_tables(n, (discordance + difference) / 2, (discordance - difference) / 2):
        new, old = np.repeat([1, 0, 0], [b, c, n - b - c]), np.repeat([0, 1, 0], [b, c, n - b - c])
        shown = stats.beyond(new, old, pass_above) <= 0.025
        passes += p * shown
        fails += p * (not shown and stats.beyond(old, new, -fail_below) <= 0.05)
    found = stats.gate_power(n, discordance, difference, fail_below=fail_below, pass_above=pass_above)
    assert found.fails == pytest.approx(fails, abs=1e-9)
    assert found.passes == pytest.approx(passes, abs=1e-9)


def test_a_gate_that_is_never_wrong_way_round_adds_up_with_the_two_tests_alone() -> None:
    n, discordance = 800, 0.1
    found = stats.gate_power(n, discordance, 0.0, fail_below=0.0, pass_above=-0.03)
    assert found.passes == pytest.approx(stats.non_inferiority_power(n, discordance, 0.03))
    # half of a two-sided test of twice the level, where no table is both worse and non-inferior
    assert found.fails == pytest.approx(stats.paired_power(n, discordance, 0.0, alpha=0.1) / 2, abs=1e-6)
    assert stats.gate_power(3, 0.5, 0.1, fail_below=0.0, pass_above=-0.1, design_effect=4) == (0, 0)


def test_beyond_is_half_of_mcnemar_and_the_test_of_non_inferiority() -> None:
    new, old = np.repeat([1, 0, 1], [30, 12, 58]), np.repeat([0, 1, 1], [30, 12, 58])
    assert stats.beyond(new, old, 0.0) == pytest.approx(stats.mcnemar(30, 12) / 2)
    assert stats.beyond(old, new, 0.0) == pytest.approx(1 - stats.mcnemar(30, 12) / 2)
    assert stats.beyond(new, old, -0.02) == pytest.approx(stats.non_inferiority(new, old, 0.02).p_value)
    clusters = np.arange(100) // 4
    assert stats.beyond(new, old, 0.0, clusters) == pytest.approx(stats.cluster_mcnemar(new, old, clusters) / 2)
    assert stats.beyond(new, old, -0.02, clusters) == pytest.approx(
        stats.non_inferiority(new, old, 0.02, clusters).p_value
    )
    assert stats.beyond(new, new, 0.0) == 1
    with pytest.raises(ValueError, match="between -1 and 1"):
        stats.beyond(new, old, 1.0)


@pytest.mark.parametrize("bad", [{"fail_below": -1.0}, {"pass_above": 1.0}, {"fail_alpha": 0.5}, {"pass_alpha": 0.0}])
def test_a_gate_of_no_sense_has_no_power(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"limit|alpha"):
        stats.gate_power(100, 0.1, 0.0, **{"fail_below": 0.0, "pass_above": -0.01, **bad})


def test_few_flips_in_clusters_show_less_than_their_design_effect_says() -> None:
    alone = stats.non_inferiority_power(1000, 0.004, 0.01)
    assert stats.non_inferiority_power(1000, 0.004, 0.01, cluster_size=1) == alone
    # simulated: 250 clusters of 4 whose flips are independent, 55 % of 1,500
    assert stats.non_inferiority_power(1000, 0.004, 0.01, cluster_size=4) == pytest.approx(0.553, abs=0.04)
    assert alone > 0.9
    # many flips are known to be independent
    many = [stats.non_inferiority_power(4000, 0.3, 0.03, cluster_size=size) for size in (1, 4)]
    assert many[1] == pytest.approx(many[0], abs=0.02)
    gate = stats.gate_power(1000, 0.004, 0.0, fail_below=0.0, pass_above=-0.01, cluster_size=4)
    assert gate.passes == pytest.approx(stats.non_inferiority_power(1000, 0.004, 0.01, cluster_size=4))
    assert stats.needed_n_non_inferiority(0.004, 0.01, cluster_size=4) > stats.needed_n_non_inferiority(0.004, 0.01)


@pytest.mark.parametrize("size", [0.5, float("nan"), float("inf")])
def test_a_cluster_has_at_least_one_sample(size: float) -> None:
    with pytest.raises(ValueError, match="size of a cluster"):
        stats.non_inferiority_power(100, 0.1, 0.05, cluster_size=size)
