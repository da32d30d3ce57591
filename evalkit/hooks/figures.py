"""A run as flat names and values, the form in which experiment trackers take it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evalkit.records import AGENT, Record, Verdict
from evalkit.runs.plan import flat
from evalkit.secrets import without_secrets

if TYPE_CHECKING:
    from evalkit.analysis import Summary
    from evalkit.runs.folder import RunInfo

EVERY_S = 1.0
"""Seconds between two figures of a run that goes on."""


def settings_of(info: RunInfo) -> dict[str, Any]:
    """The configuration by dotted names. What a model card adds to each request is left out: it may be a key."""
    config = {**info.config, "model": {k: v for k, v in info.config["model"].items() if k != "fields"}}
    found = {name: _plain(value) for name, value in flat(config) if value not in (None, {}, [], "")}
    return {**found, "evalkit": info.evalkit, "config_hash": info.config_hash}


def _plain(value: Any) -> Any:
    """A task's option may be an address with a password."""
    return without_secrets(value) if isinstance(value, str) else value


def figures_of(summary: Summary) -> dict[str, float]:
    """The run's figures by name; shares lie between 0 and 1, what is not available is left out."""
    return {name: float(value) for name, value in _figures(summary) if value is not None}


def _figures(summary: Summary) -> Iterator[tuple[str, float | None]]:
    yield from _share("accuracy", summary.accuracy)
    yield from _share("accuracy_of_all_rows", summary.accuracy_expected)
    if summary.other_rule is not None:
        yield from _share("accuracy_other_rule", summary.other_rule)
    yield from _share("tool_rate", summary.tools.tool_rate)
    yield "tool_rate_ok", summary.tools.tool_rate_ok.value
    yield "calls_mean", summary.tools.calls_mean
    yield "efficiency", summary.tools.efficiency
    for name, tool in summary.tools.by_tool.items():
        yield f"tool_rate/{name}", tool.value
    for name, share in summary.by_category.items():
        yield f"accuracy/{name}", share.value
    for kind, spreads in (("seconds", summary.latency), ("tokens", summary.tokens)):
        for name, spread in spreads.items():
            yield f"{kind}/{name}/mean", spread.mean
            yield f"{kind}/{name}/p50", spread.p50
            yield f"{kind}/{name}/p95", spread.p95
    if summary.cost is not None:
        yield "cost/mean", summary.cost.mean
    for name, count in summary.outcomes.items():
        yield f"outcomes/{name}", count
    yield "rows/expected", summary.expected
    yield "rows/done", summary.done
    for metric in summary.metrics:
        yield f"own/{metric.name}", metric.value
    if summary.need is not None and summary.need.overall.need:
        rate = summary.need.overall.need[0].redundant_rate
        yield "redundant_rate", rate.raw.value
        yield "redundant_rate/corrected_for_chance", rate.corrected.value


def _share(name: str, share: Any) -> Iterator[tuple[str, float | None]]:
    yield name, share.value
    yield f"{name}/low", share.low
    yield f"{name}/high", share.high


class SoFar:
    """Running figures of the agent's first tries, at most one a second."""

    def __init__(self) -> None:
        self.done = self._scored = self._right = self._called = 0
        self._said = 0.0

    def add(self, record: Record) -> dict[str, float] | None:
        """Count a record; the figures so far, where it is time for them."""
        if record.arm != AGENT or record.repeat:
            return None
        verdict = record.outcome.verdict
        self.done += 1
        self._scored += not verdict.is_error
        self._right += verdict is Verdict.CORRECT
        self._called += any(call.status.dispatched for call in record.trajectory.calls)
        now = time.monotonic()
        if now - self._said < EVERY_S or not self._scored:
            return None
        self._said = now
        return {"so_far/accuracy": self._right / self._scored, "so_far/tool_rate": self._called / self.done}
