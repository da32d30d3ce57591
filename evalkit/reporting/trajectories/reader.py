"""Single records of a run, found by where their lines begin."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.records import RECORD_VERSION, Record
from evalkit.runs.folder import SAMPLES
from evalkit.runs.store import record_decoder


class RecordReader:
    """A run's `samples.jsonl`, opened for single lines."""

    def __init__(self, folder: Path) -> None:
        """Open the file.

        Raises:
            DataError: it cannot be read.
        """
        self._file = folder / SAMPLES
        self._decode = record_decoder(folder)
        try:
            self._lines = self._file.open("rb")
        except OSError as error:
            raise DataError(f"cannot read {self._file}: {error.strerror}") from error

    def __enter__(self) -> RecordReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()

    def read(self, offset: int, id: str) -> Record:
        """The record of sample `id` in the line that begins at byte `offset`.

        Raises:
            DataError: there is none; the file was changed since its index was made.
        """
        try:
            self._lines.seek(offset)
            record = self._decode(self._lines.readline())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(f"{self._file} at byte {offset} holds no record ({one_line(error, 120)})") from error
        if record.sample.id != id or record.version > RECORD_VERSION:
            raise DataError(f"{self._file} at byte {offset} holds another record; it was changed meanwhile")
        return record
