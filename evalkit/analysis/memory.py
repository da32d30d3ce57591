"""Runs as they were read last: what has not changed since is not read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from evalkit.runs.find import Mark, mark_of


class ReadJob(Protocol):
    """One run to read; jobs that are equal give the same as long as the folder is as it was."""

    @property
    def folder(self) -> Path:
        """The run folder."""


Job = TypeVar("Job", bound=ReadJob)
Made = TypeVar("Made")


class Memory(Generic[Job, Made]):
    """For a program that shows the same folders again and again, some of them growing."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Job, Mark, Made]] = {}

    def read(self, jobs: Sequence[Job], read: Callable[[Sequence[Job]], Sequence[Made]]) -> list[Made]:
        """What `read` makes of each job, in order; folders that are not asked for are forgotten.

        Args:
            jobs: one per folder.
            read: is given those that are new or have changed.
        """
        # before anything is read: what is written meanwhile is a change that the next call sees
        marks = [mark_of(job.folder) for job in jobs]
        fresh = [place for place, job in enumerate(jobs) if not self._knows(job, marks[place])]
        made = dict(zip(fresh, read([jobs[place] for place in fresh]), strict=True))
        self._known = {
            job.folder: (job, marks[place], made[place] if place in made else self._known[job.folder][2])
            for place, job in enumerate(jobs)
        }
        return [self._known[job.folder][2] for job in jobs]

    def _knows(self, job: Job, mark: Mark) -> bool:
        known = self._known.get(job.folder)
        return known is not None and known[:2] == (job, mark)
