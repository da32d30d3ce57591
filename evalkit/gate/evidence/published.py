"""A new run against published means: one-sample, and labelled so."""

from __future__ import annotations

from evalkit import stats
from evalkit.analysis.figure import Figure
from evalkit.analysis.side import known_mean
from evalkit.gate.baseline import Means, published_figure
from evalkit.gate.contrasts import Contrast, Unavailable
from evalkit.gate.contrasts.apart import Apart
from evalkit.gate.contrasts.means import Values
from evalkit.gate.contrasts.paired import paired
from evalkit.gate.evidence.run import Run, errors_of, value_of
from evalkit.gate.rules import GateRule
from evalkit.records import Rule

_PUBLISHED = ("accuracy", "tool_rate")


class OneSample(Apart):
    """A share of the new run against a published one, which is taken as exact."""

    def difference(self, relative: bool) -> Figure:
        """See `Contrast`."""
        new, old = self.new, self.baseline
        if relative or old is None or old.value is None or new.value is None or new.low is None or new.high is None:
            return super().difference(relative)
        found = stats.against_published(new.value, stats.Interval(new.low, new.high), old.value)
        low, high = found.interval
        return Figure(value=found.value, low=low, high=high, n=new.n, method=found.kind)


class PublishedEvidence:
    """A new run and means without samples."""

    def __init__(self, means: Means, new: Run, *, rule: Rule, confidence: float) -> None:
        self.means, self.new, self.rule, self.confidence = means, new, rule, confidence
        self.task = str(new.side.task["name"])

    def contrast(self, rule: GateRule) -> Contrast:
        """See `PairedEvidence.contrast`.

        Raises:
            Unavailable: the metric needs samples of the baseline, or is not published.
            EvalkitError: sources disagree, and the user has chosen none.
        """
        if rule.metric == "errors":
            return errors_of(self.new, rule.category, self.confidence)
        if rule.metric not in _PUBLISHED:
            raise Unavailable("a published baseline has no samples: name a run folder or an archived baseline")
        new = self._share(rule)
        if not rule.against:
            return Apart(new, None, confidence=self.confidence)
        figure = published_figure(self.means, self.task, rule.metric, rule.category)
        if figure is None:
            raise Unavailable(f"nothing is published of it for {self.means.model} on {self.task}")
        if figure.unit != "%":
            raise Unavailable(f"it is published in {figure.unit}, which is no share")
        said = f"published {figure.value:g} % ({' = '.join(figure.sources)}; sampling {figure.regime})"
        more = [text for text in (figure.variant, figure.note) if text]
        return OneSample(
            new,
            Figure(value=figure.value / 100, low=figure.value / 100, high=figure.value / 100, method="published"),
            confidence=self.confidence,
            notes=(f"one-sample: {said}, taken as exact", *more),
        )

    def _share(self, rule: GateRule) -> Figure:
        value = value_of(rule.metric, self.rule)
        units = [unit for unit in self.new.side.units.values() if unit.scored and rule.category in ("", unit.category)]
        known = [(known_mean(map(value, self.new.by_id[unit.id])), unit.cluster) for unit in units]
        values = tuple(found for found, _ in known if found is not None)
        if not values:
            raise Unavailable("the new run did not record it" if known else "no sample has a score")
        if len(values) < len(known):
            raise Unavailable(f"it is known of {len(values)} of {len(known)} samples only")
        clusters = tuple(cluster for _, cluster in known)
        return paired(Values(values, values, clusters), share=True, confidence=self.confidence).new
