"""A forked session's process, as the host sees it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as LateError
from contextlib import suppress
from pathlib import Path

from evalkit.sandbox._channel import Channel

_REAP_S = 30.0
_STATUS_S = 2.0


class Forked:
    """One session's process.

    Args:
        pidfd: of the process; closed by `reap`.
        status: set to how it ended, or cancelled when nobody can tell.
        connection: the host's end of its socket; closed by `reap`.
        folder: its own, removed by `reap`.

    Attributes:
        channel: everything the session says comes through it.
        reason: why the sandbox ended it, if it did.
        pid: as this process sees it, 0 if it cannot be told.
    """

    def __init__(self, pidfd: int, status: Future[int], connection: socket.socket, folder: Path | None = None) -> None:
        self.channel = Channel(connection)
        self.reason = ""
        self.pid = _pid(pidfd)
        self._pidfd = pidfd
        self._status = status
        self._socket = connection
        self._folder = folder

    @property
    def ended(self) -> bool:
        """Whether it has been reaped."""
        return self._pidfd < 0

    def interrupt(self) -> None:
        """Ask the cell to stop (SIGINT)."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the process at once, without waiting."""
        self._signal(signal.SIGKILL)

    def reap(self) -> int:
        """Wait for the end of a killed process and free what it held.

        Blocks for milliseconds. No task may be waiting on the channel.

        Returns:
            The exit code, or minus the number of the signal that ended it; -SIGKILL if nobody can tell.
        """
        try:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            if poll.poll(_REAP_S * 1000):
                with suppress(LateError, CancelledError):
                    return self._status.result(_STATUS_S)
            return -signal.SIGKILL
        finally:
            pidfd, self._pidfd = self._pidfd, -1
            os.close(pidfd)
            self._socket.close()
            if self._folder is not None:
                remove(self._folder)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


def remove(folder: Path) -> None:
    """Remove a folder that a cell may have taken its own rights to away."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for path, folders, _ in os.walk(folder):
            for name in folders:
                if not (inner := Path(path, name)).is_symlink():
                    with suppress(OSError):
                        inner.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _pid(pidfd: int) -> int:
    with suppress(OSError), open(f"/proc/self/fdinfo/{pidfd}") as file:
        for line in file:
            if line.startswith("Pid:"):
                return int(line.split()[1])
    return 0
