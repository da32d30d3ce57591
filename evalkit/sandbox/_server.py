"""The fork server, as the host sees it: started by exec, asked over a socket, started again when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalkit.errors import SandboxError, one_line
from evalkit.sandbox._setup import command, environment, packages
from evalkit.sandbox.base import Tier

_START_S = 120.0
_FORK_S = 60.0
_END_S = 20.0

SYSTEM = (
    "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64",
    "/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/zoneinfo", "/usr/share/mime",
    "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/nix/store", "/gnu/store",
)  # fmt: skip
"""What Python and its libraries need besides their own folders."""


class ServerGone(SandboxError):
    """The fork server died; another one can be started."""


class ForkServer:
    """A fork server and the processes around it (see `guest.launch`).

    Args:
        tier: how its sessions are kept in.
        root: an empty folder for it; removed at the end, also when this process is killed.

    Attributes:
        details: mechanism to "yes" or to why it is missing; filled by `start`.
        pid: of the launcher.
        starts: servers started so far.
    """

    def __init__(self, tier: Tier, root: Path) -> None:
        self.details: dict[str, str] = {}
        self.starts = 0
        self._tier = tier
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None
        self._control: socket.socket | None = None
        self._ready: asyncio.Future[dict[str, str]] | None = None
        self._forks: dict[int, asyncio.Future[int]] = {}
        self._ends: dict[int, Future[int]] = {}
        self._count = 0
        self._lock = asyncio.Lock()
        self._closed = False

    @property
    def pid(self) -> int:
        """Of the launcher; 0 if there is none."""
        return self._process.pid if self._process else 0

    @property
    def isolates(self) -> bool:
        """Whether its sessions are kept away from the disk."""
        return self._tier is not Tier.T0

    @property
    def alone(self) -> bool:
        """Whether each of its sessions is the first process of a namespace of its own."""
        return self._tier is Tier.T1

    async def start(self) -> None:
        """Start a server if none runs.

        Raises:
            SandboxError: it cannot be, and why.
        """
        async with self._lock:
            if self._control is not None:
                return
            if self._closed:
                raise SandboxError("the sandbox is closed")
            host, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with guest:
                try:
                    await self._launch(guest)
                except BaseException:
                    host.close()
                    raise
            host.setblocking(False)
            loop = asyncio.get_running_loop()
            self._control, self._ready = host, loop.create_future()
            loop.add_reader(host.fileno(), self._read)
            try:
                async with asyncio.timeout(_START_S):
                    self.details = await self._ready
            except TimeoutError:
                self._drop()
                raise SandboxError(f"the fork server did not start within {_START_S:g} s") from None
            except BaseException:
                self._drop()
                raise
            self.starts += 1

    async def fork(self, fds: Sequence[int]) -> tuple[int, Future[int]]:
        """A new session's process.

        Args:
            fds: its end of a socket, and the file of its images if it has any; still the caller's.

        Returns:
            A descriptor of the process, and its exit status when it has ended (cancelled if that is lost).

        Raises:
            ServerGone: the server died meanwhile, or has none running.
            SandboxError: the system refuses another process.
        """
        if self._control is None:
            raise ServerGone("the fork server is not running")
        self._count += 1
        number = self._count
        forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._forks[number], self._ends[number] = forked, Future()
        try:
            socket.send_fds(self._control, [json.dumps({"id": number}).encode()], list(fds))
            async with asyncio.timeout(_FORK_S):
                return await forked, self._ends[number]
        except BaseException as error:
            self._ends.pop(number, None)
            # nobody waits for it any more: `_drop` must not tell it anything
            self._forks.pop(number, None)
            if forked.done() and not forked.cancelled() and forked.exception() is None:
                _discard(forked.result())
            if isinstance(error, TimeoutError):
                raise SandboxError("the fork server does not answer") from None
            if isinstance(error, OSError):
                self._drop()
                raise ServerGone(f"the fork server is gone: {one_line(error)}") from error
            raise
        finally:
            self._forks.pop(number, None)

    async def close(self) -> None:
        """End the server and every session; safe to call twice."""
        self._closed = True
        self._drop()
        lifeline, self._lifeline = self._lifeline, None
        process, self._process = self._process, None
        if lifeline is not None:
            lifeline.close()
        if process is not None:
            await asyncio.to_thread(_wait, process)

    async def _launch(self, control: socket.socket) -> None:
        """Hand a server's socket to the keeper, or start everything anew where there is none."""
        if self._process is not None and self._lifeline is not None:
            with suppress(OSError):
                if self._process.poll() is None:
                    config = json.dumps(self._config()).encode()
                    socket.send_fds(self._lifeline, [config], [control.fileno()])
                    return
            self._lifeline.close()
            await asyncio.to_thread(_wait, self._process)
        for folder in (self._root, self._root / "settings", self._root / "empty"):
            folder.mkdir(exist_ok=True)
            # A session's own user must be able to pass, whatever this process's umask.
            folder.chmod(0o711 if folder == self._root else 0o755)
        self._process, self._lifeline = await self._begin()
        config = json.dumps(self._config()).encode()
        with suppress(OSError):
            # If it has ended already, the control socket tells.
            socket.send_fds(self._lifeline, [config], [control.fileno()])

    async def _begin(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start a launcher: its process, and the host's end of its socket.

        Raises:
            SandboxError: it cannot be started.
        """
        host, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with guest:
            try:
                return await asyncio.to_thread(_spawn, self._root, guest.fileno()), host
            except OSError as error:
                host.close()
                raise SandboxError(f"cannot start a Python process: {one_line(error)}") from error

    def _config(self) -> dict[str, Any]:
        paths = packages()
        return {
            "tier": self._tier.value,
            "root": str(self._root),
            "settings": str(self._root / "settings"),
            "folder": str(self._root / "empty"),
            "packages": paths,
            "reads": [*SYSTEM, *_interpreter(), *paths],
            # A wheel holds the samples of the built-in tasks, with their answers.
            "hidden": [str(Path(__file__).parents[1])],
        }

    def _read(self) -> None:
        """Take in what the server says; on any doubt it is dropped."""
        assert self._control is not None
        try:
            message, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 4, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        if not message:
            self._drop()
            return
        said = json.loads(message)
        if self._ready is not None and not self._ready.done():
            if "ready" in said:
                self._ready.set_result(said["ready"])
            else:
                self._ready.set_exception(SandboxError(said["failed"]))
        elif "ended" in said:
            if (ended := self._ends.pop(said["ended"], None)) is not None:
                ended.set_result(said["status"])
        elif "id" in said:
            forked = self._forks.get(said["id"])
            if forked is None or forked.done():
                # Nobody waits for it any more.
                for fd in fds:
                    _discard(fd)
            elif fds:
                forked.set_result(fds[0])
            else:
                forked.set_exception(SandboxError(f"no process can be forked: {said['error']}"))

    def _drop(self) -> None:
        control, self._control = self._control, None
        if control is None:
            return
        asyncio.get_running_loop().remove_reader(control.fileno())
        control.close()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ServerGone("the fork server ended before it was ready"))
        for forked in self._forks.values():
            if not forked.done():
                forked.set_exception(ServerGone("the fork server died"))
        for ended in self._ends.values():
            ended.cancel()
        self._ends.clear()


def _discard(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)


def _interpreter() -> list[str]:
    """Folders of the standard library and of the libraries that came with the interpreter."""
    names = ("stdlib", "platstdlib")
    found = [sysconfig.get_path(name) for name in names] + [f"{sys.base_prefix}/lib", f"{sys.prefix}/lib"]
    # An entry of the library path that is no library folder could be anything.
    libraries = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if "lib" in Path(path).name]
    return [path for path in dict.fromkeys([*found, *libraries]) if os.path.isabs(path)]


def _spawn(root: Path, fd: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command("launch"), str(fd)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment(root, root),
        pass_fds=(fd,),
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
