"""Distribution functions as plain floats and arrays; the only place that imports scipy."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped,unused-ignore]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NORMAL = NormalDist()


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t, or of the normal where df is infinite."""
    if math.isinf(df):
        return _NORMAL.inv_cdf(probability)
    return float(special.stdtrit(df, probability))


def t_upper_tail(t: float, df: float) -> float:
    """P(T >= t) of Student's t, or of the normal where df is infinite; t may be infinite."""
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    return _NORMAL.cdf(-t) if math.isinf(df) else float(special.stdtr(df, -t))


def normal_cdf(z: float) -> float:
    """P(Z <= z)."""
    return _NORMAL.cdf(z)


def normal_tails(z: Floats) -> Floats:
    """P(Z >= z) of each, right to the last digit however small it is."""
    return np.asarray(special.ndtr(-z), dtype=np.float64)


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal; 0 and 1 give minus and plus infinity."""
    if probability <= 0 or probability >= 1:
        return math.inf if probability >= 1 else -math.inf
    return _NORMAL.inv_cdf(probability)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """Quantile of the beta distribution."""
    return float(special.betaincinv(a, b, probability))


def log_choose(n: int | Ints, k: int | Ints) -> Floats:
    """Logarithm of the binomial coefficient, for 0 <= k <= n."""
    log = special.gammaln(np.add(n, 1)) - special.gammaln(np.add(k, 1)) - special.gammaln(np.subtract(n, k) + 1)
    return np.asarray(log, dtype=np.float64)


def binomial_pmf(k: Ints, n: int | Ints, p: float) -> Floats:
    """P(X = k) for 0 <= k <= n and 0 <= p <= 1."""
    log = log_choose(n, k) + special.xlogy(k, p) + special.xlog1py(np.subtract(n, k), -p)
    return np.asarray(np.exp(log), dtype=np.float64)


def binomial_cdf(k: Ints, n: int | Ints, p: float) -> Floats:
    """P(X <= k); k may lie outside 0..n."""
    n = np.broadcast_to(np.asarray(n), k.shape)
    inside = np.clip(k, 0, np.maximum(n - 1, 0))
    value = special.betainc(np.maximum(n - inside, 1), inside + 1, 1 - p)
    return np.asarray(np.where(k < 0, 0.0, np.where(k >= n, 1.0, value)), dtype=np.float64)
