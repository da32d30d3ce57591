"""A plain table of questions, responses and verdicts, as any program can write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from evalkit.bridges.imported import Imported
from evalkit.bridges.predictions import last_response, response_of
from evalkit.bridges.rows import Row, cell, id_of, mark_of, read_rows, text_of
from evalkit.errors import EvalkitError
from evalkit.recorded import recorded_outcome
from evalkit.records import RECORD_VERSION, Record, Sample

FORMAT = "table"
_DEFAULTS = {
    "id": "id",
    "question": "question",
    "answer": "answer",
    "response": "response",
    "correct": "correct",
    "category": "category",
}


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Names of a table's columns, as the user gives them; None takes the usual name, where there is such a column.

    Attributes:
        id: a text or a whole number; every row must have it.
        question: the question's text.
        answer: the reference.
        response: the model's text; every row must have it, null where there is none.
        correct: 1 or 0, true or false, or a number between; needed unless a task of evalkit's scores the responses.
        category: the benchmark's main grouping.
    """

    id: str | None = None
    question: str | None = None
    answer: str | None = None
    response: str | None = None
    correct: str | None = None
    category: str | None = None

    def named(self, field: str) -> str:
        """The column's name."""
        return getattr(self, field) or _DEFAULTS[field]

    def chosen(self, field: str, row: Row) -> str:
        """A cell that may be absent, unless the user names its column: "" then.

        Raises:
            DataError: the row has no column of the name that the user gives.
        """
        if getattr(self, field) is not None:
            cell(row, self.named(field), f"--{field}")
        return text_of(row, self.named(field))


def read_table(file: Path, benchmark: str, columns: Columns, *, scored: bool) -> Imported:
    """A table as a recording.

    Args:
        file: see `evalkit.bridges.rows.read_rows`.
        benchmark: the name of what the rows are of.
        columns: where what stands.
        scored: a task of evalkit's will score the responses: the table needs no verdicts.

    Raises:
        EvalkitError: the file has a name of another kind.
    """
    recording = Imported(format=FORMAT, task=benchmark, records=(), model=file.stem)
    recording.score = columns.named("correct")
    recording.scorer = f"{FORMAT}/{recording.score}"
    recording.records = _records(file, columns, recording, scored)
    return recording


def _records(file: Path, columns: Columns, recording: Imported, scored: bool) -> Iterator[Record]:
    correct = columns.named("correct")
    for row in read_rows(file):
        id = id_of(row, columns.named("id"), "--id")
        trajectory = last_response(
            response_of(row, columns.named("response"), "--response", id), f"no response in {file.name}"
        )
        scores = {}
        if columns.correct is not None or correct in row.cells:
            scores = {correct: mark_of(row, correct, "--correct")}
        elif not scored:
            there = ", ".join(list(row.cells)[:10])
            raise EvalkitError(
                f"{row.where} has no column {correct!r} (it has: {there}): name the column of verdicts with --correct, "
                "or one of evalkit's tasks to score the responses with --task"
            )
        sample = Sample(
            id=id,
            question=columns.chosen("question", row),
            answer=columns.chosen("answer", row),
            category=columns.chosen("category", row),
        )
        outcome = recorded_outcome(trajectory, scores, recording.score, recording.scorer)
        yield Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome)
