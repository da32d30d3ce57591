"""How many samples a paired comparison needs, and what it can see with those it has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from evalkit.stats._special import Floats, Ints, binomial_cdf, binomial_pmf, normal_quantile
from evalkit.stats.margins import check_margin
from evalkit.stats.paired import drawn_effect
from evalkit.stats.paired_score import score_statistic
from evalkit.stats.paired_tests import two_sided
from evalkit.stats.unavailable import StatsUnavailable

MAX_N = 10_000_000
"""Beyond this many samples a design is said to be out of reach."""

_TAIL = 8.0
_WINDOW = 6


def discordance_if_independent(new: float, old: float) -> float:
    """Share of samples on which two models disagree, if being right were independent between them.

    Models tend to be right on the same samples, so the true discordance is mostly smaller, and this choice cautious.

    Args:
        new: expected share right, in [0, 1].
        old: expected share right, in [0, 1].

    Raises:
        ValueError: a share lies outside 0..1.
    """
    if not (0 <= new <= 1 and 0 <= old <= 1):
        raise ValueError(f"shares must lie between 0 and 1, not {new} and {old}")
    return new * (1 - old) + old * (1 - new)


def paired_power(
    n: int, discordance: float, difference: float, *, alpha: float = 0.05, design_effect: float = 1.0
) -> float:
    """Probability that McNemar's mid-p test rejects equality, by enumeration of the discordant pairs (no formula).

    Source: unconditional power as the binomial mixture of conditional powers: S. W. Duffy, Biometrics 40 (1984);
    the test: see `mcnemar`. For clusters n is divided by the design effect.

    Args:
        n: pairs, at least 1.
        discordance: expected share of pairs on which the models disagree, in (0, 1].
        difference: expected new - old in share units, at most `discordance` in size.
        alpha: two-sided level, in (0, 1).
        design_effect: variance of the clustered difference over that of independent pairs, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(n, discordance, difference, alpha, design_effect)
    return _power(_effective(n, design_effect), discordance, difference, lambda pairs: _mcnemar_limits(pairs, alpha))


def non_inferiority_power(
    n: int,
    discordance: float,
    margin: float,
    *,
    difference: float = 0.0,
    alpha: float = 0.025,
    design_effect: float = 1.0,
    cluster_size: float = 1.0,
) -> float:
    """Probability that `non_inferiority` is shown, by enumeration of the discordant pairs (no formula).

    Source: the test: Tango (1998), see `score_statistic`. For clusters n is divided by the design effect.

    Args:
        n: pairs, at least 1.
        discordance: expected share of pairs on which the models disagree, in (0, 1].
        margin: in share units, in (0, 1).
        difference: expected new - old in share units, at most `discordance` in size.
        alpha: one-sided level, in (0, 0.5).
        design_effect: variance of the clustered difference over that of independent pairs, at least 1.
        cluster_size: samples in the cluster of a sample, on average over samples: the score tests draw the design
            effect up where flips are few, see `drawn_effect`.

    Raises:
        ValueError: an argument is out of range.
    """
    check_margin(margin, alpha)
    _check(n, discordance, difference, alpha, design_effect, cluster_size)
    size = _effective(n, design_effect)
    quantile = _Quantile(normal_quantile(1 - alpha), design_effect, cluster_size)

    def limits(pairs: Ints) -> tuple[Ints, None]:
        return np.asarray([_fewest_wins(int(m), size, margin, quantile.at(m)) for m in pairs]), None

    return _power(size, discordance, difference, limits)


class GatePower(NamedTuple):
    """Probabilities of what a gate says; what is left to 1 is that it cannot tell."""

    fails: float
    passes: float


