"""One replica as the run sees it: where it is, what it has had, and one try of a trajectory."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from evalkit.engines.limiter import Limiter
from evalkit.engines.pool import MovedError
from evalkit.errors import EngineUnavailableError, EvalkitError, InfrastructureError, one_line
from evalkit.records import Trajectory
from evalkit.replicas.cluster import Cluster, GoneError
from evalkit.replicas.frame import encode, pack
from evalkit.replicas.host import Told
from evalkit.replicas.parcel import Parcel, content, replied
from evalkit.replicas.room import Ask
from evalkit.search import Line
from evalkit.version import __version__

_TRIES = 2


class LateError(GoneError):
    """It was asked of a process that has been replaced since."""


class Replica:
    """One replica.

    Args:
        index: from 0.
        cluster: where it is.
        ask: what it needs.
        commission: what it is told at its start.
        most: trajectories that it runs at once.
        limit_s: how long its process may take to be there.

    Attributes:
        name: in messages.
        node: where it is.
        limiter: slots at it.
        up: whether work is sent to it; the pool decides.
        failures: since the last success.
        ran: trajectories that came back.
        starts: of its process.
        sent_bytes: of images and jobs.
        mark: what it must say of itself, once that is known.
    """

    def __init__(self, index: int, cluster: Cluster, ask: Ask, commission: bytes, most: int, limit_s: float) -> None:
        self.index = index
        self.name = f"replica {index}"
        self.node = ""
        self.limiter = Limiter(most)
        self.up = True
        self.failures = 0
        self.ran = 0
        self.starts = 0
        self.sent_bytes = 0
        self.mark: dict[str, Any] | None = None
        self._cluster = cluster
        self._ask = ask
        self._commission = commission
        self._limit_s = limit_s
        self._sent: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> Told:
        """Start its process and all that is in it.

        Raises:
            InfrastructureError: it could not be started, or does not get ready.
            EvalkitError: something that it needs is not on its node.
            EngineUnavailableError: the cluster is gone.
        """
        self.starts += 1
        self._sent = {}
        try:
            self.node = await self._cluster.place(self.index, self._ask, self._limit_s)
            self.name = f"replica {self.index} on {self.node}"
            answer = await self._cluster.call(self.index, "start", self._commission)
        except GoneError as error:
            raise InfrastructureError(f"{self.name} does not start: {one_line(error, 400)}") from None
        try:
            told = msgspec.json.decode(answer, type=Told)
        except msgspec.MsgspecError:
            raise EvalkitError(f"{self.name} differs from this machine: it has another version of evalkit") from None
        if told.error:
            if told.evalkit != __version__:
                # most likely why it understood nothing
                raise EvalkitError(f"{self.name} differs from this machine: evalkit {told.evalkit}, not {__version__}")
            raise EvalkitError(f"{self.name}: {told.error}")
        return told

    async def check(self) -> None:
        """Start it anew; see `Member.check`."""
        told = await self.open()
        if self.mark is not None and told.mark != self.mark:
            raise EngineUnavailableError(f"{self.name} came back as another: {differing(told.mark, self.mark)}")

    async def run(self, parcel: Parcel) -> tuple[Trajectory, list[Line]]:
        """One try.

        Raises:
            MovedError: it was taken out while the job waited for a slot.
            GoneError: its process is gone, or its engine.
            EngineUnavailableError: the cluster is gone.
            EvalkitError: the run must end.
        """
        await self.limiter.acquire()
        try:
            if not self.up:
                raise MovedError
            start = self.starts
            try:
                return await self._run(parcel)
            except GoneError as error:
                raise LateError(str(error)) if start != self.starts else error from None
        finally:
            self.limiter.release()

    async def _run(self, parcel: Parcel) -> tuple[Trajectory, list[Line]]:
        for _ in range(_TRIES):
            await asyncio.gather(*(self._send(parcel, digest) for digest in parcel.images))
            reply, blobs = await self._call(parcel.frame())
            if not reply.lacking:
                break
            for digest in reply.lacking:
                self._sent.pop(digest, None)
        else:
            whole = {digest: await content(image) for digest, image in parcel.images.items()}
            reply, blobs = await self._call(parcel.frame(whole))
        if reply.gone:
            raise GoneError(reply.gone)
        if reply.failed:
            raise InfrastructureError(f"{self.name}: {reply.failed}")
        self.ran += 1
        return parcel.opened(reply, blobs)

    async def _call(self, frame: bytes) -> Any:
        self.sent_bytes += len(frame)
        return replied(await self._cluster.call(self.index, "run", frame))

    async def _send(self, parcel: Parcel, digest: str) -> None:
        """See to it that the replica has an image; several jobs send it once."""
        if (sending := self._sent.get(digest)) is None:
            sending = self._sent[digest] = asyncio.create_task(self._keep(parcel, digest))
            sending.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.shield(sending)
        except BaseException:
            if sending.done() and self._sent.get(digest) is sending:
                del self._sent[digest]
            raise

    async def _keep(self, parcel: Parcel, digest: str) -> None:
        data = await content(parcel.images[digest])
        self.sent_bytes += len(data)
        await self._cluster.call(self.index, "keep", pack(encode((digest,)), [data]))


def differing(told: dict[str, Any], expected: dict[str, Any]) -> str:
    """In what two replicas differ, in words."""
    from evalkit.runs.plan import flat

    a, b = dict(flat(told)), dict(flat(expected))
    keys = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
    return "; ".join(f"{key} {one_line(a.get(key), 80)}, not {one_line(b.get(key), 80)}" for key in keys[:4])
