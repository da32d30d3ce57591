"""Benchmarks as what a data set must not hold: their questions, and how their pictures look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from evalkit.content import TaskEntry, find_tasks, open_task, tasks_named
from evalkit.curation.images import Look, Progress, Viewer, quiet
from evalkit.curation.wording import stem
from evalkit.errors import DataError, EvalkitError, NothingEvaluatedError
from evalkit.images import ImageFile
from evalkit.records import Sample
from evalkit.task import Task


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark, or a group of them, as the user names it.

    Attributes:
        name: as `evalkit run --tasks` takes it.
        data: as `evalkit run --data` takes it; None for the task's default.
        options: task options.
    """

    name: str
    data: str | None = None
    options: dict[str, str] = {}


class Question(NamedTuple):
    """A question of a benchmark; several rows may ask it.

    Attributes:
        task: name of the benchmark.
        row: id of the first row with it.
        words: without its options.
        problems: pictures (or clusters of rows) that it is asked of: one, unless it is worded by a template.
        seen: its pictures are known.
    """

    task: str
    row: str
    words: tuple[str, ...]
    problems: int
    seen: bool


class Picture(NamedTuple):
    """A picture of a benchmark, with the first row that shows it."""

    task: str
    row: str
    look: Look


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a benchmark could be compared.

    Attributes:
        task: its name.
        source: where its rows come from.
        rows: of it.
        questions: different ones.
        pictures: different image files that could be read.
        plain: of them, those too plain for a perceptual hash: they are found by their bytes alone.
        unreadable: images that could not be read or decoded.
    """

    task: str
    source: str
    rows: int
    questions: int
    pictures: int
    plain: int
    unreadable: int


@dataclass(frozen=True)
class Benchmarks:
    """What was read of the benchmarks.

    Attributes:
        questions: of all of them.
        pictures: of all of them, each file once.
        coverage: by benchmark, in order.
    """

    questions: tuple[Question, ...]
    pictures: tuple[Picture, ...]
    coverage: tuple[Coverage, ...]


def open_benchmarks(against: Sequence[Against], folders: Sequence[Path] = ()) -> list[Task]:
    """The tasks, nothing loaded yet.

    Args:
        against: at least one.
        folders: of the user's further tasks.

    Raises:
        EvalkitError: there is none of a name, or its data or options do not fit.
    """
    found = find_tasks(folders)
    tasks: dict[str, Task] = {}
    for one in against:
        for entry in tasks_named(one.name, found):
            tasks[entry.name] = _opened(entry, one)
    return list(tasks.values())


def _opened(entry: TaskEntry, one: Against) -> Task:
    try:
        return open_task(entry, one.data, options=one.options)
    except EvalkitError as error:
        raise type(error)(f"--against {one.name}: {error}") from None


def read_benchmarks(tasks: Sequence[Task], viewer: Viewer, progress: Progress = quiet) -> Benchmarks:
    """Read all rows and look at all pictures.

    Args:
        tasks: opened.
        viewer: looks at them.
        progress: see `Progress`.

    Raises:
        DataError: a benchmark cannot be loaded, or none of its images can be read.
        NothingEvaluatedError: a benchmark has no rows.
    """
    questions: list[Question] = []
    pictures: list[Picture] = []
    coverage: list[Coverage] = []
    for task in tasks:
        rows = _rows(task)
        looks = _looks(task.name, rows, viewer, progress)
        seen: dict[str, Picture] = {}
        for row, look in looks.values():
            if look.flaw is None:
                seen.setdefault(look.sha256, Picture(task.name, row, look))
        broken = [look for _, look in looks.values() if look.flaw is not None]
        if broken and not seen:
            raise DataError(
                f"--against {task.name}: none of its {len(broken)} images can be read ({broken[0].detail}); "
                f"{_mend(task.name)}"
            )
        asked = _questions(task.name, rows, {key: look for key, (_, look) in looks.items()})
        questions += asked
        pictures += seen.values()
        coverage.append(
            Coverage(
                task=task.name,
                source=task.source.kind if task.source.path is None else task.source.path.name,
                rows=len(rows),
                questions=len(asked),
                pictures=len(seen),
                plain=sum(picture.look.fingerprint is None for picture in seen.values()),
                unreadable=len(broken),
            )
        )
    return Benchmarks(tuple(questions), tuple(pictures), tuple(coverage))


def _mend(task: str) -> str:
    return f"give the folder with its data: --task-data {task}=DIR"


def _rows(task: Task) -> list[Sample]:
    try:
        rows = list(task.samples())
    except DataError as error:
        raise DataError(f"--against {task.name}: {error} (here: --task-data {task.name}=DIR)") from error
    if not rows:
        raise NothingEvaluatedError(f"--against {task.name}: it has no rows; {_mend(task.name)}")
    return rows


def _looks(task: str, rows: Sequence[Sample], viewer: Viewer, progress: Progress) -> dict[int, tuple[str, Look]]:
    """By the image's own identity, the first row that has it and its look: what rows share is looked at once."""
    images: dict[int, tuple[str, ImageFile]] = {}
    for row in rows:
        for image in row.images:
            images.setdefault(id(image), (row.id, image))
    done = progress(f"looking at {task}", len(images))
    looks = viewer.look((image for _, image in images.values()), done)
    return {key: (row, look) for (key, (row, _)), look in zip(images.items(), looks, strict=True)}


def _questions(task: str, rows: Sequence[Sample], looks: Mapping[int, Look]) -> list[Question]:
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for row in rows:
        groups.setdefault(stem(row), []).append(row)
    found = []
    for text, members in groups.items():
        if not text:
            continue
        seen = all(looks[id(image)].flaw is None for row in members for image in row.images)
        problems = {row.cluster or (*(looks[id(image)].sha256 for image in row.images),) for row in members}
        pictured = any(row.images for row in members)
        found.append(Question(task, members[0].id, text, len(problems), pictured and seen))
    return found