def gate_power(
    n: int,
    discordance: float,
    difference: float,
    *,
    fail_below: float,
    pass_above: float,
    fail_alpha: float = 0.05,
    pass_alpha: float = 0.025,
    design_effect: float = 1.0,
    cluster_size: float = 1.0,
) -> GatePower:
    """How often a gate fails, and how often it passes, by enumeration of the discordant pairs (no formula).

    It passes where new - old is shown to lie above `pass_above` (`beyond`, or `non_inferiority`), and fails where it
    does not and new - old is shown to lie below `fail_below` (`beyond` the other way). For a rule that bounds an
    increase, turn the signs of `difference` and both limits. For clusters n is divided by the design effect.

    Source: the binomial mixture as in `paired_power`; the tests: see `beyond`.

    Args:
        n: pairs, at least 1.
        discordance: expected share of pairs on which the runs disagree, in (0, 1].
        difference: expected new - old in share units, at most `discordance` in size.
        fail_below: in share units, in (-1, 1); 0 for "significantly worse".
        pass_above: in share units, in (-1, 1); minus the margin for non-inferiority.
        fail_alpha: one-sided level of the failure, in (0, 0.5).
        pass_alpha: one-sided level of the pass, in (0, 0.5).
        design_effect: variance of the clustered difference over that of independent pairs, at least 1.
        cluster_size: samples in the cluster of a sample, on average over samples: the score tests draw the design
            effect up where flips are few, see `drawn_effect`.

    Raises:
        ValueError: an argument is out of range.
    """
    for limit, alpha in ((fail_below, fail_alpha), (pass_above, pass_alpha)):
        if not -1 < limit < 1:
            raise ValueError(f"a limit lies between -1 and 1, not {limit}")
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha must lie between 0 and 0.5, not {alpha}")
    _check(n, discordance, difference, fail_alpha, design_effect, cluster_size)
    size = _effective(n, design_effect)
    if size == 0:
        return GatePower(0.0, 0.0)
    shown, lost = (
        _Quantile(normal_quantile(1 - alpha), design_effect, cluster_size) for alpha in (pass_alpha, fail_alpha)
    )

    def passing(pairs: Ints) -> Ints:
        return np.asarray([_fewest_wins(int(m), size, -pass_above, shown.at(m)) for m in pairs])

    def failing(pairs: Ints) -> Ints:
        if fail_below:
            # a loss beyond the limit is a gain beyond it with the sides changed
            most = [int(m) - _fewest_wins(int(m), size, fail_below, lost.at(m)) for m in pairs]
        else:
            most = _mcnemar_limits(pairs, 2 * fail_alpha)[1].tolist()
        return np.asarray(np.minimum(np.asarray(most), passing(pairs) - 1), dtype=np.int64)

    fails = _power(size, discordance, difference, lambda pairs: (pairs + 1, failing(pairs)))
    return GatePower(fails, _power(size, discordance, difference, lambda pairs: (passing(pairs), None)))


def needed_n(
    discordance: float, difference: float, *, power: float = 0.8, alpha: float = 0.05, design_effect: float = 1.0
) -> int:
    """Pairs for which `paired_power` reaches the wanted power.

    Args:
        discordance: see `paired_power`.
        difference: see `paired_power`; not 0.
        power: in (0, 1).
        alpha: two-sided level, in (0, 1).
        design_effect: see `paired_power`.

    Raises:
        StatsUnavailable: there is no difference to see, or more than `MAX_N` pairs would be needed.
        ValueError: an argument is out of range.
    """
    _check(1, discordance, difference, alpha, design_effect)
    _check_power(power)
    if difference == 0:
        raise StatsUnavailable("without a difference no number of samples shows one")
    return _smallest(
        lambda n: paired_power(n, discordance, difference, alpha=alpha, design_effect=design_effect) >= power
    )


def needed_n_non_inferiority(
    discordance: float,
    margin: float,
    *,
    difference: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.025,
    design_effect: float = 1.0,
    cluster_size: float = 1.0,
) -> int:
    """Pairs for which `non_inferiority_power` reaches the wanted power.

    Args:
        discordance: see `non_inferiority_power`.
        margin: see `non_inferiority_power`.
        difference: see `non_inferiority_power`; above -margin.
        power: in (0, 1).
        alpha: one-sided level, in (0, 0.5).
        design_effect: see `non_inferiority_power`.
        cluster_size: see `non_inferiority_power`.

    Raises:
        StatsUnavailable: the expected difference is a loss of the whole margin, or too many pairs would be needed.
        ValueError: an argument is out of range.
    """
    check_margin(margin, alpha)
    _check(1, discordance, difference, alpha, design_effect, cluster_size)
    _check_power(power)
    if difference <= -margin:
        raise StatsUnavailable("a loss of the whole margin or more is not non-inferior")
    return _smallest(
        lambda n: (
            non_inferiority_power(
                n,
                discordance,
                margin,
                difference=difference,
                alpha=alpha,
                design_effect=design_effect,
                cluster_size=cluster_size,
            )
            >= power
        )
    )


