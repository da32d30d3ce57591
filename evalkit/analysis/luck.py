"""Ratios without their lucky guesses, and what is said where fewer were lucky than guessing gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from evalkit.analysis.figure import BELOW_CHANCE, UNIT, Figure, kept_within, ratio_of

if TYPE_CHECKING:
    from evalkit.analysis.figure import Codes

LEVEL = 0.025
"""How unlikely so few lucky guesses must be before guessing is doubted: one end of a 95 % interval."""

Parts = Callable[[Sequence[float]], tuple[Sequence[float], Sequence[float]]]
"""From a weight per row to numerators and denominators."""


def fair_weights(wrong: Sequence[bool], lucks: Sequence[float]) -> list[float]:
    """What a wrong row stands for: itself, and those that guessed as it did and were lucky.

    Args:
        wrong: shape (n,).
        lucks: chance that a guesser is not wrong, below 1, shape (n,).
    """
    return [1 / (1 - luck) if bad else 0.0 for bad, luck in zip(wrong, lucks, strict=True)]


def fair_ratio(
    wrong: Sequence[bool], lucks: Sequence[float], clusters: Codes, parts: Parts, *, among: Sequence[bool], top: float
) -> Figure:
    """A ratio of sums of `fair_weights`, kept between 0 and 1.

    Where nobody was lucky the weights' spread says nothing of luck (it comes from which options there are and who
    answered); then the interval is that of the plain counts, scaled as the value is. An interval above 1 is replaced:
    by none where the wrong are too many for guesses (see `least_guessing`), else by the exact one-sided one.

    Args:
        wrong: shape (n,).
        lucks: chance that a guesser is not wrong, 0 where nothing was guessed; shape (n,).
        clusters: see `codes_of`, shape (n,).
        parts: the ratio; with all weights 0 or 1 it lies between 0 and 1.
        among: the rows whose luck moves the ratio, shape (n,).
        top: largest value the ratio of one row can have.

    Raises:
        StatsUnavailable: the denominators are all 0.
    """
    above, below = parts(fair_weights(wrong, lucks))
    guessed = [i for i, counts in enumerate(among) if counts and lucks[i] > 0]
    lucky = sum(not wrong[i] for i in guessed)
    if guessed and not lucky:
        plain = ratio_of(*parts([float(bad) for bad in wrong]), clusters)
        found = stretched(plain, sum(above) / sum(below) / (plain.value or 1.0))
    else:
        found = ratio_of(above, below, clusters, top, bounds=None)
    if found.low is None or found.low < 1 or not guessed:
        return kept_within(found, UNIT)
    share = least_guessing([lucks[i] for i in guessed], lucky, [int(clusters[i]) for i in guessed])
    if share is None:
        return Figure(value=1.0, n=found.n, why=BELOW_CHANCE)
    weights = [float(bad) for bad in wrong]
    for i in guessed:
        weights[i] *= share * len(guessed) / (len(guessed) - lucky)
    above, below = parts(weights)
    return Figure(value=1.0, low=min(sum(above) / sum(below), 1.0), high=1.0, n=found.n, method="exact")


def stretched(found: Figure, scale: float) -> Figure:
    """Value and interval times a constant."""
    value, low, high = (None if x is None else x * scale for x in (found.value, found.low, found.high))
    return msgspec.structs.replace(found, value=value, low=low, high=high)


def least_guessing(lucks: Sequence[float], right: int, clusters: Sequence[int]) -> float | None:
    """Lower 97.5 % limit of the share that guessed, from how few are right; None where that is above 1.

    Solves P(no more than `right` are right) = 2.5 %, where a row is right unless it is guessed and unlucky: Clopper's
    and Pearson's limit for rows with a luck each (Poisson binomial). With nobody right a cluster counts as one row,
    the least lucky one, as in `stats.cluster_wilson`.

    Args:
        lucks: shape (m,), each in (0, 1).
        right: rows that are right.
        clusters: a label per row, shape (m,).
    """
    if not right:
        least: dict[int, float] = {}
        for label, luck in zip(clusters, lucks, strict=True):
            least[label] = min(luck, least.get(label, 1.0))
        lucks = list(least.values())
    if _at_most(right, lucks, 1.0) <= LEVEL:
        return None
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _at_most(right, lucks, middle) > LEVEL else (middle, high)
    return low


def _at_most(right: int, lucks: Sequence[float], share: float) -> float:
    """Chance that no more than so many rows are right, where `share` of them guess and the others are right."""
    import numpy as np

    chances = np.zeros(right + 1)
    chances[0] = 1.0
    for luck in lucks:
        wrong = share * (1 - luck)
        moved = chances[:-1] * (1 - wrong)
        chances *= wrong
        chances[1:] += moved
    return float(chances.sum())
