"""Last responses made by any other program: a table of (id, response)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from evalkit.bridges.rows import Row, cell, id_of, read_rows
from evalkit.errors import DataError, one_line
from evalkit.records import RECORD_VERSION, Record, Sample, StopReason, Timing, Trajectory, Turn
from evalkit.runs.outcome import outcome_of
from evalkit.task import Task

_NAMED = 5


def read_predictions(file: Path, id_column: str, response_column: str) -> dict[str, str | None]:
    """The responses by id, None where the file says that there is none (null in JSONL).

    Args:
        file: see `evalkit.bridges.rows.read_rows`.
        id_column: whose values are texts or whole numbers.
        response_column: whose values are texts. An empty text is an empty response.

    Raises:
        DataError: the file cannot be read, a column is missing, an id is double, or a value is no text; the
            message names the line.
    """
    found: dict[str, str | None] = {}
    places: dict[str, str] = {}
    for row in read_rows(file, "--predictions"):
        id = id_of(row, id_column, "--id-column")
        if id in found:
            there = places[id].rsplit(" ", 2)
            raise DataError(
                f"{row.where}: {id_column} {one_line(id, 80)!r} is double, {there[-2]} {there[-1]} has it too"
            )
        found[id], places[id] = response_of(row, response_column, "--response-column", id), row.where
    if not found:
        raise DataError(f"{one_line(file, 200)} holds no rows")
    return found


def response_of(row: Row, column: str, option: str, id: str) -> str | None:
    """The response of a row; None where it says that there is none.

    Raises:
        DataError: it is no text, or the row has no such column.
    """
    response = cell(row, column, option)
    if response is not None and not isinstance(response, str):
        kind = "a number" if isinstance(response, int | float) else f"a {type(response).__name__}"
        hint = "write null where there is no response"
        raise DataError(f"{row.where}: {column} is {kind}, not text (id {one_line(id, 80)}); {hint}")
    return response


def last_response(response: str | None, error: str) -> Trajectory:
    """A trajectory of which only the last response is known.

    Args:
        response: None where there is none: an error, as nothing can be said of it.
        error: says so.
    """
    missing = response is None
    turn = Turn(text=response or "", timing=Timing(generate_s=None, tool_s=None))
    return Trajectory(
        prompt="",
        stop=StopReason.ENGINE_ERROR if missing else StopReason.ENDED,
        turns=() if missing else (turn,),
        error=error if missing else "",
        started_at=None,
        total_s=None,
        partial=True,
    )


def predicted_records(
    responses: Mapping[str, str | None], samples: Sequence[Sample], task: Task, name: str
) -> list[Record]:
    """The responses as scored records, in the benchmark's order; rows without a prediction have no record.

    A null is an error row, as nothing can be said of it. Images are left out of the records: they stay where
    the task's data are.

    Args:
        responses: from `read_predictions`.
        samples: all rows of the benchmark.
        task: scores the responses.
        name: what messages call the file.

    Raises:
        DataError: an id is not one of the benchmark's; the first few are named.
    """
    known = {sample.id for sample in samples}
    strange = [id for id in responses if id not in known]
    if strange:
        named = ", ".join(one_line(id, 60) for id in strange[:_NAMED])
        raise DataError(
            f"{name}: {len(strange)} of {len(responses)} ids are not in task {task.name}: {named}"
            f"{', …' if len(strange) > _NAMED else ''} (ids there: {one_line(samples[0].id, 60)}, …)"
        )
    return [_record(sample, responses[sample.id], task, name) for sample in samples if sample.id in responses]


def _record(sample: Sample, response: str | None, task: Task, name: str) -> Record:
    trajectory = last_response(response, f"no response in {name}")
    bare = msgspec.structs.replace(sample, images=())
    outcome = outcome_of(task, sample, trajectory)
    return Record(version=RECORD_VERSION, sample=bare, trajectory=trajectory, outcome=outcome)
