"""The append-only store of a run: `samples.jsonl` and `images/`, readable after a kill at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from evalkit.errors import DataError, InfrastructureError, one_line
from evalkit.images import ImageFile, decode_hook, encode_hook
from evalkit.records import RECORD_VERSION, Record
from evalkit.runs.folder import IMAGES, SAMPLES

Key = tuple[str, str, int]


class RunStore:
    """One run folder, opened for appending by one process at a time.

    A line is written whole and handed to the operating system before `append` returns, so that a killed
    process loses only trajectories in flight. Images are on disk before the line that names them.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder and repair a torn last line.

        Raises:
            InfrastructureError: another process has it open, or it cannot be written.
        """
        self.folder = folder
        self.file = folder / SAMPLES
        self._images = folder / IMAGES
        self._saved: dict[str, int] = {}
        self._encoder = msgspec.json.Encoder(enc_hook=encode_hook)
        try:
            self._images.mkdir(exist_ok=True)
            with os.scandir(self._images) as entries:
                self._saved = {entry.name: entry.stat().st_size for entry in entries}
            self._fd = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise InfrastructureError(f"cannot write {self.file}: {error.strerror}") from error
        try:
            self._lock()
            self._size = self._repair()
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hand everything to the disk and let others open the folder."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def append(self, record: Record) -> None:
        """Store one finished trajectory with its images.

        Raises:
            InfrastructureError: the disk is full or gone; what was stored before is untouched.
        """
        for image in images_of(record):
            self._save(image)
        self.supersede(record)

    def supersede(self, record: Record) -> None:
        """Store a new line for a trajectory whose images are in the folder already.

        Raises:
            InfrastructureError: see `append`.
        """
        line = self._encoder.encode(record) + b"\n"
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                # a short write is how a disk that has just filled up shows itself
                raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise InfrastructureError(
                f"cannot write {self.file}: {error.strerror}; finished trajectories are safe, free space and run again"
            ) from error
        self._size += len(line)

    def _save(self, image: ImageFile) -> None:
        header = image.header
        name = header.filename
        if self._saved.get(name) == header.size:
            return
        data = image.read()
        if len(data) != header.size:
            raise DataError(f"image {image.name} changed during the run")
        # a file that a killed process left unfinished has another size, and no line names it yet
        try:
            with open(f"{self._images}/{name}", "wb", buffering=0) as file:
                if file.write(data) != header.size:
                    raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise InfrastructureError(
                f"cannot write {self._images / name}: {error.strerror}; "
                "finished trajectories are safe, free space and run again"
            ) from error
        self._saved[name] = header.size

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InfrastructureError(f"{self.folder} is in use by another evalkit process") from error

    def _repair(self) -> int:
        """Cut off a last line that a killed process left unfinished; the size kept, in bytes."""
        size = os.fstat(self._fd).st_size
        keep = size
        while keep > 0:
            start = max(0, keep - 2**16)
            at = os.pread(self._fd, keep - start, start).rfind(b"\n")
            if at >= 0:
                keep = start + at + 1
                break
            keep = start
        if keep < size:
            os.ftruncate(self._fd, keep)
        return keep


def read_records(folder: Path) -> Iterator[Record]:
    """The lines of a run's `samples.jsonl` in file order, superseded ones included.

    A torn last line (a run that was killed, or is still going on) is left out.

    Raises:
        DataError: a line in the middle is corrupt, or of a newer version; the message names it.
    """
    file = folder / SAMPLES
    decoder = msgspec.json.Decoder(Record, dec_hook=decode_hook(folder / IMAGES))
    try:
        lines = file.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    with lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                record = decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise DataError(
                    f"{file} line {number} is corrupt ({one_line(error, 120)}); "
                    "delete that line to have its sample run again"
                ) from error
            if record.version > RECORD_VERSION:
                raise DataError(
                    f"{file} line {number} is of record version {record.version}; "
                    f"this evalkit reads up to {RECORD_VERSION}"
                )
            yield record


def latest_records(folder: Path) -> dict[Key, Record]:
    """The valid record of each trajectory: its last line, in the order of first appearance."""
    return {record.key: record for record in read_records(folder)}


def images_of(record: Record) -> Iterator[ImageFile]:
    """Every image a record names."""
    yield from record.sample.images
    for turn in record.trajectory.turns:
        for observation in turn.observations:
            yield from observation.images
