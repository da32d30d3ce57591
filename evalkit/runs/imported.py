"""Run folders of results that were made elsewhere."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.records import RECORD_VERSION, Record, Sample
from evalkit.runs.folder import RunInfo, Session, new_run_folder, write_info
from evalkit.runs.plan import Fingerprint, config_hash, digest, task_config
from evalkit.runs.store import Key, RunStore
from evalkit.task import Task
from evalkit.version import __version__

IMPORTED = "imported"
"""Engine of recorded trajectories: another program asked the questions."""
PREDICTIONS = "predictions"
"""Engine of last responses alone."""


class SourceFile(msgspec.Struct, frozen=True):
    """A file that results came from.

    Attributes:
        name: without its folder.
        sha256: of its bytes, in hex.
    """

    name: str
    sha256: str


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of how results were made; None is unknown.

    Attributes:
        engine: `IMPORTED` or `PREDICTIONS`.
        model: the model's name, as the user gives it.
        files: where the results came from.
        rows_from: where the questions came from, if not from the task's own data, e.g. "log".
        protocol: name of the conversation's format.
        tools: names of the tools that were offered.
        system_prompt: as sent.
        notes: what a reader of the figures must know.
    """

    engine: str
    model: str
    files: tuple[SourceFile, ...]
    rows_from: str | None = None
    protocol: str | None = None
    tools: tuple[str, ...] | None = None
    system_prompt: str | None = None
    notes: tuple[str, ...] = ()


Head = tuple[dict[str, Any], int, Origin]
"""The `task` part of a configuration, rows of the benchmark, and how the records were made."""


def source_file(file: Path) -> SourceFile:
    """The identity of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return SourceFile(file.name, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise DataError(f"cannot read {one_line(file, 200)}: {error.strerror or one_line(error)}") from None


def write_run(
    out: Path, task: Task, samples: Sequence[Sample], expected: int, records: Iterable[Record], origin: Origin
) -> tuple[Path, RunInfo]:
    """Write finished records as a new run folder, whole or not at all.

    Args:
        out: folder of run folders.
        task: the benchmark.
        samples: the questions, for their digest; those of missing records included where they are known.
        expected: rows of the benchmark as configured.
        records: one per sample.
        origin: what is known of how they were made.

    Returns:
        The folder and its `run.json`.

    Raises:
        InfrastructureError: the folder cannot be written.
    """
    rows = task_config(task, samples)
    return write_stream(out, task, records, origin.model, lambda _: (rows, expected, origin))


def write_stream(
    out: Path, task: Task, records: Iterable[Record], model: str, head: Callable[[dict[str, Any]], Head]
) -> tuple[Path, RunInfo]:
    """Write records as they come, none of them held, as a new run folder; whole or not at all.

    Args:
        out: folder of run folders.
        task: the benchmark.
        records: taken once, in order.
        model: its name.
        head: called when the records are through, with the configuration of the task over their own rows; gives that
            or another one, the rows of the benchmark, and what is known of how the records were made.

    Returns:
        The folder and its `run.json`.

    Raises:
        DataError: a record is double.
        InfrastructureError: the folder cannot be written.
        Exception: whatever `records` raises; no folder is left then.
    """
    folder = new_run_folder(out, model, task.name)
    try:
        rows, seen = Fingerprint(), set[Key]()
        with RunStore(folder) as store:
            for record in records:
                if record.key in seen:
                    again = f" (repeat {record.repeat})" if record.repeat else ""
                    raise DataError(f"the recording has row {one_line(record.sample.id, 80)!r}{again} twice")
                seen.add(record.key)
                if record.repeat == 0:
                    rows.add(record.sample)
                store.append(record)
        info = _info(*head(task_config(task, rows)))
        write_info(folder, info)
    except BaseException:
        # a folder without its run.json would be in everyone's way
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, info


def _info(rows: dict[str, Any], expected: int, origin: Origin) -> RunInfo:
    config = _config(rows, expected, origin)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    files = [msgspec.to_builtins(file) for file in origin.files]
    return RunInfo(
        evalkit=__version__,
        created=now,
        config=config,
        config_hash=config_hash(config),
        expected_rows=expected,
        system_prompt=origin.system_prompt or "",
        sessions=[Session(started=now, concurrency=None, engine={"files": files}, notes=list(origin.notes))],
    )


def _config(rows: dict[str, Any], expected: int, origin: Origin) -> dict[str, Any]:
    """A configuration in the form of `evalkit.runs.plan.config_of`."""
    rows = rows | {"rows": expected}
    if origin.rows_from is not None:
        rows |= {"source": origin.rows_from, "dataset": None, "revision": None}
    if origin.engine == IMPORTED:
        # they shape what evalkit asks, and evalkit did not ask
        rows |= {"options": {}}
    prompt = origin.system_prompt
    return {
        "records": RECORD_VERSION,
        "task": rows,
        "model": {"name": origin.model, "weights": None, "identity": None, "dtype": None, "pixels": None},
        "engine": origin.engine,
        "protocol": {
            "name": origin.protocol,
            "version": None,
            "system_prompt": None if prompt is None else digest(prompt.encode()),
            "tools": None if origin.tools is None else list(origin.tools),
            "declarations": None,
        },
        "sandbox": {},
        "sampling": None,
        "limits": None,
        "results": [file.sha256 for file in origin.files],
    }
