"""What is kept, written down: rows of a data set, and run folders for whoever reads runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.curation.dataset import Row
from evalkit.curation.source import Entry, SourceRun, messages_of
from evalkit.curation.tools import declarations_of
from evalkit.errors import InfrastructureError
from evalkit.records import Scalar
from evalkit.runs.folder import write_info
from evalkit.runs.plan import config_hash
from evalkit.runs.store import RunStore

RUNS = "runs"
"""Folder of the run folders, beside the data set's."""
COLUMNS: Mapping[str, type] = {
    "run": str,
    "sample": str,
    "repeat": int,
    "task": str,
    "model": str,
    "category": str,
    "question": str,
    "answer": str,
    "calls": int,
    "tools": str,
    "replay": str,
    "direct_right": int,
    "direct_tries": int,
    "marks": str,
}
"""Columns of a data set of trajectories, beside its conversations.

`tools`: JSON of the tools declared through the chat template; empty where the prompt tells them. `replay`: "exact", or
"same" within the tolerances. `direct_right` of `direct_tries` tries without tools; `marks`: JSON of the judge's marks.
The last three are null where their filter was left out.
"""


def rows_of(entries: Sequence[Entry]) -> Iterator[Row]:
    """A row for each trajectory, with its own texts."""
    declared: dict[str, str | None] = {}
    for entry in entries:
        run, sample = entry.run, entry.record.sample
        if run.name not in declared:
            declared[run.name] = declarations_of(run)
        marks = entry.found.get("marks")
        columns: dict[str, Scalar] = {
            "run": run.name,
            "sample": sample.id,
            "repeat": entry.record.repeat,
            "task": run.task,
            "model": run.model,
            "category": sample.category,
            "question": sample.question,
            "answer": sample.answer,
            "calls": sum(call.status.dispatched for call in entry.record.trajectory.calls),
            "tools": declared[run.name] or "",
            "replay": entry.found.get("replay"),
            "direct_right": entry.found.get("direct_right"),
            "direct_tries": entry.found.get("direct_tries"),
            "marks": None if marks is None else msgspec.json.encode(marks).decode(),
        }
        yield Row(id=entry.id, messages=messages_of(entry), columns=columns)


def write_runs(entries: Sequence[Entry], out: Path, settings: Mapping[str, Any]) -> list[Path]:
    """The trajectories as run folders `out/runs/<name>`, one for each run that they come from.

    Their configuration is that of the run with `curated` in it, so that no run of evalkit goes on in them.

    Args:
        entries: trajectories.
        out: the data set's folder.
        settings: of the curation. JSON values.

    Raises:
        DataError: an image is gone.
        InfrastructureError: they cannot be written.
    """
    runs: dict[str, tuple[SourceRun, list[Entry]]] = {}
    for entry in entries:
        runs.setdefault(entry.run.name, (entry.run, []))[1].append(entry)
    folders = []
    for name, (run, mine) in runs.items():
        folder = out / RUNS / name
        config = {**run.info.config, "curated": {"from": run.info.config_hash, **settings}}
        samples = {entry.record.sample.id for entry in mine}
        info = msgspec.structs.replace(
            run.info, config=config, config_hash=config_hash(config), expected_rows=len(samples), early_stop=None
        )
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise InfrastructureError(f"cannot make {folder}: {error.strerror}; choose another --out") from error
        with RunStore(folder) as store:
            for entry in mine:
                store.append(entry.record)
        write_info(folder, info)
        folders.append(folder)
    return folders
