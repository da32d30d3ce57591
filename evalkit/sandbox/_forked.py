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
_LEAVES_S = 1.0


class Forked:
    """One session's process.

    Args:
        pidfd: of the process; closed by `reap`.
        status: set to how it ended, or cancelled when nobody can tell.
        connection: the host's end of its socket; closed by `reap`.
        folder: its own, removed by `reap`.
        alone: whether it is the first process of a namespace of its own, which nothing in it can kill.

    Attributes:
        channel: everything the session says comes through it.
        reason: why the sandbox ended it, if it did.
        pid: as this process sees it, 0 if it cannot be told.
    """

    def __init__(
        self,
        pidfd: int,
        status: Future[int],
        connection: socket.socket,
        folder: Path | None = None,
        alone: bool = False,
    ) -> None:
        self.channel = Channel(connection)
        self.reason = ""
        self.pid = _pid(pidfd)
        self._pidfd = pidfd
        self._status = status
        self._socket = connection
        self._folder = folder
        self._alone = alone
        self._told = True

    @property
    def ended(self) -> bool:
        """Whether it has been reaped."""
        return self._pidfd < 0

    def left(self) -> bool:
        """Whether a process that hung up has ended, which shows a little later than its socket; blocks till then."""
        return _ended(self._pidfd, _LEAVES_S)

    def blame(self, code: int) -> str:
        """Why the end of a process that nobody here ended was not its own doing; empty where it was.

        Args:
            code: what `reap` gave.
        """
        if not self._told:
            return "ended when the fork server was gone, and nobody can tell why"
        if self._alone and code == -signal.SIGKILL:
            return "was killed from outside, as a machine does that runs out of memory"
        return ""

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
            if _ended(self._pidfd, _REAP_S):
                with suppress(LateError, CancelledError):
                    return self._status.result(_STATUS_S)
            self._told = False
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


def _ended(pidfd: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(wait_s * 1000))


def _pid(pidfd: int) -> int:
    with suppress(OSError), open(f"/proc/self/fdinfo/{pidfd}") as file:
        for line in file:
            if line.startswith("Pid:"):
                return int(line.split()[1])
    return 0
