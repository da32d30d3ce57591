"""Starting, interrupting and ending a session's process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from evalkit.images import ImageFile
from evalkit.sandbox._channel import Channel
from evalkit.sandbox._forked import remove
from evalkit.sandbox._setup import command, environment

_REAP_S = 30.0


class Child:
    """One session's process.

    Attributes:
        channel: everything the session says comes through it.
        images: descriptor in the process, offset and length in bytes of each image it was given.
    """

    reason = ""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        connection: socket.socket,
        images: list[tuple[int, int, int]],
        folder: Path,
    ) -> None:
        self.channel = Channel(connection)
        self.images = images
        self._socket = connection
        self._process = process
        self._folder = folder

    def left(self) -> bool:
        """Whether its end can be looked into; it cannot."""
        return False

    def blame(self, code: int) -> str:
        """A process of the same user may have been ended by its own code: it is never said to be another's doing."""
        return ""

    def interrupt(self) -> None:
        """Ask the cell to stop (SIGINT)."""
        self._signal(signal.SIGINT, group=False)

    def kill(self) -> None:
        """End the process and what it started; at once, without waiting."""
        self._signal(signal.SIGKILL, group=True)

    def reap(self) -> int:
        """Wait for the end of a killed process, close its socket and remove its folder.

        Blocks for milliseconds. No task may be waiting on the channel.

        Returns:
            The exit code, or minus the number of the signal that ended it.
        """
        try:
            return self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            # Stuck in the kernel, e.g. on a dead network disk: there is nothing more to be done.
            return -signal.SIGKILL
        finally:
            self._socket.close()
            remove(self._folder)

    def _signal(self, number: signal.Signals, group: bool) -> None:
        # Before `wait` the process id cannot belong to another process, even if it has ended.
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(self._process.pid, number)


def start(root: Path, images: Sequence[ImageFile]) -> Child:
    """Start a process in a new folder under `root`; blocks for milliseconds.

    Raises:
        DataError: an image cannot be read.
        OSError: no process, folder or descriptor can be had.
    """
    with ExitStack() as failed, ExitStack() as always:
        files = [always.enter_context(_file(image.read())) for image in images]
        placed = [(file.fileno(), 0, file.tell()) for file in files]
        folder = Path(tempfile.mkdtemp(prefix="session-", dir=root))
        failed.callback(shutil.rmtree, folder, ignore_errors=True)
        host, guest = socket.socketpair()
        always.enter_context(guest)
        failed.enter_context(host)
        host.setblocking(False)
        process = subprocess.Popen(
            [*command("session"), str(guest.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment(root, folder),
            pass_fds=(guest.fileno(), *(fd for fd, _, _ in placed)),
            start_new_session=True,
        )
        failed.pop_all()
        return Child(process, host, placed, folder)


def _file(data: bytes) -> IO[bytes]:
    """An unnamed file in memory, where the system has such a thing."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("image"), "wb")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.flush()
    return file
