"""How far two raters agree beyond chance."""

from __future__ import annotations

import math

from evalkit.stats._arrays import check_confidence
from evalkit.stats._special import normal_quantile
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval
from evalkit.stats.judge_table import JudgeTable
from evalkit.stats.unavailable import StatsUnavailable

_ROUNDING = 1e-9
"""A standard error below it is none."""


def kappa(table: JudgeTable, confidence: float = 0.95) -> Estimate:
    r"""Cohen's kappa of a judge and the labels: $(p_o - p_e) / (1 - p_e)$, agreement seen and by chance.

    The interval is taken on the scale of Fisher's z, where it is less lopsided near 1, from the large-sample standard
    error. Where both agree on all samples that error is 0 and says nothing; then the error is that of half a
    disagreement each way.

    Source: J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20
    (1960); the error: J. L. Fleiss, J. Cohen, B. S. Everitt, Large sample standard errors of kappa and weighted kappa,
    Psychological Bulletin 72 (1969). Coverage is simulated in `benchmarks/judging.py`.

    Args:
        table: the judge on labelled samples.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, or all labels are the same.
        ValueError: a count is negative.
    """
    check_confidence(confidence)
    if min(table) < 0:
        raise ValueError(f"counts must not be negative: {table}")
    n = sum(table)
    if n == 0:
        raise StatsUnavailable("there is no sample")
    if 0 in (table.right, table.wrong):
        raise StatsUnavailable("all labels are the same, so agreement by chance is not known")
    value, error = _kappa(*table)
    middle = value
    if error < _ROUNDING:
        middle, error = _kappa(*(count + 0.5 for count in table))
    half = normal_quantile((1 + confidence) / 2) * error / (1 - middle**2)
    low, high = (math.tanh(math.atanh(middle) + side * half) for side in (-1, 1))
    return Estimate(value, Interval(min(low, value), max(high, value)), "kappa", n, standard_error=error)


def _kappa(a: float, b: float, c: float, d: float) -> tuple[float, float]:
    """Kappa and its standard error from the cells: right twice, right and wrong, wrong and right, wrong twice."""
    n = a + b + c + d
    cells = ((a / n, b / n), (c / n, d / n))
    rows, columns = [sum(row) for row in cells], [sum(column) for column in zip(*cells, strict=True)]
    seen, chance = cells[0][0] + cells[1][1], rows[0] * columns[0] + rows[1] * columns[1]
    if chance == 1:
        return 1.0, 0.0
    value = (seen - chance) / (1 - chance)
    inner = sum(cells[i][i] * (1 - (rows[i] + columns[i]) * (1 - value)) ** 2 for i in (0, 1))
    outer = (1 - value) ** 2 * sum(cells[i][1 - i] * (columns[i] + rows[1 - i]) ** 2 for i in (0, 1))
    variance = inner + outer - (value - chance * (1 - value)) ** 2
    return value, math.sqrt(max(variance, 0.0) / n) / (1 - chance)
