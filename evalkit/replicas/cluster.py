"""The cluster as the run sees it: Ray, driven by a process of its own.

Ray ends the process that drives it when the cluster's head is lost, takes over its signals and its standard output,
and hands on objects as pickles. So evalkit's own process never loads it: a helper does, and when that ends, the run
ends with one line, everything finished stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import msgspec

from evalkit.errors import EngineUnavailableError, EvalkitError, InfrastructureError, one_line
from evalkit.replicas.folder import LOG, last_words, own_folder
from evalkit.replicas.frame import encode, pack, read, unpack, write
from evalkit.replicas.room import Ask, Node

_OPEN_S = 120.0
_CLOSE_S = 30.0
_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # below `uv run` Ray would send the working directory to all machines, and install there
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


class GoneError(Exception):
    """The replica's process is gone, and with it what it was asked."""


class Cluster(Protocol):
    """Where replicas are; `open` before all else, `close` at the end."""

    async def open(self) -> list[Node]:
        """Reach it; its nodes.

        Raises:
            EvalkitError: it cannot be reached or used, and what to do about it.
        """
        ...

    async def place(self, replica: int, ask: Ask, limit_s: float) -> str:
        """Start the process of a replica, in place of the one it had; the node that it is on.

        Raises:
            GoneError: it could not be started in that time; another try may succeed.
            EngineUnavailableError: the cluster is gone.
        """
        ...

    async def call(self, replica: int, method: str, data: bytes) -> bytes:
        """Ask a replica.

        Raises:
            GoneError: its process is gone.
            EngineUnavailableError: the cluster is gone.
        """
        ...

    async def close(self) -> None:
        """End all replicas; safe to call twice."""
        ...


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question to the helper, or its answer.

    Attributes:
        id: the answer has the question's.
        what: "open", "place", "call" or "close".
        replica: which one.
        method: of the replica, for "call".
        ask: what it needs, for "place".
        limit_s: how long that may take.
        settings: for "open".
        nodes: of the cluster, in the answer to "open".
        node: in the answer to "place".
        gone: the replica's process is gone, and why.
        refused: why it cannot be done at all.
    """

    id: int
    what: str = ""
    replica: int = 0
    method: str = ""
    ask: Ask | None = None
    limit_s: float = 0.0
    settings: Settings | None = None
    nodes: tuple[Node, ...] = ()
    node: str = ""
    gone: str = ""
    refused: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster.

    Attributes:
        address: of its head; empty for one of evalkit's own, on this machine.
        folder: for its files and its log; removed at the end.
        replicas: wanted; None for as many as fit.
    """

    address: str
    folder: str
    replicas: int | None


