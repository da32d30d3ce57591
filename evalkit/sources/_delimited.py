"""Records of a tab-separated file with their places, so that a cell can be read again alone.

Cells are as pandas writes them: one that holds a tab, a line break or a quote stands in double quotes, its
own quotes doubled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

TAB, QUOTE = b"\t", b'"'
LONGEST = 1 << 28
"""Bytes of one record: twice the base64 text of an uncompressed 8K image. Beyond it, a quote was left open."""


class BadRecordError(ValueError):
    """A record that cannot be cut into cells."""


class Delimited(NamedTuple):
    """One record.

    Attributes:
        offset: of its first byte in the file.
        data: its bytes.
        cells: start and end of each cell in `data`, outer quotes excluded.
    """

    offset: int
    data: bytearray
    cells: list[tuple[int, int]]

    def cell(self, column: int) -> bytes:
        """The content of a cell, quotes no longer doubled."""
        start, end = self.cells[column]
        text = bytes(self.data[start:end])
        quoted = start > 0 and self.data[start - 1 : start] == QUOTE
        return text.replace(QUOTE * 2, QUOTE) if quoted else text

    @property
    def blank(self) -> bool:
        """Whether it is an empty line."""
        return self.cells == [(0, 0)]


def delimited(stream: BinaryIO) -> Iterator[Delimited]:
    """The records of a file from the stream's place on; one is in memory at a time.

    Raises:
        BadRecordError: a record is too long, or a quoted cell is not closed or goes on after its quote.
    """
    while True:
        offset = stream.tell()
        data = bytearray()
        if not _extend(data, stream):
            return
        yield Delimited(offset, data, list(_cells(data, stream)))


def _cells(data: bytearray, stream: BinaryIO) -> Iterator[tuple[int, int]]:
    start = 0
    while True:
        if data[start : start + 1] == QUOTE:
            start += 1
            end = _closing(data, start, stream)
            yield start, end
            after = bytes(data[end + 1 : end + 3])
            if after in (b"", b"\n", b"\r\n"):
                return
            if after[:1] != TAB:
                raise BadRecordError("a cell goes on after its closing quote")
            start = end + 2
            continue
        end = data.find(TAB, start)
        if end < 0:
            yield start, _end_of_line(data, start)
            return
        yield start, end
        start = end + 1


def _closing(data: bytearray, start: int, stream: BinaryIO) -> int:
    """Where the quote is that closes a cell; lines are added until it is found."""
    while True:
        end = data.find(QUOTE, start)
        if end < 0:
            start = len(data)
            if not _extend(data, stream):
                raise BadRecordError("a quoted cell is not closed before the file ends")
        elif data[end + 1 : end + 2] == QUOTE:
            start = end + 2
        else:
            return end


def _extend(data: bytearray, stream: BinaryIO) -> bool:
    """Add one line; False at the end of the file."""
    line = stream.readline(LONGEST)
    data += line
    if len(data) >= LONGEST:
        raise BadRecordError(f"it is longer than {LONGEST >> 20} MiB; a quote was left open, or it is no table")
    return bool(line)


def _end_of_line(data: bytearray, start: int) -> int:
    end = len(data)
    if data.endswith(b"\n", start):
        end -= 1
        if data.endswith(b"\r", start, end):
            end -= 1
    return end
