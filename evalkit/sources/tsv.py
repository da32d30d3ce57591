"""VLMEvalKit's tables: tab-separated, one row a question, the image in the row as base64 text.

The tables of high-resolution benchmarks are several gigabytes. So a table is read through once, row by row;
what is kept of an image is where it stands, and it is read again when it is asked for.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.sources._base64 import END, decode, decoded_size, mark, wrong_base64
from evalkit.sources._delimited import BadRecordError, Delimited, delimited
from evalkit.sources.folder import file_inside
from evalkit.sources.rows import Columns, Row, place

INDEX, IMAGE_PATH = "index", "image_path"
SHORT = 64
"""An image cell of at most so many characters is no image but the index of the row that has it."""

_WHOLE = re.compile(r"([+-]?[0-9]{1,18})(?:\.0{1,18})?")
_SINGLE = re.compile(r"""\[\s{0,9}(?:'([^']*)'|"([^"\\]*)")\s{0,9}\]""")
_UNDECODED = re.compile("[\udc80-\udcff]")
_MISSING = frozenset({"", "nan", "NaN"})
_NAMES = {int: "a whole number", float: "a number"}


class Span(NamedTuple):
    """Where a base64 cell stands in the file, in bytes, and what was seen of it when the table was opened."""

    start: int
    size: int
    decoded: int
    mark: str


class TsvTable:
    """An opened table: the rows without their images, and the images on demand.

    Attributes:
        rows: every column but the image; an absent optional cell is "".
        name: the file's name.
        revision: None; a file has none.
    """

    revision: str | None = None

    def __init__(self, file: Path, stamp: tuple[int, int], rows: list[Row], cells: list[Span | Path]) -> None:
        self.name = file.name
        self.rows = rows
        self._file = file
        self._stamp = stamp
        self._cells = cells

    def image(self, column: str, index: int, name: str) -> ImageFile:
        """The encoded image of one row, read from disk when needed.

        Args:
            column: what messages call the column.
            index: 0-based row.
            name: what messages call the image.
        """
        cell = self._cells[index]
        if isinstance(cell, Path):
            return ImageFile.from_path(cell)

        def read() -> bytes:
            with self._file.open("rb") as stream:
                if _stamp(stream.fileno()) != self._stamp:
                    raise DataError(f"{self._file} was changed while it was in use; start again")
                stream.seek(cell.start)
                data = decode(stream.read(cell.size))
            if data is None:
                raise DataError(f"{self.name}: column {column!r} is not base64 text (row {index + 1}, {name})")
            return data

        return ImageFile(read, name, lambda: cell.decoded, lambda: cell.mark)


def load_tsv(task: str, file: Path, columns: Columns, label: str, image: str = "image") -> TsvTable:
    """Open one of VLMEvalKit's tables.

    The image column holds base64 text, or (at most 64 characters) the `index` of another row that has the
    image. A table without it may have `image_path`: one path a row, from the table's folder.

    Args:
        task: name of the task, for messages.
        file: the table.
        columns: name and type (str, int or float) of each column that every row must have, the image not
            included; cells are turned into the type.
        label: the column that names a row in messages.
        image: the image column.

    Raises:
        DataError: the file cannot be read, or a column, a cell or a row is missing, double or wrong.
    """
    reader = _Reader(task, file, columns, label, image)
    try:
        with file.open("rb") as stream:
            stamp = _stamp(stream.fileno())
            reader.read(stream)
    except FileNotFoundError:
        raise DataError(f"{task}: no {file.name} in {file.parent}") from None
    except OSError as error:
        raise DataError(f"{task}: cannot read {file}: {error.strerror or one_line(error)}") from None
    return TsvTable(file, stamp, reader.rows, reader.images())


