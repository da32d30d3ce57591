"""What a new run is held against: a run folder, an archived file, or a published mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.analysis.kept import Kept, read_kept
from evalkit.baselines import Published
from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.records import AGENT
from evalkit.runs.folder import RunInfo, Session, read_info

RUN = "run"
ARCHIVE = "archive"
PUBLISHED = "published"
LONGEST = 1e15
"""Seconds that no sample takes."""
PREFIX = f"{PUBLISHED}:"
"""How a user names a published model."""

_PLACE = ("cpu", "cpus", "machine", "packages", "python", "platform", "git")
_ENGINE = ("kind", "device", "base_url")
_SANDBOX = ("kind", "tier")
_ANSWER = 80
"""Characters of an answer that are kept: enough to tell flips apart."""


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """A run sample by sample, without texts: the part of it that an archive keeps.

    Attributes:
        name: as the user names it.
        kind: `RUN` or `ARCHIVE`.
        info: its `run.json`, without what no comparison needs.
        rows: in the order of the run.
    """

    name: str
    kind: str
    info: RunInfo
    rows: tuple[Kept, ...]

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.info.config["model"]["name"])


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """Published figures of one model: no sample stands behind them.

    Attributes:
        name: as the user names it.
        kind: `PUBLISHED`.
        model: the model's name.
        source: the one that the user chose; "" for any.
        figures: of all its benchmarks.
    """

    name: str
    kind: str
    model: str
    source: str
    figures: tuple[Published, ...]


Baseline = Samples | Means


def samples_of(folder: Path) -> Samples:
    """The part of a run folder that an archive keeps.

    Raises:
        DataError: it is no run folder, a line is corrupt, or no trajectory of the agent is finished.
    """
    info, rows = read_info(folder), read_kept(folder)
    if not any(row.arm == AGENT for row in rows):
        raise DataError(f"baseline {folder} has no finished trajectory of the agent: run it first")
    return Samples(name=shown(folder), kind=RUN, info=_reduced_info(info), rows=tuple(_reduced(row) for row in rows))


def shown(place: Path) -> str:
    """A path as text that any file can hold: bytes that are no UTF-8 are spelled out."""
    return os.fsencode(place).decode("utf-8", "backslashreplace")


def _reduced(row: Kept) -> Kept:
    return msgspec.structs.replace(
        row,
        expected="",
        answer=_cut(row.answer),
        official_answer=_cut(row.official_answer),
        reason=row.reason[:_ANSWER],
        error="",
        seconds=None if row.seconds is None else round(row.seconds, 6),
    )


def _cut(answer: str | None) -> str | None:
    return None if answer is None else answer[:_ANSWER]


def _reduced_info(info: RunInfo) -> RunInfo:
    return msgspec.structs.replace(
        info, system_prompt="", sessions=[_reduced_session(session) for session in info.sessions]
    )


def _reduced_session(session: Session) -> Session:
    """Without folders, commands and notes: what says where a run was made, and how its arms were drawn."""
    return msgspec.structs.replace(
        session,
        engine=_some(session.engine, _ENGINE),
        sandbox=_some(session.sandbox, _SANDBOX),
        environment=_some(session.environment, _PLACE),
        notes=[],
    )


def _some(tree: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: tree[key] for key in keys if key in tree}


def published_figure(means: Means, task: str, metric: str, category: str) -> Published | None:
    """The published figure of a metric; None where there is none.

    Raises:
        EvalkitError: sources disagree, and the user has chosen none.
    """
    wanted = f"{metric}.{category}" if category else metric
    found = [figure for figure in means.figures if (figure.task, figure.metric) == (task, wanted)]
    if len({figure.value for figure in found}) > 1:
        each = ", ".join(f"{figure.value:g} {figure.unit} ({' = '.join(figure.sources)})" for figure in found)
        raise EvalkitError(
            f"sources disagree on {wanted} of {means.model} on {one_line(task, 60)}: {each}; "
            f"choose one, e.g. {PREFIX}{means.model}@{found[0].sources[0]}"
        )
    return found[0] if found else None
