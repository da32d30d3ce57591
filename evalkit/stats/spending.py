"""Tests that may be looked at before all samples are in: how much of the error rate each look may spend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from evalkit.stats._special import Floats, normal_quantile, normal_tails

_REACH = 8.0
_SMALLEST = 1e-15
"""An error rate below this is none: the numerical integration cannot tell it from nothing."""
_STEPS = 60


class Spending(StrEnum):
    """How the error rate is spread over the looks."""

    OBRIEN_FLEMING = "obrien-fleming"
    """Hardly any at early looks, so that the last one is nearly a test without looks."""
    POCOCK = "pocock"
    """About the same at every look: stops earlier, and sees less at the end."""


def alpha_spent(fraction: float, alpha: float, spending: Spending = Spending.OBRIEN_FLEMING) -> float:
    r"""One-sided error rate that may be spent until `fraction` of the information is there.

    O'Brien-Fleming-like: $2 - 2 \Phi(z_{1 - \alpha / 2} / \sqrt t)$; Pocock-like: $\alpha \ln(1 + (e - 1) t)$.

    Source: K. K. G. Lan, D. L. DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70 (1983).

    Args:
        fraction: of all information, 0..1; more than 1 counts as 1.
        alpha: one-sided level of the whole, in (0, 0.5).
        spending: see `Spending`.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, not {alpha}")
    if not fraction >= 0:
        raise ValueError(f"a fraction of the information is at least 0, not {fraction}")
    if fraction == 0 or fraction >= 1:
        return alpha if fraction else 0.0
    if spending is Spending.POCOCK:
        return alpha * math.log1p((math.e - 1) * fraction)
    return math.erfc(normal_quantile(1 - alpha / 2) / math.sqrt(2 * fraction))


def sequential_boundaries(
    fractions: Sequence[float],
    alpha: float,
    spending: Spending = Spending.OBRIEN_FLEMING,
    *,
    final: bool = False,
) -> tuple[float, ...]:
    """Standard normal values that a one-sided test must reach at each look, so that all together err at most `alpha`.

    A boundary depends on the looks up to it alone, so that later ones need not be known. They do not assume that
    the test is ever given up for another reason; where it is, the error rate can only be smaller ("non-binding").

    Source: recursive integration: P. Armitage, C. K. McPherson, B. C. Rowe, Repeated significance tests on
    accumulating data, JRSS A 132 (1969); with spending: Lan and DeMets (1983), see `alpha_spent`.

    Args:
        fractions: information at each look over that planned for all, increasing, above 0; shape (looks,).
        alpha: one-sided level of the whole, in (0, 0.5).
        spending: see `Spending`.
        final: the last of them is the last look there will be: it spends what is left, whatever its fraction.

    Returns:
        Shape (looks,); infinite where a look has nothing to spend.

    Raises:
        ValueError: an argument is out of range, or fractions do not increase.
    """
    _check(fractions)
    targets = [alpha_spent(fraction, alpha, spending) for fraction in fractions]
    if final:
        targets[-1] = alpha
    found: list[float] = []
    walk = _Walk(drift=0.0)
    for fraction, target in zip(fractions, targets, strict=True):
        share = target - walk.crossed
        bound = math.inf if share < _SMALLEST else walk.bound(fraction, share)
        walk.look(fraction, bound)
        found.append(bound)
    return tuple(found)


def sequential_levels(
    fractions: Sequence[float],
    alpha: float,
    spending: Spending = Spending.OBRIEN_FLEMING,
    *,
    final: bool = False,
) -> tuple[float, ...]:
    """The same boundaries as p values: what a one-sided p must not exceed at each look.

    Args:
        fractions: see `sequential_boundaries`.
        alpha: see `sequential_boundaries`.
        spending: see `sequential_boundaries`.
        final: see `sequential_boundaries`.

    Raises:
        ValueError: see `sequential_boundaries`.
    """
    bounds = sequential_boundaries(fractions, alpha, spending, final=final)
    return tuple(normal_tails(np.asarray(bounds)).tolist())


def sequential_crossing(fractions: Sequence[float], bounds: Sequence[float], drift: float = 0.0) -> tuple[float, ...]:
    """Probability that a test first reaches its boundary at each look.

    Source: see `sequential_boundaries`.

    Args:
        fractions: information at each look over that planned for all, increasing, above 0; shape (looks,).
        bounds: upper boundaries of the standard normal statistic, shape (looks,); may be infinite.
        drift: expected value of the statistic at fraction 1.

    Raises:
        ValueError: lengths differ, or fractions do not increase.
    """
    _check(fractions)
    if len(bounds) != len(fractions):
        raise ValueError(f"lengths differ: fractions {len(fractions)}, bounds {len(bounds)}")
    walk = _Walk(drift)
    return tuple(walk.look(fraction, bound) for fraction, bound in zip(fractions, bounds, strict=True))


class _Walk:
    """The density of the statistic among tests that have not stopped, from look to look.

    Kept as points of Gauss-Legendre quadrature on the scale of the statistic times the square root of the
    information, on which a step adds an independent normal.
    """

    def __init__(self, drift: float) -> None:
        self.drift = drift
        self.fraction = 0.0
        self.crossed = 0.0
        self.points: Floats = np.zeros(1)
        self.masses: Floats = np.ones(1)

    def bound(self, fraction: float, share: float) -> float:
        """The boundary that is first reached at this look with probability `share`."""
        low, high = -_REACH, 2 * _REACH
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._above(fraction, middle) > share else (low, middle)
        return high

    def look(self, fraction: float, bound: float) -> float:
        """Go on to a look; the probability of first reaching the boundary there."""
        share = self._above(fraction, bound) if bound < math.inf else 0.0
        step, root = fraction - self.fraction, math.sqrt(fraction)
        middle = self.drift * fraction
        low, high = middle - _REACH * root, min(middle + _REACH * root, bound * root)
        self.crossed += share
        if high <= low:
            self.points, self.masses = np.zeros(0), np.zeros(0)
        else:
            # a point at least every third of the step's own standard deviation
            count = max(64, math.ceil(3 * (high - low) / math.sqrt(step)))
            nodes, weights = np.polynomial.legendre.leggauss(min(count, 2000))
            places = (high - low) / 2 * nodes + (high + low) / 2
            gap = (places[:, None] - self.points[None, :] - self.drift * step) / math.sqrt(step)
            density = np.exp(-(gap**2) / 2) / math.sqrt(2 * math.pi * step)
            self.masses = density @ self.masses * weights * (high - low) / 2
            self.points = places
        self.fraction = fraction
        return share

    def _above(self, fraction: float, bound: float) -> float:
        step = fraction - self.fraction
        gap = (bound * math.sqrt(fraction) - self.points - self.drift * step) / math.sqrt(step)
        return float(normal_tails(gap) @ self.masses)


def _check(fractions: Sequence[float]) -> None:
    if not fractions:
        raise ValueError("there is no look")
    if not all(a < b < math.inf for a, b in zip((0.0, *fractions), fractions, strict=False)):
        raise ValueError(f"fractions of the information must increase from above 0, not {list(fractions)}")
