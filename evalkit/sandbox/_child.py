"""Starting, interrupting and ending a session's process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from evalkit.images import ImageFile
from evalkit.sandbox._channel import Channel

_BOOT = """\
import sys
guest = type(sys)("evalkit_guest")
guest.__path__ = [sys.argv[1]]
sys.modules["evalkit_guest"] = guest
from evalkit_guest.session import main
main(int(sys.argv[2]))
"""
"""Makes the guest a package of its own: nothing else of evalkit gets onto the session's path."""

_GUEST = Path(__file__).parent / "guest"
# Interpreters of computing centres do not start without the library path.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_REAP_S = 30.0


class Child:
    """One session's process.

    Attributes:
        channel: everything the session says comes through it.
        images: the descriptors, as the process knows them, of the images it was given.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], connection: socket.socket, images: list[int], folder: Path
    ) -> None:
        self.channel = Channel(connection)
        self.images = images
        self._socket = connection
        self._process = process
        self._folder = folder

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
            _remove(self._folder)

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
        descriptors = [file.fileno() for file in files]
        folder = Path(tempfile.mkdtemp(prefix="session-", dir=root))
        failed.callback(shutil.rmtree, folder, ignore_errors=True)
        host, guest = socket.socketpair()
        always.enter_context(guest)
        failed.enter_context(host)
        host.setblocking(False)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, str(_GUEST), str(guest.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment(root, folder),
            pass_fds=(guest.fileno(), *descriptors),
            start_new_session=True,
        )
        failed.pop_all()
        return Child(process, host, descriptors, folder)


def environment(root: Path, folder: Path) -> dict[str, str]:
    """All environment variables of a session."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = dict.fromkeys(("HOME", "TMPDIR"), str(folder)) | dict.fromkeys(_THREADS, "1")
    # One folder for all sessions: matplotlib writes its list of fonts there, which takes it a second.
    return kept | own | {"LANG": "C.UTF-8", "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(root / "matplotlib")}


def packages() -> list[str]:
    """Folders a session may import from, besides the standard library.

    Those of installed packages, and those where this process finds the packages that cells use most.
    Found without importing anything, and without the host's working folder.
    """
    found = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    for name in ("PIL", "numpy", "matplotlib"):
        spec = importlib.util.find_spec(name)
        for path in (spec.submodule_search_locations if spec else None) or ():
            found.append(str(Path(path).parent))
    return list(dict.fromkeys(found))


def _file(data: bytes) -> IO[bytes]:
    """An unnamed file in memory, where the system has such a thing."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("image"), "wb")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.flush()
    return file


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        # A cell may have taken its own rights to a folder away.
        for path, folders, _ in os.walk(folder):
            for name in folders:
                if not (inner := Path(path, name)).is_symlink():
                    with suppress(OSError):
                        inner.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
