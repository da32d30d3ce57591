"""A file of lines that only grows and is readable after a kill at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from evalkit.errors import InfrastructureError
from evalkit.runs.lock import take_flock


class AppendFile:
    """A file opened for appending whole lines by one process at a time.

    A line is handed to the operating system before `append` returns, so that a killed process loses only what it
    had not appended yet.

    Args:
        file: made where it is not there; a torn last line of a killed process is cut off.

    Raises:
        InfrastructureError: another process has it open, or it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise InfrastructureError(f"cannot write {file}: {error.strerror}") from error
        try:
            self._lock()
            self._size = self._repair()
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, line: bytes) -> None:
        """Write one line, its line break included.

        Raises:
            InfrastructureError: the disk is full or gone; what was written before is untouched.
        """
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

    def close(self) -> None:
        """Hand everything to the disk and let others open the file; safe to call twice."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _lock(self) -> None:
        # a file system that knows no locks is no other process
        if take_flock(self._fd) is False:
            raise InfrastructureError(f"{self.file.parent} is in use by another evalkit process")

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
