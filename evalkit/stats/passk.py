"""Figures over several answers to the same sample: pass@k, all of k, majority."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats._arrays import counts, same_length
from evalkit.stats._special import Floats, Ints, log_choose

Answer = TypeVar("Answer", bound=Hashable)


def pass_at_k(right: ArrayLike, repeats: ArrayLike, k: int) -> Floats:
    """Unbiased estimate, per sample, of the probability that at least one of k answers is right.

    1 - C(n - c, k) / C(n, k) for c right of n answers; the mean over samples is the benchmark's pass@k.

    Source: M. Chen et al., Evaluating large language models trained on code, arXiv 2107.03374, section 2.1.

    Args:
        right: right answers per sample, shape (samples,).
        repeats: answers per sample, shape (samples,).
        k: at least 1 and at most the fewest repeats.

    Returns:
        Shape (samples,), in [0, 1].

    Raises:
        StatsUnavailable: there is no sample.
        ValueError: lengths differ, right exceeds repeats, k exceeds the repeats of a sample.
    """
    c, n = right_of(right, repeats)
    _check_k(k, n)
    return 1 - _none_of(n - c, n, k)


def all_of_k(right: ArrayLike, repeats: ArrayLike, k: int) -> Floats:
    """Unbiased estimate, per sample, of the probability that all of k answers are right: C(c, k) / C(n, k).

    Source: S. Yao et al., tau-bench, arXiv 2406.12045 (there pass^k).

    Args:
        right: right answers per sample, shape (samples,).
        repeats: answers per sample, shape (samples,).
        k: at least 1 and at most the fewest repeats.

    Returns:
        Shape (samples,), in [0, 1].

    Raises:
        StatsUnavailable: there is no sample.
        ValueError: lengths differ, right exceeds repeats, k exceeds the repeats of a sample.
    """
    c, n = right_of(right, repeats)
    _check_k(k, n)
    return _none_of(c, n, k)


def majority_right(right: ArrayLike, repeats: ArrayLike) -> NDArray[np.bool_]:
    """Whether more than half of a sample's answers are right; a tie is no majority.

    This is the vote on right against wrong. For the vote on the answers themselves, in which wrong answers may
    split, score the answer that `majority` gives.

    Args:
        right: right answers per sample, shape (samples,).
        repeats: answers per sample, shape (samples,).

    Raises:
        StatsUnavailable: there is no sample.
        ValueError: lengths differ, right exceeds repeats.
    """
    c, n = right_of(right, repeats)
    return np.asarray(2 * c > n)


def majority(answers: Sequence[Answer]) -> Answer | None:
    """The answer given most often; None where two share the first place or there is none.

    Source: X. Wang et al., Self-consistency improves chain of thought reasoning, arXiv 2203.11171.
    """
    first = Counter(answers).most_common(2)
    if not first or (len(first) == 2 and first[0][1] == first[1][1]):
        return None
    return first[0][0]


def right_of(right: ArrayLike, repeats: ArrayLike) -> tuple[Ints, Ints]:
    """Both arrays, checked: as long as each other, at least one repeat each, no more right than repeats."""
    c, n = counts(right, "right"), counts(repeats, "repeats")
    same_length(right=c, repeats=n)
    if np.any(n < 1):
        raise ValueError("repeats: each sample needs at least one answer")
    if np.any(c > n):
        raise ValueError("right: a sample has more right answers than answers")
    return c, n


def _check_k(k: int, n: Ints) -> None:
    if k < 1 or k != int(k):
        raise ValueError(f"k must be a whole number of at least 1, not {k}")
    if k > n.min():
        raise ValueError(f"k is {k}, but a sample has {n.min()} answers only")


def _none_of(chosen: Ints, n: Ints, k: int) -> Floats:
    """C(chosen, k) / C(n, k), without forming either."""
    ratio = np.exp(log_choose(np.maximum(chosen, k), k) - log_choose(n, k))
    return np.asarray(np.where(chosen >= k, np.minimum(ratio, 1.0), 0.0), dtype=np.float64)
