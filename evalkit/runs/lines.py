"""The lines of a run's `samples.jsonl`, whatever form they are read into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.records import RECORD_VERSION
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


class Line(NamedTuple):
    """One line of the file.

    Attributes:
        number: from 1.
        start: byte at which it begins.
        data: its bytes, the line break among them.
    """

    number: int
    start: int
    data: bytes


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
    for line in _lines(file):
        try:
            record = decode(line.data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(
                f"{file} line {line.number} is corrupt ({one_line(error, 120)}); "
                "delete that line to have its sample run again"
            ) from error
        if record.version > RECORD_VERSION:
            raise DataError(
                f"{file} line {line.number} is of record version {record.version}; "
                f"this evalkit reads up to {RECORD_VERSION}"
            )
        yield line.start, record


def latest_lines(folder: Path, decode: Callable[[bytes], T]) -> list[tuple[int, T]]:
    """The valid record of each trajectory: its last line, in the order of first appearance; see `read_lines`."""
    found: dict[tuple[str, str, int], tuple[int, T]] = {}
    for start, record in read_lines(folder, decode):
        found[record.sample.id, record.arm, record.repeat] = start, record
    return list(found.values())


def _lines(file: Path) -> Iterator[Line]:
    """The whole lines."""
    try:
        lines = file.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    start = 0
    with lines:
        for number, data in enumerate(lines, 1):
            if not data.endswith(b"\n"):
                return
            yield Line(number, start, data)
            start += len(data)
