"""A run's benchmark, opened again from what `run.json` says of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evalkit.content import TaskEntry, find_tasks, reopen_task, task_named
from evalkit.runs.folder import RunInfo
from evalkit.task import Task


@dataclass(frozen=True, slots=True)
class TaskOpener:
    """Opens the benchmarks of runs; can be sent to another process.

    Attributes:
        folders: of the user's further tasks.
    """

    folders: tuple[Path, ...] = ()

    def __call__(self, info: RunInfo) -> Task:
        """The benchmark of a run, under the options it had.

        Raises:
            EvalkitError: there is none of that name, or it cannot be opened.
        """
        part = info.config["task"]
        return reopen_task(task_named(part["name"], _found(self.folders)), part)


@cache
def _found(folders: tuple[Path, ...]) -> dict[str, TaskEntry]:
    return find_tasks(folders)