class RayCluster:
    """A Ray cluster: one that runs already, or one of evalkit's own on this machine.

    Args:
        address: of its head; None for one of evalkit's own.
        replicas: see `Settings`.
    """

    def __init__(self, address: str | None, replicas: int | None) -> None:
        self._address = address
        self._replicas = replicas
        self._folder: Path | None = None
        self._hold = -1
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._ids = count()
        self._waiting: dict[int, asyncio.Future[tuple[Asked, bytes]]] = {}
        self._open = False
        self._lost = ""

    @property
    def name(self) -> str:
        """In messages."""
        return f"the Ray cluster at {self._address}" if self._address else "evalkit's own Ray on this machine"

    async def open(self) -> list[Node]:
        """See `Cluster`."""
        if self._address is not None:
            await _answers(self._address)
        self._folder, self._hold = own_folder()
        ours, theirs = socket.socketpair()
        with theirs, (self._folder / LOG).open("wb") as log:
            command = [sys.executable, "-P", "-m", "evalkit.replicas.helper", str(theirs.fileno())]
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno(), self._hold],
                # a Ctrl-C is evalkit's to take
                start_new_session=True,
                env={**os.environ, **_VARIABLES, **({} if self._address else _own_ray())},
            )
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(reader))
        settings = Settings(address=self._address or "", folder=str(self._folder), replicas=self._replicas)
        try:
            async with asyncio.timeout(_OPEN_S):
                answer, _ = await self._ask(Asked(id=next(self._ids), what="open", settings=settings))
        except TimeoutError:
            raise InfrastructureError(f"{self.name} does not answer within {_OPEN_S:g} s") from None
        except EngineUnavailableError as error:
            # what could not be reached at the start is no run's end
            raise InfrastructureError(str(error)) from None
        self._open = True
        return list(answer.nodes)

    async def place(self, replica: int, ask: Ask, limit_s: float) -> str:
        """See `Cluster`."""
        answer, _ = await self._ask(Asked(id=next(self._ids), what="place", replica=replica, ask=ask, limit_s=limit_s))
        return answer.node

    async def call(self, replica: int, method: str, data: bytes) -> bytes:
        """See `Cluster`."""
        asked = Asked(id=next(self._ids), what="call", replica=replica, method=method)
        return (await self._ask(asked, data))[1]

    async def close(self) -> None:
        """See `Cluster`."""
        process, self._process = self._process, None
        if process is not None and not self._open:
            # it may be in the middle of what it cannot be called back from
            process.kill()
        elif process is not None:
            with contextlib.suppress(EvalkitError, GoneError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._ask(Asked(id=next(self._ids), what="close"))
        self._lost = self._lost or "the replicas are not started, or closed already"
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if process is not None:
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            # what Ray has left of its own cluster: all of it is in the helper's group
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            os.close(self._hold)
            self._folder = None

    async def _ask(self, asked: Asked, data: bytes = b"") -> tuple[Asked, bytes]:
        if self._lost or self._writer is None:
            raise EngineUnavailableError(self._lost or "the replicas are not started")
        future: asyncio.Future[tuple[Asked, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[asked.id] = future
        try:
            async with self._writing:
                await write(self._writer, pack(encode(asked), [data]))
            answer, found = await future
        except OSError:
            # the reading side says why
            answer, found = await future
        finally:
            self._waiting.pop(asked.id, None)
        if answer.gone:
            raise GoneError(answer.gone)
        if answer.refused:
            raise InfrastructureError(answer.refused)
        return answer, found

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head, (data,) = unpack(await read(reader))
                answer = msgspec.json.decode(head, type=Asked)
                future = self._waiting.get(answer.id)
                if future is not None and not future.done():
                    future.set_result((answer, bytes(data)))
        except EOFError:
            pass
        finally:
            words = last_words(self._folder)
            self._lost = self._lost or f"{self.name} is gone{words}; run the same command again"
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(EngineUnavailableError(self._lost))


async def _answers(address: str) -> None:
    """See whether somebody is at an address at all: Ray itself takes a minute to find out.

    Raises:
        EvalkitError: it is no address of a cluster that evalkit could use.
        InfrastructureError: nobody is there.
    """
    if address == "auto":
        return
    if "://" in address:
        raise EvalkitError(
            f"--ray {one_line(address, 80)}: evalkit runs on a machine of the cluster; give the head's own HOST:PORT, "
            "or auto"
        )
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise EvalkitError(f"--ray {one_line(address, 80)}: write HOST:PORT (as ray start prints it) or auto")
    try:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, OverflowError, TimeoutError) as error:
        why = one_line(getattr(error, "strerror", None) or error or "it does not answer", 100)
        raise InfrastructureError(f"--ray {one_line(address, 80)}: no Ray cluster is there ({why})") from None
    writer.close()


def _own_ray() -> dict[str, str]:
    """For a Ray of evalkit's own: on the loopback, whatever system it is, and with a token.

    Without that token Ray would leave one in the user's home.
    """
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def answer_of(asked: Asked, **what: Any) -> Asked:
    """The answer to a question."""
    return Asked(id=asked.id, **what)
