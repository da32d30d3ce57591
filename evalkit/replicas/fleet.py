"""A run's replicas: the same to its scheduler as the workshop of this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec

from evalkit.agents import Agent
from evalkit.engines.base import Completion, Request
from evalkit.engines.pool import MovedError, Pool
from evalkit.errors import DataError, EngineUnavailableError, EvalkitError, one_line
from evalkit.records import StopReason, Trajectory
from evalkit.replicas.cluster import Cluster, GoneError
from evalkit.replicas.frame import encode
from evalkit.replicas.host import Commission, Told
from evalkit.replicas.parcel import Parcel, packed
from evalkit.replicas.replica import LateError, Replica, differing
from evalkit.replicas.room import asked_of, wanted
from evalkit.runs.arms import Arms, Job
from evalkit.runs.plan import weights_id
from evalkit.runs.searches import Searches
from evalkit.runs.workshop import Opened, Order, Workshop

_DEATHS = 3
"""Times that a trajectory may be at a replica that dies before it counts as the cause."""
_PLACE_S = 90.0
_OUTAGE_S = 120.0
_STARTS = 3
"""Times a replica's own start that the run waits while none is there."""
_BACKOFF_S = 0.5


class Fleet:
    """Runs trajectories on replicas; see `Workshop`, whose place it takes.

    A sample's trajectories go where the first of them went, so that prompts and images are found in the caches there.
    What was at a replica that dies is run again. A trajectory that has been there twice runs beside no other such one,
    so that of several the one that is to blame is found.

    Args:
        order: what to run.
        searches: of this process; what replicas search is recorded through them.
        cluster: where the replicas are.
        replicas: how many; None for as many as fit.
        say: shows one line to the user.

    Attributes:
        replicas: how many there are, once started.
        tools: that the agent is offered.

    Raises:
        EvalkitError: something that the order names is not known.
    """

    def __init__(
        self,
        order: Order,
        searches: Searches,
        cluster: Cluster,
        replicas: int | None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.order = order
        self.replicas = replicas or 1
        self._asked = replicas
        self._searches = searches
        self._cluster = cluster
        self._say = say
        self._plan = Workshop(order, searches, _Elsewhere())
        self.tools = self._plan.tools
        self._members: list[Replica] = []
        self._pool: Pool[Replica] | None = None
        self._alone = asyncio.Lock()

    @property
    def agent(self) -> Agent:
        """As the replicas have it, with an engine that is not here."""
        return self._plan.agent

    @property
    def arms(self) -> Arms:
        """See `Workshop.arms`."""
        return self._plan.arms

    async def start(self, status: Callable[[str], AbstractContextManager[object]] = nullcontext) -> Opened:
        """Start all replicas; see `Workshop.start`.

        Raises:
            EvalkitError: one does not start, they do not fit on the cluster, or they differ.
        """
        with status("reaching the cluster"):
            nodes = await self._cluster.open()
        card, settings = self.order.card, self.order.settings
        ask = asked_of(card, settings, nodes, self._asked)
        self.replicas = wanted(ask, nodes, self._asked)
        commission = encode(Commission(order=self.order, folder=os.getcwd()))
        self._members = [
            Replica(index, self._cluster, ask, commission, settings.concurrency, _PLACE_S)
            for index in range(self.replicas)
        ]
        begun = time.monotonic()
        with status(f"starting {self.replicas} replicas of {card.name} ({card.engine}), {ask} each"):
            told = await self._start_all()
        outage_s = max(_OUTAGE_S, _STARTS * (time.monotonic() - begun))
        opened = self._agreed(told)
        self._plan.furnish(opened.engine)
        self._pool = Pool(self._members, outage_s, _BACKOFF_S, "replica", "look after the cluster")
        return opened

    async def run(self, job: Job) -> Trajectory:
        """One trajectory, wherever there is room.

        Raises:
            EngineUnavailableError: no trajectory can go on.
            InfrastructureError: its searches cannot be recorded.
        """
        begun = time.time()
        try:
            parcel = await packed(job)
            return await self._run(job, parcel)
        except DataError as problem:
            # as the agent itself would have said it
            return Trajectory(
                prompt=job.sample.question,
                stop=StopReason.DATA_ERROR,
                error=one_line(problem),
                started_at=begun,
                total_s=time.time() - begun,
            )

    async def warm_up(self, job: Job) -> None:
        """See `Workshop.warm_up`: every replica gets it."""
        with contextlib.suppress(DataError):
            parcel = await packed(job)
            await asyncio.gather(
                *(replica.run(parcel) for replica in self._members if replica.up), return_exceptions=True
            )

    def facts(self) -> dict[str, Any]:
        """Of each replica: where it is now, what it ran, and how often it was started anew."""
        return {
            "replicas": [
                {
                    "node": replica.node,
                    "trajectories": replica.ran,
                    "restarts": max(0, replica.starts - 1),
                    "most_at_once": replica.limiter.peak,
                    "sent_mb": round(replica.sent_bytes / 1e6, 3),
                }
                for replica in self._members
            ]
        }

    async def close(self) -> None:
        """End all replicas; safe to call twice."""
        pool, self._pool = self._pool, None
        try:
            if pool is not None:
                await pool.close()
        finally:
            try:
                await self._cluster.close()
            finally:
                await self._plan.close()

    async def _run(self, job: Job, parcel: Parcel) -> Trajectory:
        pool, deaths, why = self._pool, 0, ""
        if pool is None:
            raise EngineUnavailableError("the replicas are not started, or closed already")
        while deaths < _DEATHS:
            replica = await pool.place(job.sample.id, next(iter(parcel.images), ""))
            try:
                async with self._alone if deaths > 1 else nullcontext():
                    trajectory, lines = await replica.run(parcel)
            except MovedError:
                continue
            except GoneError as error:
                deaths, why = deaths + 1, f"{replica.name}: {error}"
                if not isinstance(error, LateError):
                    if replica.up:
                        self._say(f"{replica.name} is gone ({one_line(error, 200)}); its trajectories are run again")
                    pool.failed(replica, error, gone=True)
                continue
            pool.succeeded(replica)
            for line in lines:
                await self._searches.record(line)
            return trajectory
        return Trajectory(
            prompt=job.sample.question,
            stop=StopReason.ENGINE_ERROR,
            error=f"{deaths} replicas were lost while they ran it, the last: {one_line(why, 200)}",
            started_at=time.time(),
        )

    async def _start_all(self) -> list[Told]:
        opening = [asyncio.create_task(replica.open()) for replica in self._members]
        try:
            return list(await asyncio.gather(*opening))
        finally:
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)

    def _agreed(self, told: list[Told]) -> Opened:
        """What all replicas are, if it is the same.

        Raises:
            EvalkitError: it is not.
        """
        here = Told(weights=weights_id(self.order.card), searches=self._searches.facts)
        own = {name: value for name, value in here.mark.items() if name not in ("engine", "sandbox")}
        for replica, one in zip(self._members, told, strict=True):
            said = {name: one.mark[name] for name in own}
            if said != own:
                raise EvalkitError(f"{replica.name} differs from this machine: {differing(said, own)}")
            if one.mark != told[0].mark:
                raise EvalkitError(
                    f"{replica.name} differs from {self._members[0].name}: {differing(one.mark, told[0].mark)}"
                )
            replica.mark = told[0].mark
        opened = [one.opened for one in told if one.opened is not None]
        # one that does not isolate speaks for all
        weakest = min(opened, key=lambda each: each.capabilities is None or each.capabilities.isolated)
        return msgspec.structs.replace(weakest, engine=opened[0].engine)


class _Elsewhere:
    """The engine that a fleet's own agent has: none."""

    async def start(self) -> dict[str, Any]:
        raise EngineUnavailableError("the engine runs in replicas")

    async def generate(self, request: Request) -> Completion:
        raise EngineUnavailableError("the engine runs in replicas")

    async def close(self) -> None:
        pass
