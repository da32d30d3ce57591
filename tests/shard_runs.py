"""Run folders of shards made of invented rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.records import Record
from evalkit.runs.arms import Arms
from evalkit.runs.folder import Session, read_info, write_info
from evalkit.runs.shard import Shard
from tests.run_folders import PLACE, row, write_run


def write_shard(
    folder: Path,
    shard: Shard,
    rows: Iterable[Record],
    expected: int,
    arms: Arms | None = None,
    started: str = "2026-01-01T00:00:00Z",
    **changed: Any,
) -> Path:
    """One shard of a run of the task "panel_probe", with these rows as they are; `changed` of its `run.json`."""
    sessions = [Session(started=started, concurrency=8, environment=PLACE, arms=arms or Arms())]
    task = {"name": "panel_probe", "source": "sample"}
    write_run(folder, rows, task=task, expected=expected, sessions=sessions)
    write_info(folder, msgspec.structs.replace(read_info(folder), shard=shard, **changed))
    return folder


def write_shards(out: Path, count: int = 3, rows: Sequence[Record] | None = None, **changed: Any) -> list[Path]:
    """All shards of a run of ten rows, or of these."""
    every = [row(index, index % 3 > 0, calls=index % 2) for index in range(10)] if rows is None else rows
    parts = [Shard(index, count) for index in range(1, count + 1)]
    return [write_shard(out / f"s{part.index}", part, part.of(every), len(every), **changed) for part in parts]
