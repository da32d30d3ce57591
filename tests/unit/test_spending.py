"""Alpha spending and sequential boundaries: published tables, the theory's own laws, and exact counts of tables.

Published: C. Jennison, B. W. Turnbull, Group Sequential Methods (2000), tables 2.1 and 2.3 for the constants of
Pocock's and O'Brien and Fleming's tests; R packages gsDesign (sfLDOF, sfLDPocock) and rpact (asOF, asP), and the
Julia package SeqBounds, for the boundaries with spending.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.special import gammaln, xlogy
from scipy.stats import norm

from evalkit import stats
from evalkit.stats import Spending

OBF, POCOCK = Spending.OBRIEN_FLEMING, Spending.POCOCK


def equal(looks: int) -> list[float]:
    return [look / looks for look in range(1, looks + 1)]


@pytest.mark.parametrize(
    ("fractions", "alpha", "spending", "published"),
    [
        (equal(2), 0.025, OBF, [2.963, 1.969]),
        (equal(3), 0.025, OBF, [3.710303, 2.511427, 1.993047]),
        (equal(4), 0.025, OBF, [4.333, 2.963, 2.359, 2.014]),
        (equal(5), 0.025, OBF, [4.877, 3.357, 2.680, 2.290, 2.031]),
        (equal(4), 0.05, OBF, [3.74955, 2.53993, 2.01604, 1.72014]),
        ([0.2, 0.4, 0.9, 1.0], 0.025, OBF, [4.877, 3.357, 2.097, 2.054]),
        ([0.3, 0.6, 0.9, 1.0], 0.025, OBF, [3.929, 2.670, 2.121, 2.063]),
        (equal(2), 0.025, POCOCK, [2.157, 2.201]),
        (equal(4), 0.025, POCOCK, [2.368, 2.368, 2.358, 2.350]),
        (equal(5), 0.025, POCOCK, [2.438, 2.427, 2.410, 2.397, 2.386]),
        ([0.2, 0.4, 0.9, 1.0], 0.025, POCOCK, [2.438, 2.427, 2.224, 2.376]),
    ],
)
def test_boundaries_are_those_of_published_tables(
    fractions: list[float], alpha: float, spending: Spending, published: list[float]
) -> None:
    found = stats.sequential_boundaries(fractions, alpha, spending)
    assert found == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (3, 2.289), (4, 2.361), (5, 2.413), (10, 2.555)])
def test_pococks_constant_is_reached_by_one_in_forty_without_an_effect(looks: int, constant: float) -> None:
    found = stats.sequential_crossing(equal(looks), [constant] * looks)
    assert sum(found) == pytest.approx(0.025, abs=5e-5)


@pytest.mark.parametrize(("looks", "constant"), [(2, 1.977), (3, 2.004), (4, 2.024), (5, 2.040), (10, 2.087)])
def test_obrien_and_flemings_constant_is_reached_by_one_in_forty_without_an_effect(looks: int, constant: float) -> None:
    bounds = [constant / math.sqrt(fraction) for fraction in equal(looks)]
    assert sum(stats.sequential_crossing(equal(looks), bounds)) == pytest.approx(0.025, abs=5e-5)


def test_one_look_is_a_test_without_looks() -> None:
    assert stats.sequential_boundaries([1.0], 0.05) == pytest.approx([norm.ppf(0.95)])
    power = stats.sequential_crossing([1.0], [norm.ppf(0.975)], drift=norm.ppf(0.975) + norm.ppf(0.8))
    assert power == pytest.approx([0.8])


def test_the_chance_of_crossing_is_that_of_random_walks() -> None:
    fractions, drift = [0.2, 0.5, 0.6, 1.0], 1.5
    bounds = stats.sequential_boundaries(fractions, 0.025, POCOCK)
    draw = np.random.default_rng(5)
    steps = np.diff([0.0, *fractions])
    walks = np.cumsum(draw.normal(drift * steps, np.sqrt(steps), (200_000, 4)), axis=1) / np.sqrt(fractions)
    first = np.where((walks >= bounds).any(axis=1), (walks >= bounds).argmax(axis=1), 4)
    shares = np.bincount(first, minlength=5)[:4] / len(walks)
    for found, share in zip(stats.sequential_crossing(fractions, bounds, drift), shares, strict=True):
        assert found == pytest.approx(share, abs=4 * math.sqrt(share / len(walks)))


FRACTIONS = st.lists(st.integers(1, 1000), min_size=1, max_size=12, unique=True).map(
    lambda n: [k / 1000 for k in sorted(n)]
)


@given(FRACTIONS, st.floats(0.001, 0.2), st.sampled_from(Spending))
@settings(max_examples=60, deadline=None)
def test_no_more_is_spent_than_was_given(fractions: list[float], alpha: float, spending: Spending) -> None:
    bounds = stats.sequential_boundaries(fractions, alpha, spending)
    crossed = np.cumsum(stats.sequential_crossing(fractions, bounds))
    allowed = [stats.alpha_spent(fraction, alpha, spending) for fraction in fractions]
    assert crossed == pytest.approx(allowed, abs=1e-9)
    last = stats.sequential_boundaries(fractions, alpha, spending, final=True)
    assert last[:-1] == bounds[:-1]
    assert sum(stats.sequential_crossing(fractions, last)) == pytest.approx(alpha, abs=1e-9)


@given(FRACTIONS, st.sampled_from(Spending))
@settings(max_examples=30, deadline=None)
def test_a_boundary_does_not_depend_on_looks_that_come_later(fractions: list[float], spending: Spending) -> None:
    whole = stats.sequential_boundaries(fractions, 0.025, spending)
    for looks in range(1, len(fractions)):
        assert stats.sequential_boundaries(fractions[:looks], 0.025, spending) == whole[:looks]


def test_spending_grows_from_nothing_to_all() -> None:
    for spending in Spending:
        amounts = [stats.alpha_spent(fraction / 50, 0.05, spending) for fraction in range(51)]
        assert amounts[0] == 0
        assert amounts[-1] == 0.05
        assert all(a < b or a == b == 0 for a, b in pairwise(amounts))
        assert stats.alpha_spent(1.2, 0.05, spending) == 0.05
    assert stats.alpha_spent(0.5, 0.05, OBF) < stats.alpha_spent(0.5, 0.05, POCOCK)


def test_a_look_with_nothing_to_spend_cannot_stop() -> None:
    assert stats.sequential_boundaries([0.01, 1.0], 0.025)[0] == math.inf
    assert stats.sequential_crossing([0.01, 1.0], [math.inf, 2.0])[0] == 0


@pytest.mark.parametrize("fractions", [[], [0.0, 1.0], [0.5, 0.5], [0.6, 0.5], [0.5, math.inf]])
def test_looks_that_make_no_sense_are_refused(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match=r"look|increase"):
        stats.sequential_boundaries(fractions, 0.025)


def test_levels_and_lengths_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        stats.sequential_boundaries([1.0], 0.5)
    with pytest.raises(ValueError, match="fraction"):
        stats.alpha_spent(-0.1, 0.05)
    with pytest.raises(ValueError, match="lengths"):
        stats.sequential_crossing([0.5, 1.0], [2.0])


Grid = NDArray[np.float64]


def tables_of(n: int, new_only: float, old_only: float, size: int) -> Grid:
    """Probability of every number of (new only, old only) up to `size` among n pairs."""
    b, c = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    rest = n - b - c
    fits = rest >= 0
    log = gammaln(n + 1) - gammaln(b + 1) - gammaln(c + 1) - gammaln(np.where(fits, rest, 0) + 1)
    log = log + xlogy(b, new_only) + xlogy(c, old_only) + xlogy(np.where(fits, rest, 0), 1 - new_only - old_only)
    return np.where(fits, np.exp(log), 0.0)


def exact_error(n: int, looks: int, discordance: float, difference: float, limit: float, alpha: float) -> float:
    """Chance that any look at n pairs in equal parts finds a loss beyond the limit: counted, not drawn."""
    sizes = [n * look // looks for look in range(1, looks + 1)]
    bounds = stats.sequential_boundaries([size / n for size in sizes], alpha, final=True)
    levels = norm.sf(bounds)
    most = int(n * discordance + 8 * math.sqrt(n * discordance) + 10)
    there = np.zeros((most, most))
    there[0, 0] = 1.0
    stopped, done = 0.0, 0
    for size, level in zip(sizes, levels, strict=True):
        step = tables_of(size - done, (discordance + difference) / 2, (discordance - difference) / 2, most)
        there, done = np.maximum(fftconvolve(there, step)[:most, :most], 0), size
        for b, c in np.argwhere(there > 1e-13):
            if p_of_loss(int(b), int(c), size, limit) <= level:
                stopped += there[b, c]
                there[b, c] = 0.0
    return stopped


def p_of_loss(b: int, c: int, n: int, limit: float) -> float:
    """`beyond` of a table, from its counts."""
    new, old = np.repeat([1, 0, 0], [b, c, n - b - c]), np.repeat([0, 1, 0], [b, c, n - b - c])
    return stats.beyond(old, new, -limit)


@pytest.mark.parametrize(("n", "discordance"), [(60, 0.1), (100, 0.05), (100, 0.25), (60, 0.6)])
def test_the_real_paired_test_keeps_its_error_rate_at_a_limit_of_nothing(n: int, discordance: float) -> None:
    assert exact_error(n, 5, discordance, 0.0, 0.0, 0.05) <= 0.05


@pytest.mark.parametrize(("n", "discordance"), [(100, 0.1), (100, 0.3)])
def test_tangos_test_is_as_near_to_its_error_rate_with_looks_as_without(n: int, discordance: float) -> None:
    # Tango's is a large-sample test: without looks it may err a little more often than stated in small samples too
    with_looks = exact_error(n, 5, discordance, 0.05, 0.05, 0.025)
    assert with_looks <= 0.0255
    assert with_looks <= exact_error(n, 1, discordance, 0.05, 0.05, 0.025) + 0.001
