"""The lines of a run's `samples.jsonl`, whatever form they are read into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.records import AGENT, RECORD_VERSION
from evalkit.runs.folder import SAMPLES


class Keyed(Protocol):
    """What a line holds, as far as the file's order needs it."""

    @property
    def version(self) -> int:
        """Of the record."""

    @property
    def sample(self) -> Any:
        """It has an `id`."""

    @property
    def arm(self) -> str:
        """See `evalkit.records.Record`."""

    @property
    def repeat(self) -> int:
        """See `evalkit.records.Record`."""


T = TypeVar("T", bound=Keyed)
D = TypeVar("D")


def read_lines(folder: Path, decode: Callable[[bytes], T]) -> Iterator[tuple[int, T]]:
    """Every record in file order, superseded ones included, with the byte at which its line begins.

    A torn last line (a run that was killed, or is still going on) is left out, as is a file that is not there yet.

    Args:
        folder: the run folder.
        decode: from a line to a record.

    Raises:
        DataError: a line in the middle is corrupt, or of a newer version; the message names it.
    """
    file = folder / SAMPLES
    for start, data in _lines(file):
        record = decode_line(file, start, data, decode)
        if record.version > RECORD_VERSION:
            raise DataError(
                f"{file} line {_number(file, start)} is of record version {record.version}; "
                f"this evalkit reads up to {RECORD_VERSION}"
            )
        yield start, record


def decode_line(file: Path, start: int, data: bytes, decode: Callable[[bytes], D]) -> D:
    """What a line holds.

    Args:
        file: it is in.
        start: byte at which it begins.
        data: its bytes.
        decode: from these.

    Raises:
        DataError: it is corrupt; the message names it.
    """
    try:
        return decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file} line {_number(file, start)} is corrupt ({one_line(error, 120)}); "
            "delete that line to have its sample run again"
        ) from error


def latest_lines(folder: Path, decode: Callable[[bytes], T]) -> list[tuple[int, T]]:
    """The valid record of each trajectory: its last line, in the order of first appearance; see `read_lines`."""
    found: dict[tuple[str, str, int], tuple[int, T]] = {}
    for start, record in read_lines(folder, decode):
        found[record.sample.id, record.arm, record.repeat] = start, record
    return list(found.values())


def valid_lines(folder: Path) -> dict[tuple[str, str, int], int]:
    """The byte at which the valid line of each trajectory begins, in the order of `latest_lines`; see `read_lines`."""
    return {(line.sample.id, line.arm, line.repeat): start for start, line in read_lines(folder, _decode_key)}


class _Id(msgspec.Struct, frozen=True, gc=False):
    id: str


class _Key(msgspec.Struct, frozen=True, gc=False):
    """What makes a line unique."""

    version: int
    sample: _Id
    arm: str = AGENT
    repeat: int = 0


_decode_key = msgspec.json.Decoder(_Key).decode


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The whole lines, their line breaks among them, with the byte at which each begins."""
    try:
        lines = file.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    start = 0
    with lines:
        for data in lines:
            if not data.endswith(b"\n"):
                return
            yield start, data
            start += len(data)


def _number(file: Path, start: int) -> int:
    """Of the line that begins at this byte, from 1."""
    number = 1
    with file.open("rb") as lines:
        while start > 0 and (part := lines.read(min(start, 1 << 20))):
            number += part.count(b"\n")
            start -= len(part)
    return number
