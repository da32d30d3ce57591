"""One run as a comparison needs it: what each sample came to, without its texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.analysis.kept import Kept, read_kept
from evalkit.errors import DataError, EvalkitError
from evalkit.records import AGENT, ISOLATED, Rule
from evalkit.runs.folder import RunInfo, read_info


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One sample in one run: means over those of its repeats that have a score.

    Attributes:
        id: the sample's.
        category: the task's main grouping.
        cluster: samples with equal ones are not independent; the id where the task names none.
        question: digest of the question, its options and its reference answer.
        images: digest of the images' contents; "" where the run has none.
        prompt: digest of the text that was sent first.
        expected: the reference answer.
        scored: repeats with a score; 0 where each ended with an error.
        right: share of them that are right, 0..1; None without a score.
        called: share of them with a dispatched call, 0..1; None where nothing is known of calls.
        calls: dispatched calls.
        prompt_tokens: over all turns.
        completion_tokens: over all turns.
        seconds: wall time as run.
        verdict: of the first repeat that says what most say.
        answer: its answer.
        reason: how that was found, or why there is none.
    """

    id: str
    category: str
    cluster: str
    question: str
    images: str
    prompt: str
    expected: str
    scored: int
    right: float | None = None
    called: float | None = None
    calls: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    seconds: float | None = None
    verdict: str = ""
    answer: str | None = None
    reason: str = ""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs that are compared.

    Attributes:
        label: "A" for the reference, then "B", ...
        folder: as the user names it.
        info: its `run.json`.
        units: by sample id, in the order of the run.
        alone: seconds of the samples that were run one at a time, by id; empty where that was not done.
        scorers: rules and versions that gave the verdicts.
        repeats: the most that any sample has.
        errors: trajectories of the agent that ended with an error.
        has_official: whether any row has a verdict under the official rule.
    """

    label: str
    folder: Path
    info: RunInfo
    units: dict[str, Unit]
    alone: dict[str, float]
    scorers: tuple[str, ...]
    repeats: int
    errors: int
    has_official: bool

    @property
    def task(self) -> Mapping[str, Any]:
        """The task's part of the configuration."""
        task: Mapping[str, Any] = self.info.config["task"]
        return task

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.info.config["model"]["name"])


def read_side(folder: Path, label: str, rule: Rule) -> Side:
    """A run's folder, read line by line so that no more than one trajectory is held.

    Args:
        folder: the run folder.
        label: what tables call it.
        rule: whose verdicts count.

    Raises:
        DataError: it is no run folder, a line is corrupt, or no trajectory of the agent is finished.
        EvalkitError: the official rule is asked of a run that has no verdict under it.
    """
    return side_of(read_info(folder), read_kept(folder, (AGENT, ISOLATED)), folder, label, rule)


def side_of(info: RunInfo, kept: Iterable[Kept], folder: Path, label: str, rule: Rule) -> Side:
    """A run of which only what is kept is at hand.

    Args:
        info: its `run.json`.
        kept: its trajectories, of whatever arms.
        folder: what it is called, where there is no folder.
        label: what tables call it.
        rule: whose verdicts count.

    Raises:
        DataError: no trajectory of the agent is finished.
        EvalkitError: the official rule is asked of a run that has no verdict under it.
    """
    repeats: dict[str, list[Kept]] = {}
    alone: dict[str, float] = {}
    for row in kept:
        if row.arm == AGENT:
            repeats.setdefault(row.id, []).append(row)
        elif row.arm == ISOLATED and not row.verdict.is_error and row.seconds is not None:
            alone.setdefault(row.id, row.seconds)
    if not repeats:
        raise DataError(f"{folder} has no finished trajectory to compare: run it first")
    mine = [row for group in repeats.values() for row in group]
    official = any(row.official is not None for row in mine)
    if rule is Rule.OFFICIAL and not official:
        raise EvalkitError(
            f"--rule official: {folder} has no verdict under an official rule; leave it out, or score the run again"
        )
    return Side(
        label=label,
        folder=folder,
        info=info,
        units={id: _unit(id, group, rule) for id, group in repeats.items()},
        alone=alone,
        scorers=tuple(sorted({row.scorer for row in mine if row.scorer and not row.verdict.is_error})),
        repeats=max(map(len, repeats.values())),
        errors=sum(row.verdict.is_error for row in mine),
        has_official=official,
    )


def _unit(id: str, rows: Sequence[Kept], rule: Rule) -> Unit:
    first = rows[0]
    scored = [row for row in rows if not row.verdict.is_error]
    rights = [row.outcome.right(rule) for row in scored]
    right = known_mean(rights)
    most = (right or 0) > 0.5
    speaks = next((row for row, is_right in zip(scored, rights, strict=True) if is_right == most), (scored or rows)[0])
    return Unit(
        id=id,
        category=first.category,
        cluster=first.group,
        question=first.question,
        images=first.images,
        prompt=first.prompt,
        expected=first.expected,
        scored=len(scored),
        right=right,
        called=known_mean(None if row.calls is None else row.calls > 0 for row in scored),
        calls=known_mean(row.calls for row in scored),
        prompt_tokens=known_mean(row.prompt_tokens for row in scored),
        completion_tokens=known_mean(row.completion_tokens for row in scored),
        seconds=known_mean(row.seconds for row in scored),
        verdict=speaks.named(rule),
        answer=speaks.read(rule),
        reason=speaks.error or (speaks.reason if rule is Rule.STRICT else ""),
    )


def known_mean(values: Iterable[float | None]) -> float | None:
    """The mean; None without values, or where one is unknown."""
    found = list(values)
    known = [float(value) for value in found if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known and len(known) == len(found) else None
