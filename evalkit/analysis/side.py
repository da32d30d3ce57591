"""One run as a comparison needs it: what each sample came to, without its texts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalkit.analysis.transitions import verdict_name
from evalkit.errors import DataError, EvalkitError
from evalkit.records import AGENT, ISOLATED, Record, Rule
from evalkit.runs.folder import RunInfo, read_info
from evalkit.runs.store import read_records


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


class _Row(NamedTuple):
    """One trajectory, without its texts."""

    question: tuple[str, str, str, str, str, str]
    error: bool
    official: bool
    right: bool
    calls: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float | None
    scorer: str
    verdict: str
    answer: str | None
    reason: str


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
    info = read_info(folder)
    # a later line with the same key supersedes an earlier one and keeps its place
    rows = {record.key: _row(record, rule) for record in read_records(folder) if record.arm in (AGENT, ISOLATED)}
    repeats: dict[str, list[_Row]] = {}
    alone: dict[str, float] = {}
    for (id, arm, _), row in rows.items():
        if arm == AGENT:
            repeats.setdefault(id, []).append(row)
        elif not row.error and row.seconds is not None:
            alone.setdefault(id, row.seconds)
    if not repeats:
        raise DataError(f"{folder} has no finished trajectory to compare: run it first")
    mine = [row for group in repeats.values() for row in group]
    official = any(row.official for row in mine)
    if rule is Rule.OFFICIAL and not official:
        raise EvalkitError(
            f"--rule official: {folder} has no verdict under an official rule; leave it out, or score the run again"
        )
    return Side(
        label=label,
        folder=folder,
        info=info,
        units={id: _unit(id, group) for id, group in repeats.items()},
        alone=alone,
        scorers=tuple(sorted({row.scorer for row in mine if row.scorer and not row.error})),
        repeats=max(map(len, repeats.values())),
        errors=sum(row.error for row in mine),
        has_official=official,
    )


def _row(record: Record, rule: Rule) -> _Row:
    sample, trajectory, outcome = record.sample, record.trajectory, record.outcome
    usage = trajectory.usage
    asked = (
        sample.category,
        # a sample's own id stands in a space of its own, so that no cluster's name can meet it
        f"cluster {sample.cluster}" if sample.cluster else f"sample {sample.id}",
        _digest(sample.question, *(f"{letter} {text}" for letter, text in sample.choices.items()), sample.answer),
        _digest(*(image.header.sha256 for image in sample.images)) if sample.images else "",
        _digest(trajectory.prompt),
        sample.answer,
    )
    strict = rule is Rule.STRICT
    return _Row(
        question=asked,
        error=outcome.verdict.is_error,
        official=outcome.official is not None,
        right=outcome.right(rule),
        calls=None if trajectory.partial else sum(call.status.dispatched for call in trajectory.calls),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        seconds=trajectory.total_s,
        scorer=outcome.scorer,
        verdict=verdict_name(outcome, rule),
        answer=outcome.answer if strict else outcome.official_answer,
        reason=outcome.error or (outcome.reason if strict else ""),
    )


def _unit(id: str, rows: Sequence[_Row]) -> Unit:
    category, cluster, question, images, prompt, expected = rows[0].question
    scored = [row for row in rows if not row.error]
    right = _mean(row.right for row in scored)
    speaks = next((row for row in scored if row.right == ((right or 0) > 0.5)), (scored or rows)[0])
    return Unit(
        id=id,
        category=category,
        cluster=cluster,
        question=question,
        images=images,
        prompt=prompt,
        expected=expected,
        scored=len(scored),
        right=right,
        called=_mean(None if row.calls is None else row.calls > 0 for row in scored),
        calls=_mean(row.calls for row in scored),
        prompt_tokens=_mean(row.prompt_tokens for row in scored),
        completion_tokens=_mean(row.completion_tokens for row in scored),
        seconds=_mean(row.seconds for row in scored),
        verdict=speaks.verdict,
        answer=speaks.answer,
        reason=speaks.reason,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean; None without values, or where one is unknown."""
    found = list(values)
    known = [float(value) for value in found if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known and len(known) == len(found) else None


def _digest(*parts: str) -> str:
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "little") + data)
    return sha.hexdigest()[:16]
