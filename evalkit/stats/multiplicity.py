"""Several tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import numbers
from evalkit.stats._special import Floats


def holm(p_values: ArrayLike) -> Floats:
    """Holm's adjusted p values: reject where they are at most alpha, and no true hypothesis falls above that rate.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Args:
        p_values: shape (tests,), each in [0, 1].

    Returns:
        In the order of the input, shape (tests,), each at least its own p value and at most 1.

    Raises:
        StatsUnavailable: there is no p value.
        ValueError: a p value is not a number in [0, 1].
    """
    array = numbers(p_values, "p_values")
    if array.min() < 0 or array.max() > 1:
        raise ValueError("p_values: each must lie between 0 and 1")
    order = np.argsort(array, kind="stable")
    stepped = np.maximum.accumulate(array[order] * np.arange(len(array), 0, -1))
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