class _Reader:
    """Goes through a table once and checks it. Rows count from 1, blank lines and the header not counted."""

    def __init__(self, task: str, file: Path, columns: Columns, label: str, image: str) -> None:
        self.task, self.file, self.columns, self.label, self.image = task, file, columns, label, image
        self.where = f"{task}: {one_line(file.name, 80)}"
        self.names: list[str] = []
        self.rows: list[Row] = []
        self.cells: list[Span | Path | str] = []

    def read(self, stream: BinaryIO) -> None:
        records = delimited(stream)
        try:
            for record in records:
                if not self.names:
                    self._header(record)
                elif not record.blank:
                    self._row(record)
        except BadRecordError as error:
            raise DataError(f"{self.where}: {error} (row {len(self.rows) + bool(self.names)})") from None
        if not self.rows:
            raise DataError(f"{self.where} holds no rows")

    def images(self) -> list[Span | Path]:
        """Every row's image, references to other rows followed."""
        numbers: dict[str, int] = {}
        for number, row in enumerate(self.rows, 1):
            if INDEX in row and (first := numbers.setdefault(_key(row[INDEX]), number)) != number:
                index = one_line(row[INDEX], 40)
                raise self._error(f"index {index} is double, row {first} has it too", number)
        return [self._resolved(cell, number, numbers) for number, cell in enumerate(self.cells, 1)]

    def _resolved(self, cell: Span | Path | str, number: int, numbers: Mapping[str, int]) -> Span | Path:
        if not isinstance(cell, str):
            return cell
        what = f"column {self.image!r} is {one_line(cell, SHORT)!r}, "
        if INDEX not in self.names:
            raise self._error(f"{what}which is no image, and there is no column 'index' to look it up in", number)
        other = numbers.get(_key(cell))
        if other is None:
            raise self._error(f"{what}which is neither an image nor the index of a row", number)
        found = self.cells[other - 1]
        if isinstance(found, str):
            raise self._error(f"{what}the index of row {other}, which has no image of its own", number)
        return found

    def _header(self, record: Delimited) -> None:
        data = bytes(record.data[:END])
        if b"\0" in data:
            raise DataError(f"{self.where} holds NUL bytes in its header; it must be UTF-8 text")
        try:
            names = [record.cell(column).decode("utf-8") for column in range(len(record.cells))]
        except UnicodeDecodeError:
            raise DataError(f"{self.where}: the header is not UTF-8 text") from None
        names[0] = names[0].removeprefix("\ufeff").strip('"')
        if double := [name for name, count in Counter(names).items() if count > 1]:
            raise DataError(f"{self.where} has column {one_line(double[0], 40)!r} more than once")
        if self.image not in names and IMAGE_PATH in names:
            self.image = IMAGE_PATH
        for column in (*self.columns, self.image):
            if column not in names:
                raise DataError(f"{self.where} lacks column {column!r}")
        self.names = names

    def _row(self, record: Delimited) -> None:
        number = len(self.rows) + 1
        row: Row = {}
        for column, name in enumerate(self.names[: len(record.cells)]):
            if name != self.image:
                row[name] = record.cell(column).decode("utf-8", "surrogateescape")
        self.rows.append(row)
        if len(record.cells) != len(self.names):
            raise self._error(f"{len(record.cells)} cells, not {len(self.names)}", number)
        if 0 in record.data:
            raise self._error("NUL bytes, where UTF-8 text is expected", number)
        for name, text in row.items():
            row[name] = self._value(name, text, number)
        column = self.names.index(self.image)
        by_path = self.image == IMAGE_PATH
        self.cells.append(self._path(record.cell(column), number) if by_path else self._base64(record, column, number))

    def _value(self, name: str, text: str, number: int) -> str | int | float:
        if _UNDECODED.search(text):
            raise self._error(f"column {name!r} is not UTF-8 text", number)
        kind = self.columns.get(name)
        bare = text.strip()
        if bare in _MISSING:
            if kind is None:
                return ""
            raise self._error(f"column {name!r} is {'NaN' if bare else 'empty'}", number)
        if kind in _NAMES:
            if (value := _number(bare, kind)) is None:
                raise self._error(f"column {name!r} is {one_line(text, 40)!r}, not {_NAMES[kind]}", number)
            return value
        return text

    def _base64(self, record: Delimited, column: int, number: int) -> Span | str:
        start, end = record.cells[column]
        size = end - start
        head, tail = bytes(record.data[start : start + END]), bytes(record.data[max(start, end - END) : end])
        if size <= SHORT:
            short = record.cell(column).decode("utf-8", "replace").strip()
            if short in _MISSING:
                raise self._error(f"column {self.image!r} is {'NaN' if short else 'empty'}", number)
            return short
        if why := wrong_base64(head[:size], tail, size):
            raise self._error(f"column {self.image!r} {why}", number)
        return Span(record.offset + start, size, decoded_size(tail, size), mark(head[:size], tail, size))

    def _path(self, cell: bytes, number: int) -> Path:
        text = cell.decode("utf-8", "replace").strip()
        at = place(number, self.rows[number - 1], self.label)
        if text in _MISSING:
            raise self._error(f"column {IMAGE_PATH!r} is empty", number)
        if text.startswith("["):
            single = _SINGLE.fullmatch(text)
            if single is None:
                raise self._error(f"column {IMAGE_PATH!r} holds a list that is not of one path", number)
            text = single[1] or single[2] or ""
        return file_inside(self.task, self.file.parent, text, at)

    def _error(self, what: str, number: int) -> DataError:
        return DataError(f"{self.where}: {what} {place(number, self.rows[number - 1], self.label)}")


def _number(text: str, kind: type) -> int | float | None:
    if kind is int:
        # pandas turns whole numbers into floats as soon as one cell of the column is empty
        whole = _WHOLE.fullmatch(text)
        return int(whole[1]) if whole else None
    try:
        value = float(text) if len(text) <= SHORT else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _key(index: object) -> str:
    """An index as it is compared: 12, "12" and "12.0" are one."""
    text = str(index).strip()
    whole = _WHOLE.fullmatch(text)
    return str(int(whole[1])) if whole else text


def _stamp(descriptor: int) -> tuple[int, int]:
    stat = os.fstat(descriptor)
    return stat.st_size, stat.st_mtime_ns
