"""A run as a source of training data: its trajectories, and what they were made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from evalkit.agents.conversation import extend, question
from evalkit.agents.limits import Limits
from evalkit.agents.protocols import Protocol, protocol
from evalkit.curation.report import Fate, Source
from evalkit.engines.base import Message
from evalkit.errors import DataError, EvalkitError, NothingEvaluatedError
from evalkit.records import AGENT, Record
from evalkit.runs.find import run_folders
from evalkit.runs.folder import RunInfo, read_info
from evalkit.runs.imported import IMPORTED
from evalkit.runs.store import latest_records

T = TypeVar("T")


# a repr with all records in it takes seconds, and asyncio makes one of every result
@dataclass(frozen=True, repr=False)
class SourceRun:
    """One run folder.

    Attributes:
        folder: where it is.
        info: its `run.json`.
        protocol: of its trajectories.
        limits: of its trajectories; the usual ones where it was made elsewhere.
        records: every trajectory, of all arms.
    """

    folder: Path
    info: RunInfo
    protocol: Protocol
    limits: Limits
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.resolve().name

    @property
    def task(self) -> str:
        """Name of its benchmark."""
        return str(self.info.config["task"]["name"])

    @property
    def model(self) -> str:
        """Name of the model that ran it."""
        return str(self.info.config["model"]["name"])

    @property
    def sampling(self) -> dict[str, Any]:
        """How its texts were drawn; empty where it was made elsewhere."""
        return dict(self.info.config.get("sampling") or {})

    @property
    def imported(self) -> bool:
        """Whether another program recorded it."""
        return self.info.config.get("engine") == IMPORTED

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools that were offered."""
        return tuple(self.info.config.get("protocol", {}).get("tools") or ())

    def as_source(self, rows: int) -> Source:
        """For a report.

        Args:
            rows: taken from it.
        """
        return Source(
            run=self.name,
            task=self.task,
            model=self.model,
            config_hash=self.info.config_hash,
            rows=rows,
        )


# a repr with all records in it takes seconds, and asyncio makes one of every result
@dataclass(frozen=True, repr=False)
class Entry:
    """One trajectory on its way through the filters.

    Attributes:
        run: where it is from.
        record: the trajectory and its outcome.
        found: what filters measured on it; they add to it.
    """

    run: SourceRun
    record: Record
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Unique among the runs of one curation."""
        record = self.record
        return f"{self.run.name}/{record.sample.id}/{record.repeat}"

    def fate(self, step: str = "", reason: str = "", detail: str = "", *, error: bool = False) -> Fate:
        """What became of it; without a step, it was kept."""
        record = self.record
        return Fate(
            run=self.run.name,
            id=record.sample.id,
            arm=record.arm,
            repeat=record.repeat,
            step=step,
            reason=reason,
            error=error,
            detail=detail,
            found=self.found,
        )


class Sifted(NamedTuple, Generic[T]):
    """What a filter made of entries or prompts.

    Attributes:
        kept: in order.
        out: fates of the others, in order.
    """

    kept: list[T]
    out: list[Fate]


def open_sources(named: Sequence[Path]) -> list[SourceRun]:
    """The runs that are named, or that stand in a folder named.

    Raises:
        EvalkitError: one is no run folder, two have the same name, one is a copy of another, or one has no protocol to
            read turns by.
    """
    runs = [_open(folder) for folder in run_folders(named)]
    names = [run.name for run in runs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise EvalkitError(f"two different runs are called {min(twice)}: rename one of the folders")
    made: dict[tuple[str, str], SourceRun] = {}
    for run in runs:
        other = made.setdefault((run.info.created, run.info.config_hash), run)
        if other is not run and _copied(run, other):
            raise EvalkitError(f"{run.folder} is a copy of {other.folder}: name one of them")
    return runs


def _copied(run: SourceRun, other: SourceRun) -> bool:
    """Whether two runs have a trajectory and its outcome in common, to the last timing."""
    there = {record.key: record for record in other.records}
    return any(there.get(record.key) == record for record in run.records)


def _open(folder: Path) -> SourceRun:
    info = read_info(folder)
    config = info.config
    about = config.get("protocol") or {}
    if not about.get("name"):
        raise DataError(f"{folder} has last responses only, no turns: there is no tool use to learn from in it")
    records = tuple(latest_records(folder).values())
    if not records:
        raise NothingEvaluatedError(f"{folder} has no trajectories yet")
    return SourceRun(
        folder=folder,
        info=info,
        protocol=protocol(about["name"], about.get("quirks") or ()),
        limits=msgspec.convert(config.get("limits") or {}, Limits),
        records=records,
    )


def entries_of(run: SourceRun) -> list[Entry]:
    """Every trajectory of the agent itself, repeats included; those of other arms are not what it does."""
    return [Entry(run, record) for record in run.records if record.arm == AGENT]


def messages_of(entry: Entry) -> tuple[Message, ...]:
    """The whole conversation of a trajectory with its own texts, as the model saw and wrote it.

    A trajectory in which the protocol took turns out has no such one.
    """
    run, record = entry.run, entry.record
    sample, trajectory = record.sample, record.trajectory
    asked = question(run.protocol, sample, plain=not run.tools)
    if "".join(part for part in asked if isinstance(part, str)) != trajectory.prompt:
        # another program, or another version of the protocol, worded it
        asked = (*sample.images, trajectory.prompt)
    messages = [Message("user", asked)]
    for turn in trajectory.turns:
        extend(messages, "assistant", (turn.text,))
        for observation in turn.observations:
            extend(messages, run.protocol.observation_role, run.protocol.show(observation))
    system = sample.system or run.info.system_prompt
    return (*([Message("system", (system,))] if system else []), *messages)
