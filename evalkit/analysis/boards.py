"""Run folders to leaderboards: each run is read once, by as many processes as are worth it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalkit.analysis.board import SCHEMA, Board, Boards, Entry, Unreadable
from evalkit.analysis.config_diff import Made, config_differences, matters
from evalkit.analysis.entry import entry_of, scorers_of
from evalkit.analysis.fronts import fronts_of
from evalkit.analysis.headlines import headlines_of
from evalkit.analysis.light import decode_light
from evalkit.analysis.marks import marks_of, with_scorers
from evalkit.analysis.memory import Memory
from evalkit.analysis.own_figures import task_metrics
from evalkit.analysis.readers import each, run_names
from evalkit.analysis.rollout import rollouts_of
from evalkit.analysis.row_index import RowIndex, row_index
from evalkit.baselines import Published, published
from evalkit.errors import EvalkitError, one_line
from evalkit.records import Rule
from evalkit.runs.folder import RunInfo, read_info
from evalkit.runs.lines import latest_lines
from evalkit.runs.remote.address import shown
from evalkit.runs.run_records import RunRecords
from evalkit.task import Task
from evalkit.version import __version__

ROWS_DIGEST = "task.fingerprint"
"""A setting that has the rows' order in it, so that it differs where logs were written in another one."""

TaskOf = Callable[[RunInfo], Task]

_NOT_ASKED = "the benchmark was not opened to ask it"


class _Job(NamedTuple):
    """One run to read."""

    folder: Path
    run: str
    rule: Rule
    allowed_errors: float
    task_of: TaskOf | None


class _Read(NamedTuple):
    """What is left of a run that was read."""

    entry: Entry
    rows: RowIndex
    made: Made
    title: str
    group: str


def make_boards(
    folders: Sequence[Path],
    rule: Rule = Rule.STRICT,
    *,
    allowed_errors: float = 0.01,
    task_of: TaskOf | None = None,
    processes: int | None = None,
    memory: Memory[Any, Any] | None = None,
) -> tuple[Boards, tuple[RowIndex, ...]]:
    """Leaderboards of run folders, one per benchmark.

    What cannot be read is left out and named in `Boards.unreadable`; where that is all, there is no board.

    Args:
        folders: run folders; where two have the same name, their paths tell them apart.
        rule: whose verdicts the figures rest on.
        allowed_errors: share of error rows above which a run is marked.
        task_of: opens the benchmark of a run to ask its own figures (see `TaskOpener`); where several processes read,
            they do it, so that it must be picklable, else one process reads. None leaves those figures out.
        processes: readers; None for one per processor. See `readers.each`.
        memory: runs that an earlier call has read, and that this one need not read where they have not changed.

    Returns:
        The boards, and one index of rows per run, in the order of the boards' entries.
    """
    kept, unreadable = _once(folders)
    names = run_names(kept)
    jobs = [_Job(folder, name, rule, allowed_errors, task_of) for folder, name in zip(kept, names, strict=True)]
    readers = processes if _can_travel(task_of) else 1

    def read_all(jobs: Sequence[_Job]) -> list[_Read | Unreadable]:
        return each(_read, jobs, [job.folder for job in jobs], readers)

    found = read_all(jobs) if memory is None else memory.read(jobs, read_all)
    groups: dict[str, list[_Read]] = {}
    for read in found:
        if isinstance(read, Unreadable):
            unreadable.append(read)
        else:
            groups.setdefault(read.entry.task, []).append(read)
    ordered = {task: sorted(runs, key=_place) for task, runs in groups.items()}
    boards = Boards(
        schema=SCHEMA,
        evalkit=__version__,
        made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        boards=tuple(_board(task, runs, rule) for task, runs in ordered.items()),
        unreadable=tuple(unreadable),
    )
    return boards, tuple(read.rows for runs in ordered.values() for read in runs)


def published_for(task: str, group: str = "") -> tuple[Published, ...]:
    """What others publish for a benchmark, and for the group that it is a part of."""
    return tuple(figure for figure in published().figures if figure.task == task or figure.task == group != "")


def _once(folders: Sequence[Path]) -> tuple[list[Path], list[Unreadable]]:
    """Each folder once; the others are said to be double."""
    seen: set[Path] = set()
    kept, double = [], []
    for folder in folders:
        place = folder.resolve()
        if place in seen:
            double.append(Unreadable(folder=str(shown(folder)), why="it is named twice and stands in the report once"))
        else:
            seen.add(place)
            kept.append(folder)
    return kept, double


def _can_travel(task_of: TaskOf | None) -> bool:
    try:
        pickle.dumps(task_of)
    except Exception:
        # pickle raises whatever an object's own code raises
        return False
    return True


def _read(job: _Job) -> _Read | Unreadable:
    try:
        info = read_info(job.folder)
        task, why = _open(job.task_of, info)
        lines = latest_lines(job.folder, decode_light)
        # the benchmark is asked about whole records; nothing else here needs them
        own = () if task is None else task_metrics(task, RunRecords(job.folder), job.rule)
    except EvalkitError as error:
        return Unreadable(folder=str(shown(job.folder)), why=one_line(error))
    records = [record for _, record in lines]
    rollouts = rollouts_of(records, job.rule)
    scorers = scorers_of(records)
    entry = entry_of(job.run, job.folder, info, records, rollouts, job.rule)
    entry = msgspec.structs.replace(
        entry,
        own=own,
        own_why=why,
        marks=marks_of(entry, info, scorers, job.allowed_errors),
    )
    index = row_index(job.run, job.folder, info, lines, rollouts)
    title, _, rest = ("", "", "") if task is None else task.summary.partition(":")
    return _Read(
        entry,
        index,
        Made(info, scorers),
        title=title if rest else "",
        group="" if task is None else task.group,
    )


def _open(task_of: TaskOf | None, info: RunInfo) -> tuple[Task | None, str]:
    """The run's benchmark, or why it cannot be asked."""
    if task_of is None:
        return None, _NOT_ASKED
    try:
        return task_of(info), ""
    except Exception as error:
        # a task's own code may fail in any way, and the other figures do not need it
        return None, one_line(error if isinstance(error, EvalkitError) else f"{type(error).__name__}: {error}")


def _place(read: _Read) -> tuple[bool, float]:
    accuracy = read.entry.accuracy.value
    return (accuracy is None, -(accuracy or 0.0))


def _board(task: str, runs: Sequence[_Read], rule: Rule) -> Board:
    entries = with_scorers([read.entry for read in runs], [read.made.scorers for read in runs])
    differences = config_differences([read.made for read in runs])
    same = _same_questions([read.rows for read in runs])
    config = tuple(found for found in differences if matters(found) and not (same and found.key == ROWS_DIGEST))
    return Board(
        task=task,
        title=next((read.title for read in runs if read.title), task),
        rule=rule,
        entries=tuple(entries),
        published=published_for(task, next((read.group for read in runs if read.group), "")),
        config=config,
        config_rest=tuple(found for found in differences if found not in config),
        fronts=fronts_of(entries),
        headlines=headlines_of(entries, [read.rows for read in runs], config),
    )


def _same_questions(runs: Sequence[RowIndex]) -> bool:
    """Whether the runs asked the same rows, in whatever order; one that is unfinished may lack some."""
    known: dict[str, int] = {}
    for run in runs:
        for id, question in zip(run.ids, run.questions, strict=True):
            if known.setdefault(id, question) != question:
                return False
    return True
