"""A run's records for whoever looks at all of them: on disk until a part is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar, overload

import msgspec

from evalkit.errors import DataError
from evalkit.images import decode_hook
from evalkit.records import AGENT, Outcome, Record, Sample, Trajectory
from evalkit.runs.folder import IMAGES, SAMPLES
from evalkit.runs.lines import decode_line, valid_lines
from evalkit.runs.store import Key

T = TypeVar("T")


class RunRecord:
    """One record: all but its trajectory is here, and that is read each time it is asked for.

    It has the attributes of `evalkit.records.Record`, so that code for one reads the other.
    """

    __slots__ = ("_of", "_start", "arm", "outcome", "repeat", "sample", "version")

    def __init__(self, of: RunRecords, start: int, head: _Head) -> None:
        self.version, self.arm, self.repeat = head.version, head.arm, head.repeat
        self.sample, self.outcome = head.sample, head.outcome
        self._of, self._start = of, start

    @property
    def key(self) -> Key:
        """What makes the record unique in its run."""
        return (self.sample.id, self.arm, self.repeat)

    @property
    def trajectory(self) -> Trajectory:
        """From the file.

        Raises:
            DataError: the line is corrupt.
        """
        return self._of.trajectory(self._start)


class RunRecords(Sequence[RunRecord]):
    """The valid record of each trajectory of a run, in the order of first appearance.

    What is held is where each line begins: of 100,000 rows less than a megabyte. Each pass reads the file again, so
    take what you need in one. Lines that are appended later are not seen.

    Args:
        folder: the run folder.

    Raises:
        DataError: a line in the middle is corrupt, or of a newer version; the message names it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / SAMPLES
        starts = valid_lines(folder)
        self._starts = array("q", starts.values())
        self._first = array("q", (start for (_, *which), start in starts.items() if which == [AGENT, 0]))
        hook = decode_hook(folder / IMAGES)
        self._head = msgspec.json.Decoder(_Head, dec_hook=hook).decode
        self._lines: BinaryIO | None = None
        self._body = msgspec.json.Decoder(_Body, dec_hook=hook).decode
        self._record = msgspec.json.Decoder(Record, dec_hook=hook).decode

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> RunRecord: ...

    @overload
    def __getitem__(self, place: slice) -> RunRecords: ...

    def __getitem__(self, place: int | slice) -> RunRecord | RunRecords:
        if isinstance(place, slice):
            return self._with(self._starts[place])
        start = self._starts[place]
        with self._open() as lines:
            return RunRecord(self, start, self._read(lines, start, self._head))

    def __iter__(self) -> Iterator[RunRecord]:
        for start, head in self._each(self._head):
            yield RunRecord(self, start, head)

    @property
    def first_tries(self) -> RunRecords:
        """Those of the agent's own first run of each sample."""
        return self._with(self._first)

    def whole(self) -> Iterator[Record]:
        """Each record whole, one at a time; see `decoded`."""
        return self.decoded(self._record)

    def decoded(self, decode: Callable[[bytes], T]) -> Iterator[T]:
        """Each line in another form, one at a time.

        Args:
            decode: from a line.

        Raises:
            DataError: a line is corrupt.
        """
        for _, found in self._each(decode):
            yield found

    def trajectory(self, start: int) -> Trajectory:
        """That of the line which begins at this byte; quickest while a pass is at that line."""
        if self._lines is not None and not self._lines.closed:
            return self._read(self._lines, start, self._body).trajectory
        with self._open() as lines:
            return self._read(lines, start, self._body).trajectory

    def _open(self) -> BinaryIO:
        try:
            return self._file.open("rb")
        except OSError as error:
            raise DataError(f"cannot read {self._file}: {error.strerror}") from error

    def _each(self, decode: Callable[[bytes], T]) -> Iterator[tuple[int, T]]:
        if not self._starts:
            return
        with self._open() as lines:
            self._lines = lines
            for start in self._starts:
                yield start, self._read(lines, start, decode)

    def _read(self, lines: BinaryIO, start: int, decode: Callable[[bytes], T]) -> T:
        lines.seek(start)
        return decode_line(self._file, start, lines.readline(), decode)

    def _with(self, starts: array[int]) -> RunRecords:
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part._starts, part._lines = starts, None
        return part


class _Head(msgspec.Struct, frozen=True):
    """A `Record` without its trajectory."""

    version: int
    sample: Sample
    outcome: Outcome
    arm: str = AGENT
    repeat: int = 0


class _Body(msgspec.Struct, frozen=True):
    trajectory: Trajectory
