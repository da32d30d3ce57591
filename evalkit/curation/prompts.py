"""A prompt on its way through the filters of RL data: a question, and what the model made of it each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.curation.report import Fate
from evalkit.curation.source import Entry, SourceRun, entries_of
from evalkit.errors import EvalkitError, one_line
from evalkit.records import Record, Sample

_SAME = ("model", "protocol", "sampling", "limits")
"""Parts of a configuration that make a run another policy's, or the same policy's under other conditions."""


@dataclass(frozen=True)
class Prompt:
    """One question of one benchmark, with all of its rollouts.

    Attributes:
        rollouts: trajectories of the agent, from one run or several; at least one.
        found: what filters measured on it; they add to it.
    """

    rollouts: tuple[Entry, ...]
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> SourceRun:
        """The first run that has it."""
        return self.rollouts[0].run

    @property
    def record(self) -> Record:
        """Its first rollout."""
        return self.rollouts[0].record

    @property
    def sample(self) -> Sample:
        """What was asked."""
        return self.record.sample

    @property
    def id(self) -> str:
        """Unique among the prompts of one curation."""
        return f"{self.run.task}/{self.sample.id}"

    def fate(self, step: str = "", reason: str = "", detail: str = "", *, error: bool = False) -> Fate:
        """What became of it; without a step, it was kept."""
        return Fate(
            run=self.run.name,
            id=self.sample.id,
            step=step,
            reason=reason,
            error=error,
            detail=detail,
            found=self.found,
        )


def prompts_of(runs: Sequence[SourceRun]) -> list[Prompt]:
    """The prompts of runs of one policy, each with the rollouts that any of the runs has of it.

    Raises:
        EvalkitError: the runs are of several models, or under different protocols, sampling or limits: how hard a
            prompt is, is a matter of one policy; or two have the same seed, and so the same draws.
    """
    for run in runs[1:]:
        if odd := next((part for part in _SAME if _part(run, part) != _part(runs[0], part)), None):
            raise EvalkitError(
                f"{runs[0].name} and {run.name} differ in their {odd}: rollouts of one prompt must be of one policy; "
                "name the runs of one model under one configuration"
            )
    groups: dict[tuple[str, str], list[Entry]] = {}
    for run in runs:
        for entry in entries_of(run):
            groups.setdefault((run.task, entry.record.sample.id), []).append(entry)
    for entries in groups.values():
        _check_same(entries)
    return [Prompt(tuple(entries)) for entries in groups.values()]


def _part(run: SourceRun, name: str) -> Any:
    part = run.info.config.get(name)
    # another seed draws further rollouts of the same policy
    return {k: v for k, v in part.items() if k != "seed"} if isinstance(part, dict) else part


def _check_same(entries: Sequence[Entry]) -> None:
    draws: dict[tuple[object, int], Entry] = {}
    for entry in entries:
        seed = entry.run.sampling.get("seed")
        drawn = draws.setdefault((seed, entry.record.repeat), entry)
        if seed is not None and drawn.run is not entry.run:
            raise EvalkitError(
                f"{drawn.run.name} and {entry.run.name} have the seed {seed}: their rollouts of "
                f"{one_line(entry.record.sample.id, 80)} are the same draws; draw more with another --seed"
            )
    first, *others = entries
    asked = _asked(first.record.sample)
    for entry in others:
        if entry.run is not first.run and _asked(entry.record.sample) != asked:
            raise EvalkitError(
                f"{first.run.name} and {entry.run.name} ask different questions under the id "
                f"{entry.record.sample.id!r}: were they run with the same task options and data?"
            )


def _asked(sample: Sample) -> tuple[object, ...]:
    return sample.question, sample.answer, tuple(image.header.sha256 for image in sample.images)
