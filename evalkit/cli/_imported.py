"""A recording of another program, from its reader to a run folder with its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from evalkit.bridges.imported import Imported, write_imported
from evalkit.cli._console import Console
from evalkit.cli._finish import finish_run
from evalkit.cli._remote import send
from evalkit.cli._tasks import check_rule, checked_samples, open_one
from evalkit.errors import EvalkitError, ExitCode
from evalkit.records import Rule


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; see `evalkit import inspect --help` for the meaning of each field."""

    files: Sequence[Path]
    model: str | None
    score: str | None
    task: str | None
    data: str | None
    revision: str | None
    options: dict[str, str]
    task_dirs: Sequence[Path]
    rule: Rule
    out: Path
    allowed_errors: float


def import_recording(request: ImportRequest, read: Callable[[], Imported]) -> ExitCode:
    """Write the recording as a run folder and show its figures.

    Raises:
        EvalkitError: the recording, the task or its data are not what they should be; no folder is left then.
    """
    task, samples = None, None
    if request.task is not None:
        task = open_one(request.task, request.task_dirs, request.data, request.revision, request.options)
        if problem := check_rule(task, request.rule):
            raise EvalkitError(problem)
        samples = checked_samples(task)
    elif odd := [name for name, value in _of_tasks(request).items() if value]:
        raise EvalkitError(f"{', '.join(odd)} goes with --task: without it the recording's own verdicts count")
    if request.score and task:
        raise EvalkitError("--score goes without --task: it says which of the recording's own marks decides")
    recording = read()
    folder, info, bench = write_imported(
        request.out, recording, request.files, request.model or "", request.score, task, samples
    )
    ids = [sample.id for sample in samples or ()]
    code = finish_run(folder, info, bench, Console(), request.allowed_errors, request.rule, ids)
    send(folder)
    return code


def _of_tasks(request: ImportRequest) -> dict[str, object]:
    return {
        "--data": request.data,
        "--revision": request.revision,
        "--task-option": request.options,
        "--task-dir": request.task_dirs,
        "--rule official": request.rule is Rule.OFFICIAL,
    }
