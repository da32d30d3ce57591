"""What the head of a log says of all its rows together: mean scores, tokens, times."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from inspect_ai.log import EvalMetric, EvalResults, EvalSample, EvalScore, EvalStats
from inspect_ai.model import ModelUsage

from evalkit.bridges.inspect.marks import CALLS, OWN
from evalkit.recorded import number_of
from evalkit.records import Record


class Sums:
    """Sums over the rows of a log, which come one at a time.

    Attributes:
        rows: so far.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._failed = 0
        self._sums: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._usage: dict[str, ModelUsage] = {}
        self._started: list[float] = []
        self._ended: list[float] = []

    def add(self, record: Record, sample: EvalSample) -> None:
        """Take in a row."""
        self.rows += 1
        self._failed += sample.error is not None
        for name, score in (sample.scores or {}).items():
            if (value := number_of(score.value)) is not None:
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] += 1
        for model, tokens in sample.model_usage.items():
            self._usage[model] = self._usage[model] + tokens if model in self._usage else tokens
        trajectory = record.trajectory
        if trajectory.started_at:
            self._started = [min([*self._started, trajectory.started_at])]
            self._ended = [max([*self._ended, trajectory.started_at + (trajectory.total_s or 0.0)])]

    def results(self, expected: int) -> EvalResults:
        """Each score's mean over the rows that have it.

        Args:
            expected: rows that the log should have.
        """
        return EvalResults(
            total_samples=max(expected, self.rows),
            completed_samples=self.rows - self._failed,
            scores=[
                EvalScore(
                    name=name,
                    scorer=name,
                    scored_samples=self._counts[name],
                    unscored_samples=self.rows - self._counts[name],
                    metrics={_metric(name): EvalMetric(name=_metric(name), value=total / self._counts[name])},
                )
                for name, total in self._sums.items()
            ],
        )

    def stats(self) -> EvalStats:
        """From when to when the rows were made, where that is known, and their tokens."""
        times: dict[str, Any] = {}
        if self._started:
            times = {"started_at": _iso(self._started[0]), "completed_at": _iso(self._ended[0])}
        return EvalStats(**times, model_usage=self._usage)


def _metric(name: str) -> str:
    return "accuracy" if name in OWN and name != CALLS else "mean"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
