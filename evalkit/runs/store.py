"""The append-only store of a run: `samples.jsonl` and `images/`, readable after a kill at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from evalkit.images import ImageFile, decode_hook, encode_hook
from evalkit.records import Record
from evalkit.runs.append import AppendFile
from evalkit.runs.folder import IMAGES, SAMPLES, remove_parts
from evalkit.runs.image_folder import ImageFolder
from evalkit.runs.lines import read_lines, valid_lines
from evalkit.runs.lock import RunLock

Key = tuple[str, str, int]


class RunStore:
    """One run folder, opened for appending by one process at a time.

    A line is written whole and handed to the operating system before `append` returns, so that a killed
    process loses only trajectories in flight. Images are on disk before the line that names them.

    Attributes:
        lock: on the folder.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder and repair a torn last line.

        Raises:
            InfrastructureError: another process has it open, or it cannot be written.
        """
        self.folder = folder
        self.file = folder / SAMPLES
        self._encoder = msgspec.json.Encoder(enc_hook=encode_hook)
        self.lock = RunLock(folder)
        try:
            remove_parts(folder)
            self._images = ImageFolder(folder / IMAGES)
            self._lines = AppendFile(self.file)
        except BaseException:
            self.lock.release()
            raise

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hand everything to the disk and let others open the folder."""
        self._lines.close()
        self.lock.release()

    def append(self, record: Record) -> None:
        """Store one finished trajectory with its images.

        Raises:
            InfrastructureError: the disk is full or gone; what was stored before is untouched.
        """
        self.lock.check()
        for image in images_of(record):
            self._images.save(image)
        self.supersede(record)

    def supersede(self, record: Record) -> None:
        """Store a new line for a trajectory whose images are in the folder already.

        Raises:
            InfrastructureError: see `append`.
        """
        self.lock.check()
        self._lines.append(self._encoder.encode(record) + b"\n")


def read_records(folder: Path) -> Iterator[Record]:
    """The lines of a run's `samples.jsonl` in file order, superseded ones included.

    A torn last line (a run that was killed, or is still going on) is left out.

    Raises:
        DataError: a line in the middle is corrupt, or of a newer version; the message names it.
    """
    for _, record in read_lines(folder, record_decoder(folder)):
        yield record


def record_decoder(folder: Path) -> Callable[[bytes], Record]:
    """From a line to its record, whose images are handles into the run folder."""
    return msgspec.json.Decoder(Record, dec_hook=decode_hook(folder / IMAGES)).decode


def latest_records(folder: Path) -> dict[Key, Record]:
    """The valid record of each trajectory: its last line, in the order of first appearance."""
    return {record.key: record for record in read_records(folder)}


def stream_latest(folder: Path) -> Iterator[Record]:
    """The valid record of each trajectory, one at a time: the file is gone through twice, and none is held.

    They come in the order of their valid lines, which is another one than `latest_records` gives where a trajectory
    was scored again.

    Raises:
        DataError: see `read_records`.
    """
    valid = set(valid_lines(folder).values())
    for start, record in read_lines(folder, record_decoder(folder)):
        if start in valid:
            yield record


def images_of(record: Record) -> Iterator[ImageFile]:
    """Every image a record names."""
    yield from record.sample.images
    for turn in record.trajectory.turns:
        for observation in turn.observations:
            yield from observation.images
