"""The rows of a table that any program may have written: JSON lines, a JSON list, CSV, TSV, a spreadsheet."""

from __future__ import annotations

import contextlib
import csv
import datetime
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.sources.jsonl import decoded, read_jsonl

LONGEST_CELL = 1 << 24
"""Characters of one CSV cell; beyond it, a quote was left open."""
LONGEST_SHEET_CELL = 32767
"""Characters of one cell of a spreadsheet; its program cuts what is longer."""
LARGEST_SHEET = 1 << 31
"""Unpacked bytes of a spreadsheet: a file of some kilobytes can unpack to terabytes."""

_MARKS = {"true": 1.0, "yes": 1.0, "correct": 1.0, "false": 0.0, "no": 0.0, "incorrect": 0.0}
_NOTHING = frozenset({"", "nan", "none", "null"})


class Row(NamedTuple):
    """One row.

    Attributes:
        where: the file and the place in it, for messages.
        cells: by column.
    """

    where: str
    cells: dict[str, Any]


def read_rows(file: Path, option: str = "") -> Iterator[Row]:
    """The rows of a table, one at a time.

    Args:
        file: `.jsonl` or `.ndjson` (an object a line), `.json` (a list of objects), `.csv` or `.tsv` (with a header;
            every cell is a text), or `.xlsx` (its first sheet; a formula is the text it is written as, an empty cell an
            empty text).
        option: how the user named the file, for messages.

    Raises:
        EvalkitError: the name ends in something else, or openpyxl is missing.
        DataError: the file cannot be read, or is broken; the message names the line.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        name = " ".join(filter(None, (option, one_line(file, 200))))
        raise EvalkitError(f"{name}: the name must end in one of {', '.join(_READERS)}")
    word = "row" if reader in (_xlsx, _json) else "line"
    for number, cells in reader(file):
        yield Row(f"{one_line(file, 200)} {word} {number}", cells)


def cell(row: Row, column: str, option: str) -> Any:
    """A cell that must be there.

    Args:
        row: from `read_rows`.
        column: its name.
        option: what names the column on the command line.

    Raises:
        DataError: the row has no such column; those it has are named.
    """
    if column not in row.cells:
        columns = ", ".join(one_line(name, 40) for name in list(row.cells)[:10])
        raise DataError(f"{row.where} has no column {column!r} (it has: {columns}); name it with {option}")
    return row.cells[column]


def id_of(row: Row, column: str, option: str) -> str:
    """What names a row: a text or a whole number.

    Raises:
        DataError: it is missing, or something else.
    """
    value = cell(row, column, option)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(f"{row.where}: {column} is {one_line(value, 40)!r}, neither a text nor a whole number")
    return str(value)


def text_of(row: Row, column: str) -> str:
    """A cell as text; "" where there is none. A list or an object is the JSON it was written as."""
    value = row.cells.get(column)
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float) and value != value:
        return ""
    if isinstance(value, dict | list):
        import msgspec

        return msgspec.json.encode(value).decode()
    return str(value)


def mark_of(row: Row, column: str, option: str) -> float | None:
    """A mark: a number from 0 to 1, a truth value, or such a word ("true", "yes", "correct"); None in an empty cell.

    Raises:
        DataError: it is none of them; nothing is guessed, and a mark out of 5 or 100 is no verdict.
    """
    value = cell(row, column, option)
    if value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING):
        return None
    if isinstance(value, str):
        word = value.strip().lower()
        try:
            value = _MARKS[word] if word in _MARKS else float(word)
        except ValueError:
            value = None
    if not isinstance(value, int | float) or abs(value) == float("inf"):
        raise DataError(
            f"{row.where}: {column} is {one_line(row.cells[column], 40)!r}, which is neither a number nor true or false"
        )
    if value < 0 or value > 1:
        raise DataError(f"{row.where}: {column} is {one_line(row.cells[column], 40)!r}; a verdict lies between 0 and 1")
    return None if value != value else float(value)


def _jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    return read_jsonl(file, dict[str, Any], "an object with an id and a response")


def _json(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    name = one_line(file, 200)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or one_line(error)}") from None
    yield from enumerate(decoded(data, list[dict[str, Any]], "a list of objects", name), 1)


def _csv(file: Path, mark: str) -> Iterator[tuple[int, dict[str, Any]]]:
    name = one_line(file, 200)
    before = csv.field_size_limit(LONGEST_CELL)
    line = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, strict=True, delimiter=mark)
            header = next((cells for cells in rows if cells), [])
            if double := [column for column in header if column and header.count(column) > 1]:
                raise DataError(f"{name} has column {one_line(double[0], 40)!r} more than once in its header")
            if len(header) == 1 and (other := next((one for one in ";\t," if one != mark and one in header[0]), "")):
                by = "commas" if mark == "," else "tabs"
                raise DataError(
                    f"{name} is parted by {other!r}; a {file.suffix} is parted by {by}: save it so, or as .jsonl"
                )
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


def _xlsx(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # a file that openpyxl cannot make sense of is left open by it
    with contextlib.ExitStack() as opened:
        yield from _opened(file, opened)


def _opened(file: Path, opened: contextlib.ExitStack) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise EvalkitError(
            f"{one_line(file, 200)}: a spreadsheet is read with openpyxl; run: pip install 'evalkit[xlsx]'"
        ) from None
    name = one_line(file, 200)
    try:
        with zipfile.ZipFile(file) as parts:
            if sum(part.file_size for part in parts.infolist()) > LARGEST_SHEET:
                raise DataError(f"{name} unpacks to more than {LARGEST_SHEET >> 30} GiB; save it as .tsv or .jsonl")
        stream = opened.enter_context(file.open("rb"))
        # data_only would give a formula's value as its program last saw it, and that is not what was written
        book = load_workbook(stream, read_only=True, data_only=False, keep_links=False)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or one_line(error)}") from None
    except DataError:
        raise
    except Exception as error:
        # openpyxl raises whatever it stumbles over
        raise DataError(
            f"{name} is no readable spreadsheet ({one_line(error, 120)}); save it again, or as .tsv"
        ) from None
    try:
        yield from _sheet(book.worksheets[0].iter_rows(values_only=True), name)
    finally:
        book.close()


def _sheet(rows: Iterator[tuple[Any, ...]], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    number, header = 1, [str(value) if value is not None else "" for value in next(rows, ())]
    if double := [column for column in header if column and header.count(column) > 1]:
        raise DataError(f"{name} has column {one_line(double[0], 40)!r} more than once in its header")
    while True:
        try:
            values = next(rows, None)
        except Exception as error:
            raise DataError(f"{name} is broken after row {number} ({one_line(error, 120)})") from None
        if values is None:
            return
        number += 1
        if any(value is not None for value in values):
            yield number, {column: _plain(value) for column, value in zip(header, values, strict=False) if column}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if value is None:
        # a spreadsheet cannot tell an empty text from none
        return ""
    return value if isinstance(value, bool | int | float | str) else str(value)


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": partial(_csv, mark=","),
    ".tsv": partial(_csv, mark="\t"),
    ".json": _json,
    ".xlsx": _xlsx,
}
