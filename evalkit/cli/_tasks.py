"""From what a user names to a task with checked rows: shared by the verbs that score something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from evalkit.content import find_tasks, open_task, tasks_named
from evalkit.errors import DataError, EvalkitError, NothingEvaluatedError, one_line
from evalkit.records import Rule, Sample
from evalkit.task import Task


def read_options(given: Sequence[str] | None, option: str = "--task-option") -> dict[str, str]:
    """Options of a task from `-T name=value`; or those of another command's `option`.

    Raises:
        EvalkitError: an argument has no equals sign.
    """
    options = {}
    for item in given or ():
        name, equals, value = item.partition("=")
        if not equals:
            raise EvalkitError(f"{option} takes name=value, not {item!r}")
        options[name] = value
    return options


def options_for(task: str, tasks: Sequence[str], given: dict[str, str]) -> dict[str, str]:
    """The task options meant for one task: those named for it ("task.option"), and with one task all others.

    Raises:
        EvalkitError: an option names none of several tasks.
    """
    mine = {}
    for name, value in given.items():
        owner, dot, option = name.partition(".")
        if dot and owner in tasks:
            mine.update({option: value} if owner == task else {})
        elif len(tasks) > 1:
            raise EvalkitError(f"--task-option {name}: with several tasks write {task}.{name} (or another task's name)")
        else:
            mine[name] = value
    return mine


def open_one(
    name: str,
    task_dirs: Sequence[Path] | None,
    data: str | None = None,
    revision: str | None = None,
    options: dict[str, str] | None = None,
) -> Task:
    """The one task called `name`.

    Raises:
        EvalkitError: there is none, or the name stands for several, or data or options do not fit.
    """
    entries = tasks_named(name, find_tasks(task_dirs or ()))
    names = [entry.name for entry in entries]
    if len(names) > 1:
        raise EvalkitError(f"--task {name} stands for {', '.join(names)}; name one of them")
    return open_task(entries[0], data, revision, options_for(names[0], names, options or {}))


def check_rule(task: Task, rule: Rule) -> str | None:
    """Why the task cannot be reported under `rule`; None when it can."""
    if rule is Rule.OFFICIAL and not task.official:
        return f"--rule official: task {task.name} has no official rule beside evalkit's own"
    return None


def checked_samples(task: Task) -> list[Sample]:
    """The task's rows, each id once, all of them there and fit to be recorded.

    Raises:
        DataError: a row is double or missing, or could not be read back from a record.
        NothingEvaluatedError: there are none.
    """
    rows = list(task.samples())
    twice = [id for id, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"task {task.name} has sample {twice[0]!r} more than once ({len(twice)} such ids)")
    if task.expected_rows is not None and len(rows) != task.expected_rows:
        raise DataError(f"task {task.name} has {len(rows)} rows where {task.expected_rows} are expected")
    if any((task.prompts.user and not row.prompt) or (task.prompts.system and not row.system) for row in rows):
        raise EvalkitError(f"--prompt-from-dataset: task {task.name} takes no prompts from columns of its rows")
    for row in rows:
        _check(task, row)
    if not rows:
        raise NothingEvaluatedError(f"task {task.name} has no rows")
    return rows


def _check(task: Task, sample: Sample) -> None:
    """A sample that could not be read back from a record is refused before anything is spent on it.

    Raises:
        DataError: a field has a type that records do not have.
    """
    try:
        bare = msgspec.structs.replace(sample, images=())
        if msgspec.json.decode(msgspec.json.encode(bare), type=Sample) != bare:
            raise ValueError("a field changes when it is written and read again")
    except (msgspec.MsgspecError, TypeError, ValueError, NotImplementedError) as error:
        where = one_line(repr(sample.id), 80)
        raise DataError(f"task {task.name}, sample {where} cannot be recorded: {one_line(error, 200)}") from error
