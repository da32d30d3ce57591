"""Seconds per sample: run one at a time where that was done, else as run on one machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalkit import stats
from evalkit.analysis.figure import Figure, codes_of
from evalkit.analysis.machines import machines_apart, times_apart
from evalkit.analysis.pairing import Pair
from evalkit.gate.baseline import LONGEST
from evalkit.gate.contrasts import Contrast, Unavailable
from evalkit.gate.contrasts.apart import Apart
from evalkit.gate.evidence.run import Run
from evalkit.gate.rules import GateRule
from evalkit.stats import StatsUnavailable

QUANTILES = {"latency_p50": 0.5, "latency_p95": 0.95}
_LOADED = "as run, under load: whatever else the machine did shows too"
_ALONE = "evalkit run --isolated-latency gives times to compare"


class _Times(NamedTuple):
    old: tuple[float, ...]
    new: tuple[float, ...]
    clusters: tuple[str, ...]
    note: str


def latency(rule: GateRule, old: Run, new: Run, pairs: Sequence[Pair], confidence: float) -> Contrast:
    """A quantile of the seconds per sample.

    Raises:
        Unavailable: nobody measured them, or they say nothing of the two models.
    """
    times = _against(old, new, pairs) if rule.against else _of_new(new, pairs)
    if not times.new:
        raise Unavailable("nobody measured it")
    odd = next((second for second in (*times.old, *times.new) if not 0 <= second <= LONGEST), None)
    if odd is not None:
        raise Unavailable(f"a sample is said to have taken {odd:.4g} s")
    probability = QUANTILES[rule.metric]
    return Apart(
        _quantile(times.new, times.clusters, probability, confidence),
        _quantile(times.old, times.clusters, probability, confidence) if rule.against else None,
        confidence=confidence,
        paired=len(times.new) if rule.against else None,
        fewest=stats.samples_for_quantile(probability, confidence),
        notes=(times.note,),
    )


def _against(old: Run, new: Run, pairs: Sequence[Pair]) -> _Times:
    first, second = old.side.alone, new.side.alone
    rows = [
        (first[p.old.id], second[p.old.id], p.old.cluster) for p in pairs if p.old.id in first and p.old.id in second
    ]
    if rows:
        apart = machines_apart(old.side, new.side)
        return _times(rows, "run one at a time" + (f"; {apart}: models and machines together" if apart else ""))
    if why := times_apart(old.side, new.side):
        raise Unavailable(f"{why}, and times as run say nothing of the models then; {_ALONE}")
    known = [
        (pair.old.seconds, pair.new.seconds, pair.old.cluster)
        for pair in pairs
        if pair.old.seconds is not None and pair.new.seconds is not None
    ]
    return _times(known, f"{_LOADED}; {_ALONE}")


def _of_new(new: Run, pairs: Sequence[Pair]) -> _Times:
    alone = new.side.alone
    rows = [(0.0, alone[pair.new.id], pair.new.cluster) for pair in pairs if pair.new.id in alone]
    if rows:
        return _times(rows, "run one at a time")
    return _times([(0.0, p.new.seconds, p.new.cluster) for p in pairs if p.new.seconds is not None], _LOADED)


def _times(rows: Sequence[tuple[float, float, str]], note: str) -> _Times:
    return _Times(tuple(row[0] for row in rows), tuple(row[1] for row in rows), tuple(row[2] for row in rows), note)


def _quantile(values: Sequence[float], clusters: Sequence[str], probability: float, confidence: float) -> Figure:
    try:
        found = stats.quantile(values, probability, codes_of(clusters), confidence)
    except StatsUnavailable as error:
        import numpy as np

        return Figure(value=float(np.quantile(values, probability)), n=len(values), why=error.reason)
    low, high = found.interval
    return Figure(value=found.value, low=low, high=high, n=found.n, method=found.method)
