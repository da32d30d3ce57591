"""A workshop in a process of its own, asked and answered in bytes: what an actor holds."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import msgspec

from evalkit.errors import EngineUnavailableError, EvalkitError, one_line
from evalkit.images import ImageFile, warm_up
from evalkit.replicas.frame import decoded, encode, pack, unpack
from evalkit.replicas.parcel import Envelope, JobSent, Reply, answered, job_of, reader
from evalkit.runs.plan import weights_id
from evalkit.runs.searches import searches_for
from evalkit.runs.workshop import Opened, Order, Workshop
from evalkit.search import Line
from evalkit.version import __version__

_MOST_BYTES = 2**30
"""Of images that are kept for later jobs; those of running jobs come on top."""


class Commission(msgspec.Struct, frozen=True, kw_only=True):
    """What a host is told at its start.

    Attributes:
        order: what to run.
        folder: where paths of the order start from, if it is there.
    """

    order: Order
    folder: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says at its start.

    Attributes:
        evalkit: its version.
        python: its version, without the last part.
        host: name of the machine.
        pid: of the process.
        weights: see `weights_id`.
        searches: what each search tool asks.
        opened: what the workshop said; None where it could not start.
        error: why not.
    """

    evalkit: str = __version__
    python: str = msgspec.field(default_factory=lambda: ".".join(platform.python_version_tuple()[:2]))
    host: str = msgspec.field(default_factory=socket.gethostname)
    pid: int = msgspec.field(default_factory=os.getpid)
    weights: str = ""
    searches: dict[str, Any] = {}
    opened: Opened | None = None
    error: str = ""

    @property
    def mark(self) -> dict[str, Any]:
        """What all replicas of a run must have in common."""
        opened = self.opened
        engine = {key: value for key, value in opened.engine.items() if key != "device"} if opened else {}
        sandbox = {key: value for key, value in opened.sandbox.items() if key in ("kind", "limits")} if opened else {}
        return {
            "evalkit": self.evalkit,
            "python": self.python,
            "weights": self.weights,
            "engine": engine,
            "sandbox": sandbox,
            "search": self.searches,
        }


class _Gathered:
    """Searches by the job that made them: see `evalkit.search.Recorder`."""

    def __init__(self) -> None:
        self.lines: ContextVar[list[Line]] = ContextVar("lines")

    async def write(self, line: Line) -> None:
        self.lines.get([]).append(line)


class _Kept:
    """The latest images, by digest."""

    def __init__(self) -> None:
        self._images: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def put(self, digest: str, data: bytes) -> None:
        if digest in self._images:
            return
        self._images[digest] = data
        self._size += len(data)
        while self._size > _MOST_BYTES and len(self._images) > 1:
            self._size -= len(self._images.popitem(last=False)[1])

    def get(self, digest: str) -> bytes | None:
        if digest in self._images:
            self._images.move_to_end(digest)
        return self._images.get(digest)


class Host:
    """Runs trajectories for evalkit on another machine, or in another process of this one."""

    def __init__(self) -> None:
        self._kept = _Kept()
        self._gathered = _Gathered()
        self._opened = contextlib.AsyncExitStack()
        self._workshop: Workshop | None = None

    async def ready(self) -> int:
        """That it is there: the process."""
        return os.getpid()

    async def start(self, commission: bytes) -> bytes:
        """Start what runs trajectories; a `Told`."""
        told = Told()
        try:
            asked = decoded(commission, Commission)
            with contextlib.suppress(OSError):
                os.chdir(asked.folder)
            warm_up()
            order: Order = asked.order
            searches = searches_for(order.card, order.search, order.image_search, self._gathered)
            self._opened.push_async_callback(searches.close)
            workshop = Workshop(order, searches)
            self._opened.push_async_callback(workshop.close)
            await searches.start()
            opened = await workshop.start()
            self._workshop = workshop
            told = Told(weights=weights_id(order.card), searches=searches.facts, opened=opened)
        except EvalkitError as error:
            told = Told(error=one_line(error, 2000))
        except Exception as error:
            # a library's own failure must reach the user, not only this machine's log
            told = Told(error=f"{type(error).__name__}: {one_line(error, 2000)}")
        return encode(told)

    async def keep(self, frame: bytes) -> None:
        """Images for later jobs."""
        head, blobs = unpack(frame)
        self._keep(msgspec.json.decode(head, type=tuple[str, ...]), blobs)

    async def run(self, frame: bytes) -> bytes:
        """One trajectory; a `Reply`."""
        try:
            return await self._run(frame)
        except EngineUnavailableError as error:
            return _said(gone=one_line(error, 1000))
        except EvalkitError as error:
            return _said(failed=one_line(error, 1000))
        except Exception as error:
            return _said(failed=f"{type(error).__name__}: {one_line(error, 1000)}")

    async def close(self) -> None:
        """Free everything; safe to call twice."""
        self._workshop = None
        await self._opened.aclose()

    async def _run(self, frame: bytes) -> bytes:
        workshop = self._workshop
        if workshop is None:
            raise EngineUnavailableError("the replica is not started, or closed already")
        head, blobs = unpack(frame)
        envelope = msgspec.json.decode(head, type=Envelope)
        self._keep(envelope.blobs, blobs)
        there = {digest: self._kept.get(digest) for digest in envelope.images}
        # a cache of one job's images may be too small for the job
        there |= {digest: bytes(blob) for digest, blob in zip(envelope.blobs, blobs, strict=True)}
        if lacking := tuple(digest for digest, data in there.items() if data is None):
            return _said(lacking=lacking)
        names = msgspec.json.decode(envelope.job, type=_Names).names
        made = {digest: data for digest, data in there.items() if data is not None}
        sent: JobSent = reader(
            lambda header: ImageFile.from_bytes(made[header.sha256], names.get(header.sha256, "image"), header)
        )(envelope.job, JobSent)
        lines: list[Line] = []
        self._gathered.lines.set(lines)
        trajectory = await workshop.run(job_of(sent))
        return answered(trajectory, lines, envelope.images)

    def _keep(self, digests: Iterable[str], blobs: Iterable[memoryview]) -> None:
        for digest, blob in zip(digests, blobs, strict=True):
            self._kept.put(digest, bytes(blob))


class _Names(msgspec.Struct, frozen=True):
    names: dict[str, str]


def _said(**what: Any) -> bytes:
    return pack(encode(Reply(now=time.time(), **what)))