def minimal_detectable_effect(
    n: int, discordance: float, *, power: float = 0.8, alpha: float = 0.05, design_effect: float = 1.0
) -> float:
    """Smallest difference in share units that `paired_power` sees with the wanted power.

    Args:
        n: pairs, at least 1.
        discordance: see `paired_power`.
        power: in (0, 1), above alpha.
        alpha: two-sided level, in (0, 1).
        design_effect: see `paired_power`.

    Raises:
        StatsUnavailable: even if all discordant pairs went one way, the power would not be reached.
        ValueError: an argument is out of range.
    """
    _check_power(power)
    if power <= alpha:
        raise ValueError(f"power {power} must be above alpha {alpha}")

    def reached(difference: float) -> bool:
        return paired_power(n, discordance, difference, alpha=alpha, design_effect=design_effect) >= power

    if not reached(discordance):
        raise StatsUnavailable(f"{n} samples with {discordance:.3g} discordant cannot reach a power of {power:g}")
    low, high = 0.0, discordance
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _power(n: int, discordance: float, difference: float, limits: Callable[[Ints], tuple[Ints, Ints | None]]) -> float:
    """Sum over the numbers of discordant pairs of P(that many) times P(rejection given that many).

    `limits` gives for each number of discordant pairs the fewest wins that reject, and the most wins that reject on
    the other side (None where there is no other side).
    """
    if n == 0:
        return 0.0
    spread = _TAIL * math.sqrt(n * discordance * (1 - discordance)) + _TAIL
    lowest, highest = math.floor(n * discordance - spread), math.ceil(n * discordance + spread)
    pairs = np.arange(max(0, lowest), min(n, highest) + 1, dtype=np.int64)
    win = min((discordance + difference) / (2 * discordance), 1.0)
    wins, losses = limits(pairs)
    rejected: Floats = 1 - binomial_cdf(wins - 1, pairs, win)
    if losses is not None:
        rejected = rejected + binomial_cdf(losses, pairs, win)
    return min(1.0, max(0.0, float((binomial_pmf(pairs, n, discordance) * rejected).sum())))


def _mcnemar_limits(pairs: Ints, alpha: float) -> tuple[Ints, Ints]:
    """Fewest wins, and most wins on the losing side, with which McNemar's mid-p is at most alpha."""
    guess = np.floor(pairs / 2 + normal_quantile(alpha / 2) * np.sqrt(pairs) / 2).astype(np.int64)
    tried = guess[:, None] + np.arange(-_WINDOW, _WINDOW + 1)
    fits = (tried >= 0) & (2 * tried <= pairs[:, None]) & (pairs[:, None] > 0)
    safe = np.where(fits, tried, 0)
    p_values = two_sided(safe, np.maximum(pairs[:, None], 1), mid_p=True)
    most = np.where(fits & (p_values <= alpha), tried, -1).max(axis=1)
    return pairs - most, most


class _Quantile(NamedTuple):
    """What a score statistic must reach, of discordant pairs that are numbered by what they are worth."""

    normal: float
    design_effect: float
    cluster_size: float

    def at(self, pairs: int) -> float:
        """For so many of them; the statistic grows with the root of the number of samples."""
        drawn = drawn_effect(self.design_effect, pairs * self.design_effect, self.cluster_size)
        return self.normal * math.sqrt(drawn / self.design_effect)


def _fewest_wins(pairs: int, n: int, margin: float, quantile: float) -> int:
    """Fewest wins among the discordant pairs with which non-inferiority is shown; pairs + 1 where none suffices."""
    low, high = -1, pairs + 1
    while high - low > 1:
        middle = (low + high) // 2
        shown = score_statistic(middle, pairs - middle, n, -margin) >= quantile
        low, high = (low, middle) if shown else (middle, high)
    return high


def _smallest(reached: Callable[[int], bool]) -> int:
    """Smallest n found by bisection; exact power is slightly saw-toothed, so a few smaller n may reach it too."""
    high = 1
    while not reached(high):
        high *= 2
        if high > MAX_N:
            raise StatsUnavailable(f"more than {MAX_N:,} samples would be needed")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _effective(n: int, design_effect: float) -> int:
    """Independent pairs that carry as much information."""
    return math.floor(n / design_effect + 1e-9)


def _check_power(power: float) -> None:
    if not 0 < power < 1:
        raise ValueError(f"power must lie between 0 and 1, not {power}")


def _check(
    n: int, discordance: float, difference: float, alpha: float, design_effect: float, cluster_size: float = 1.0
) -> None:
    if not 1 <= n <= MAX_N or n != int(n):
        raise ValueError(f"n must be a whole number from 1 to {MAX_N:,}, not {n}")
    if not 0 < discordance <= 1:
        raise ValueError(f"discordance must lie between 0 (excluded) and 1, not {discordance}")
    if not abs(difference) <= discordance:
        raise ValueError(f"a difference of {difference} does not fit a discordance of {discordance}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    if not 1 <= design_effect < math.inf:
        raise ValueError(f"the design effect must be at least 1, not {design_effect}")
    if not 1 <= cluster_size < math.inf:
        raise ValueError(f"the size of a cluster must be at least 1, not {cluster_size}")
