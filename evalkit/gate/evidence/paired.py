"""A new run and a baseline of which each sample is known."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit import stats
from evalkit.analysis.figure import Figure, bounded_mean, codes_of, figure
from evalkit.analysis.pairing import Pair
from evalkit.analysis.side import known_mean
from evalkit.gate.contrasts import Contrast, Unavailable
from evalkit.gate.contrasts.apart import Apart, at_confidence
from evalkit.gate.contrasts.means import Values
from evalkit.gate.contrasts.paired import paired
from evalkit.gate.evidence.latency import QUANTILES, latency
from evalkit.gate.evidence.need import is_need, need
from evalkit.gate.evidence.run import Run, errors_of, value_of
from evalkit.gate.metrics import METRICS, Unit
from evalkit.gate.rules import GateRule
from evalkit.records import Rule


class PairedEvidence:
    """One contrast per metric and category, over the samples with a score in both runs."""

    def __init__(self, old: Run, new: Run, pairs: Sequence[Pair], *, rule: Rule, confidence: float) -> None:
        self.old, self.new, self.pairs = old, new, pairs
        self.rule, self.confidence = rule, confidence

    def contrast(self, rule: GateRule) -> Contrast:
        """What the runs say to a rule's metric.

        Raises:
            Unavailable: a run does not have what the metric needs; the message says why.
        """
        if rule.metric == "errors":
            return errors_of(self.new, rule.category, self.confidence)
        pairs = [pair for pair in self.pairs if rule.category in ("", pair.old.category)]
        if not pairs:
            raise Unavailable("no sample has a score in both runs")
        if rule.metric in QUANTILES:
            return latency(rule, self.old, self.new, pairs, self.confidence)
        if is_need(rule.metric):
            return need(rule, self.old, self.new, self.rule, self.confidence)
        if rule.metric == "efficiency":
            return Apart(
                self._efficiency(self.new, pairs),
                self._efficiency(self.old, pairs),
                confidence=self.confidence,
                paired=len(pairs),
            )
        return self._paired(rule, pairs)

    def _paired(self, rule: GateRule, pairs: Sequence[Pair]) -> Contrast:
        metric, prices = rule.metric, self.new.side.info.prices or self.old.side.info.prices
        if metric == "cost" and prices is None:
            raise Unavailable("no prices are recorded in either run")
        if metric == "accuracy_official":
            for run in (self.old, self.new):
                if not run.side.has_official:
                    raise Unavailable(f"{run.side.label} has no verdict under an official rule")
        value = value_of(metric, self.rule, prices)
        new, old = ([known_mean(map(value, run.by_id[pair.old.id])) for pair in pairs] for run in (self.new, self.old))
        for run, values in ((self.old, old), (self.new, new)):
            if all(found is None for found in values):
                raise Unavailable(f"{run.side.label} did not record it")
        known = [
            (first, second, pair.old.cluster)
            for first, second, pair in zip(new, old, pairs, strict=True)
            if first is not None and second is not None
        ]
        if not known:
            raise Unavailable("no sample has it in both runs")
        both = Values(*zip(*known, strict=True))
        partly = (f"known of {len(known)} of {len(pairs)} samples",) if len(known) < len(pairs) else ()
        return paired(
            both,
            share=METRICS[metric].unit is Unit.SHARE,
            confidence=self.confidence,
            notes=partly + (_unchanged(both) if rule.against else ()),
        )

    def _efficiency(self, run: Run, pairs: Sequence[Pair]) -> Figure:
        rows = [row for pair in pairs for row in run.by_id[pair.old.id] if row.outcome.right(self.rule)]
        if any(row.calls is None for row in rows):
            raise Unavailable(f"of {run.side.label} only the last responses are known, not its calls")
        if not rows:
            return Figure(why=f"{run.side.label} has no sample right")
        values = [1 / (1 + (row.calls or 0)) for row in rows]
        found = figure(lambda: bounded_mean(values, codes_of([row.group for row in rows])), len(rows))
        return at_confidence(found, self.confidence)


def _unchanged(values: Values) -> tuple[str, ...]:
    """What the interval of a difference rests on where no sample of a cluster changed."""
    n, groups, none = len(values.new), len(set(values.clusters)), [0] * len(values.new)
    if values.new != values.old or not 1 < groups < n:
        return ()
    as_many = round(stats.paired_difference(none, none, codes_of(values.clusters)).effective_n)
    return (
        f"no sample changed, so how changes would cluster is assumed: {n:,} samples in {groups:,} clusters count as "
        f"{as_many:,}",
    )
