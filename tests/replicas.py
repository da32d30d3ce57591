"""A cluster in this process: hosts as replicas have them, which a test can kill."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from evalkit.errors import EngineUnavailableError
from evalkit.replicas.cluster import GoneError
from evalkit.replicas.host import Host
from evalkit.replicas.room import Ask, Node


class FakeCluster:
    """Hosts in this process; `kill` ends one as a dead process would, with all that is asked of it.

    Attributes:
        running: by replica, trajectories that are there now.
        most: by replica, the most that were there at once.
        frames: by replica, what was asked of it, as (method, length).
        ran: ids of samples by replica, in order of start.
        at_run: awaited when a trajectory begins, with the replica and its frame.
        told: changes what a replica says at its start.
    """

    def __init__(self, *nodes: Node) -> None:
        self.nodes = list(nodes) or [Node(name="a", cpus=8), Node(name="b", cpus=8)]
        self.running: dict[int, int] = {}
        self.most: dict[int, int] = {}
        self.frames: dict[int, list[tuple[str, int]]] = {}
        self.hosts: dict[int, Host] = {}
        self.placed: list[tuple[int, Ask]] = []
        self.full = False
        self.lost = ""
        self.closed = False
        self._ends: dict[int, asyncio.Future[None]] = {}
        self._home = Path.cwd()

        async def nothing(replica: int, frame: bytes) -> None:
            pass

        self.at_run: Callable[[int, bytes], Awaitable[None]] = nothing
        self.told: Callable[[int, bytes], bytes] = lambda replica, told: told

    async def open(self) -> list[Node]:
        return self.nodes

    async def place(self, replica: int, ask: Ask, limit_s: float) -> str:
        self._there()
        if self.full:
            raise GoneError("no machine of the cluster had room")
        if replica in self.hosts:
            await self.kill(replica)
        self.placed.append((replica, ask))
        self.hosts[replica] = Host()
        self._ends[replica] = asyncio.get_running_loop().create_future()
        return self.nodes[replica % len(self.nodes)].name

    async def call(self, replica: int, method: str, data: bytes) -> bytes:
        self._there()
        host, end = self.hosts.get(replica), self._ends[replica]
        if host is None:
            raise GoneError("its process ended")
        self.frames.setdefault(replica, []).append((method, len(data)))
        work = asyncio.create_task(self._work(host, replica, method, data))
        await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
        if end.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            self._there()
            raise GoneError("its process ended")
        return work.result()

    async def kill(self, replica: int) -> None:
        """End its process."""
        host = self.hosts.pop(replica)
        self._ends[replica].set_result(None)
        await host.close()

    async def lose(self) -> None:
        """End the cluster."""
        self.lost = "the cluster is gone; run the same command again"
        for replica in list(self.hosts):
            await self.kill(replica)

    async def close(self) -> None:
        self.closed = True
        for replica in list(self.hosts):
            await self.kill(replica)
        os.chdir(self._home)

    async def _work(self, host: Host, replica: int, method: str, data: bytes) -> bytes:
        if method != "run":
            done = await getattr(host, method)(data)
            return self.told(replica, done) if method == "start" else done or b""
        self.running[replica] = self.running.get(replica, 0) + 1
        self.most[replica] = max(self.most.get(replica, 0), self.running[replica])
        try:
            await self.at_run(replica, data)
            return await host.run(data)
        finally:
            self.running[replica] -= 1

    def _there(self) -> None:
        if self.lost:
            raise EngineUnavailableError(self.lost)
