"""What a recording of another program holds, whatever format it has; the readers of all formats give this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from evalkit.errors import DataError, NothingEvaluatedError, one_line
from evalkit.recorded import SOURCE, RecordedTask, number_of, recorded_outcome
from evalkit.records import Record, Sample, Verdict
from evalkit.runs.folder import RunInfo
from evalkit.runs.imported import IMPORTED, Head, Origin, source_file, write_stream
from evalkit.runs.outcome import outcome_of
from evalkit.runs.plan import task_config
from evalkit.task import Task

__all__ = ["Imported", "write_imported"]


class Imported(msgspec.Struct, kw_only=True):
    """A recording: its head, and its rows, which are read once and one at a time.

    A reader that streams may fill in `system_prompt`, `tools`, `notes`, `score` and `expected` while its rows are
    taken: they are looked at when the rows are through. Rows carry the recording's own verdict
    (`evalkit.recorded.recorded_outcome`); where the user names one of evalkit's tasks, they are scored again by that
    and the recording's verdict is kept beside (`Outcome.recorded`).

    Attributes:
        format: "inspect", "lmms", "vlmevalkit", "table", ...
        task: the benchmark's name in the recording.
        model: the model's name there; "" where the recording names none.
        records: one per row, `Record.sample` with all that is known of the question; images as handles, so that no
            more than one row is held. Repeats of a row have `Record.repeat` 0, 1, ...
        score: the name of the mark in `Outcome.scores` that decides right and wrong; None where there is none.
        scorer: what gave the verdicts, the program and its rule or mark, e.g. "inspect/choice"; the same in every
            row's outcome.
        expected: rows that the benchmark has, where the recording says so (a run that was cut short has fewer
            records); None takes the number of records.
        protocol: name of the conversation's format; None where nothing is known of it.
        tools: names of the tools that were offered; None where that is not known.
        system_prompt: as sent; None where rows differ in it or it is not known.
        notes: what a reader of the figures must know, a line each.
    """

    format: str
    task: str
    records: Iterable[Record]
    model: str = ""
    score: str | None = None
    scorer: str = ""
    expected: int | None = None
    protocol: str | None = None
    tools: tuple[str, ...] | None = None
    system_prompt: str | None = None
    notes: list[str] = []


def write_imported(
    out: Path,
    recording: Imported,
    files: Sequence[Path],
    model: str = "",
    score: str | None = None,
    task: Task | None = None,
    samples: Sequence[Sample] | None = None,
) -> tuple[Path, RunInfo, Task]:
    """Write a recording as a new run folder, row by row; whole or not at all.

    Args:
        out: folder of run folders.
        recording: its rows are taken.
        files: where it came from.
        model: in place of the recording's own name for it.
        score: the mark that decides right and wrong, in place of the recording's own choice.
        task: one of evalkit's, that scores the responses; None leaves the verdicts of the recording.
        samples: all rows of `task`; recorded rows are matched to them by id.

    Returns:
        The folder, its `run.json`, and the benchmark that its figures are of.

    Raises:
        DataError: the recording is broken, a row is double or is none of the task's, or nothing names the model.
        NothingEvaluatedError: the recording holds no row.
    """
    name = model or recording.model
    if not name:
        raise DataError("the recording does not name its model; name it with --model")
    bench = task or RecordedTask.called(recording.task)
    seen = _Seen()
    rows = _scored(recording, task, samples or (), seen) if task else _recorded(recording, score, seen)

    def head(own: dict[str, Any]) -> Head:
        count = int(own["rows"])
        if not count:
            raise NothingEvaluatedError("the recording holds no row")
        if score and score not in seen.marks:
            raise DataError(f"no row has a score {one_line(score, 60)!r}; the recording has: {seen.names or 'none'}")
        origin = Origin(
            engine=IMPORTED,
            model=name,
            files=tuple(source_file(file) for file in files),
            rows_from=None if task else SOURCE,
            protocol=recording.protocol,
            tools=recording.tools,
            system_prompt=recording.system_prompt,
            notes=(*recording.notes, *seen.notes(recording, score, task)),
        )
        ours = task_config(task, samples or ()) if task else own
        expected = len(samples or ()) if task else max(recording.expected or 0, count)
        return ours, expected, origin

    folder, info = write_stream(out, bench, rows, name, head)
    return folder, info, bench


class _Seen:
    """What the rows were like, for the notes on them."""

    def __init__(self) -> None:
        self.marks: Counter[str] = Counter()
        self.between = 0
        self.other_answers = 0
        self.rows = 0

    @property
    def names(self) -> str:
        """Of the marks."""
        return ", ".join(one_line(name, 40) for name in list(self.marks)[:12])

    def notes(self, recording: Imported, score: str | None, task: Task | None) -> Iterator[str]:
        """What a reader of the figures must know of them."""
        if task:
            if self.other_answers:
                yield (
                    f"in {self.other_answers} of {self.rows} rows the recording has another reference answer than "
                    f"task {task.name}: its ids may stand for other rows"
                )
            return
        main, scorer = score or recording.score, _scorer(recording, score)
        by = f" ({one_line(scorer, 60)})" if scorer else ""
        if main is None:
            yield "the recording has no score: no row is right or wrong until a task of evalkit's scores it (--task)"
            return
        yield f"right and wrong are the recording's own word{by}, by its score {main}: evalkit has scored nothing here"
        if self.between:
            yield (
                f"{self.between} of {self.rows} rows have a {main} between 0 and 1: accuracy counts full marks alone, "
                f"the mean stands beside it as mean.{main}"
            )


def _recorded(recording: Imported, score: str | None, seen: _Seen) -> Iterator[Record]:
    """The rows with the recording's own verdicts."""
    for record in recording.records:
        outcome = record.outcome
        if score is not None:
            scorer = _scorer(recording, score)
            outcome = recorded_outcome(record.trajectory, outcome.scores, score, scorer, outcome.answer)
        seen.rows += 1
        seen.marks.update(outcome.scores.keys())
        main = score or recording.score
        mark = number_of(outcome.scores.get(main)) if main else None
        seen.between += mark is not None and 0 < mark < 1
        yield replace(record, outcome=outcome)


def _scorer(recording: Imported, score: str | None) -> str:
    """What gave the verdicts; runs whose verdicts are of different marks are told apart by it."""
    return f"{recording.format}/{score}" if score else recording.scorer


def _scored(recording: Imported, task: Task, samples: Sequence[Sample], seen: _Seen) -> Iterator[Record]:
    """The rows scored by a task of evalkit's, with the recording's verdicts beside."""
    known = {sample.id: sample for sample in samples}
    for record in recording.records:
        sample = known.get(record.sample.id)
        if sample is None:
            id, first = one_line(record.sample.id, 60), one_line(next(iter(known), "none"), 60)
            raise DataError(f"the recording's row {id!r} is not in task {task.name} (ids there: {first}, …)")
        theirs = record.outcome
        seen.rows += 1
        seen.marks.update(theirs.scores.keys())
        seen.other_answers += bool(record.sample.answer) and record.sample.answer != sample.answer
        # images stay where the recording, or the task's data, have them
        sample = replace(sample, images=record.sample.images)
        outcome = outcome_of(task, sample, record.trajectory)
        word = None if theirs.verdict.is_error else theirs.verdict is Verdict.CORRECT
        yield replace(record, sample=sample, outcome=replace(outcome, recorded=word, scores=theirs.scores))
