"""Last responses made by any other program: a table of (id, response) as JSONL or CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.records import RECORD_VERSION, Record, Sample, StopReason, Timing, Trajectory, Turn
from evalkit.runs.outcome import outcome_of
from evalkit.sources.jsonl import read_jsonl
from evalkit.task import Task

LONGEST_CELL = 1 << 24
"""Characters of one CSV cell; beyond it, a quote was left open."""

_NAMED = 5


def read_predictions(file: Path, id_column: str, response_column: str) -> dict[str, str | None]:
    """The responses by id, None where the file says that there is none (null in JSONL).

    Args:
        file: `.jsonl` or `.ndjson` (an object a line), or `.csv` (with a header).
        id_column: whose values are texts or whole numbers.
        response_column: whose values are texts. An empty text is an empty response.

    Raises:
        DataError: the file cannot be read, a column is missing, an id is double, or a value is no text; the
            message names the line.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        kinds = ", ".join(_READERS)
        raise EvalkitError(f"--predictions {one_line(file, 200)}: the name must end in one of {kinds}")
    found: dict[str, str | None] = {}
    lines: dict[str, int] = {}
    for line, row in reader(file):
        where = f"{one_line(file, 200)} line {line}"
        id = _id(_cell(row, id_column, "--id-column", where), id_column, where)
        if id in found:
            raise DataError(f"{where}: {id_column} {one_line(id, 80)!r} is double, line {lines[id]} has it too")
        response = _cell(row, response_column, "--response-column", where)
        if response is not None and not isinstance(response, str):
            kind = "a number" if isinstance(response, int | float) else f"a {type(response).__name__}"
            hint = "write null where there is no response"
            raise DataError(f"{where}: {response_column} is {kind}, not text (id {one_line(id, 80)}); {hint}")
        found[id], lines[id] = response, line
    if not found:
        raise DataError(f"{one_line(file, 200)} holds no rows")
    return found


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
    missing = response is None
    turn = Turn(text=response or "", timing=Timing(generate_s=None, tool_s=None))
    trajectory = Trajectory(
        prompt="",
        stop=StopReason.ENGINE_ERROR if missing else StopReason.ENDED,
        turns=() if missing else (turn,),
        error=f"no response in {name}" if missing else "",
        started_at=None,
        total_s=None,
        partial=True,
    )
    bare = msgspec.structs.replace(sample, images=())
    outcome = outcome_of(task, sample, trajectory)
    return Record(version=RECORD_VERSION, sample=bare, trajectory=trajectory, outcome=outcome)


def _cell(row: Mapping[str, Any], column: str, option: str, where: str) -> Any:
    if column not in row:
        columns = ", ".join(one_line(name, 40) for name in list(row)[:10])
        raise DataError(f"{where} has no column {column!r} (it has: {columns}); name it with {option}")
    return row[column]


def _id(value: Any, column: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where}: {column} is {one_line(value, 40)!r}, neither a text nor a whole number")
    return str(value)


def _jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    return read_jsonl(file, dict[str, Any], "an object with an id and a response")


def _csv(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    name = one_line(file, 200)
    before = csv.field_size_limit(LONGEST_CELL)
    line = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            header = next((cells for cells in rows if cells), [])
            if double := [column for column in header if column and header.count(column) > 1]:
                raise DataError(f"{name} has column {one_line(double[0], 40)!r} more than once in its header")
            if len(header) == 1 and (other := next((mark for mark in ";\t" if mark in header[0]), "")):
                raise DataError(f"{name} is parted by {other!r}; a .csv is parted by commas: save it so, or as .jsonl")
            line = rows.line_num
            for cells in rows:
                # a cell may hold line breaks: a row is named by the line it starts on
                start, line = line + 1, rows.line_num
                if len(cells) == len(header):
                    yield start, dict(zip(header, cells, strict=True))
                elif cells:
                    raise DataError(f"{name} line {start}: {len(cells)} cells, not {len(header)} as in the header")
    except UnicodeDecodeError:
        raise DataError(f"{name} is not UTF-8 text (after line {line})") from None
    except csv.Error as error:
        raise DataError(f"{name} line {line + 1}: broken CSV ({one_line(error, 120)})") from None
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or one_line(error)}") from None
    finally:
        csv.field_size_limit(before)


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
}
