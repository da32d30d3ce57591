"""The local sandbox: sessions forked from one server that has imported everything, each isolated on its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

import msgspec

from evalkit.errors import EvalkitError, SandboxError, one_line
from evalkit.images import ImageFile
from evalkit.sandbox._forked import Forked
from evalkit.sandbox._images import sealed
from evalkit.sandbox._memory import MemoryWatch
from evalkit.sandbox._probe import Probe
from evalkit.sandbox._server import ForkServer, ServerGone
from evalkit.sandbox._session import GuestSession
from evalkit.sandbox._setup import setup_frame
from evalkit.sandbox._shared import Pixels, Place, SharedImages
from evalkit.sandbox.base import Capabilities, Limits, SessionSpec, Tier
from evalkit.sandbox.guest import wire
from evalkit.sandbox.process import ProcessSandbox

_START_S = 60.0
_TRIES = 3
DECODE = b"print(image_1.mode, end=''); image_1"
_MEND = (
    "run evalkit in a container or virtual machine whose kernel allows user namespaces or landlock, "
    "or accept that the model's code can do what you can: --unsafe-no-isolation"
)


class LocalSandbox:
    """Sessions of a fork server on this machine, in the best tier that holds here.

    Args:
        limits: of sessions that name none.
        tier: take this tier or fail; None takes the best that holds.
        allow_unisolated: run code without isolation (T0) where neither T1 nor T2 holds.
        memory_mb: all sessions together; beyond it the largest is ended. None takes three quarters of what is
            free at the start.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        tier: Tier | None = None,
        allow_unisolated: bool = False,
        memory_mb: int | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._wanted = tier
        self._allow_unisolated = allow_unisolated
        self._server: ForkServer | None = None
        self._folder: Path | None = None
        self._fallback: ProcessSandbox | None = None
        self._capabilities: Capabilities | None = None
        self._sessions: set[GuestSession] = set()
        self._memory = MemoryWatch(memory_mb)
        self._applied: list[str] = []
        # More starts at once only make each of them slower.
        threads = max(4, 2 * (os.cpu_count() or 1))
        self._starts = asyncio.Semaphore(threads)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="sandbox")
        self._shared = SharedImages(self._decode, self._executor)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> Capabilities:
        """Find the best tier that holds, by attacking it from the inside, and keep its server.

        Raises:
            EvalkitError: none does, and code may not run without isolation.
        """
        if self._capabilities is None:
            try:
                self._capabilities = await self._choose()
            except BaseException:
                await self.close()
                raise
            self._memory.start()
        return self._capabilities

    async def open(self, spec: SessionSpec) -> GuestSession:
        """A new session; its process is forked at its first cell. Waits while the sessions use too much memory.

        Raises:
            SandboxError: the sandbox is not started, or closed.
        """
        if self._fallback is not None:
            return await self._fallback.open(spec)
        if self._capabilities is None:
            raise SandboxError("the sandbox is not started")
        await self._memory.room()
        return self._session(spec)

    async def close(self) -> None:
        """End all sessions and the server; safe to call twice."""
        self._capabilities = None
        await self._memory.close()
        await self._shared.close()
        if self._fallback is not None:
            await self._fallback.close()
        await asyncio.gather(*(session.close() for session in list(self._sessions)))
        await self._stop()
        await asyncio.to_thread(self._executor.shutdown)

    def describe(self) -> dict[str, Any]:
        """Kind, limits, and the memory of all sessions together in MB."""
        return {
            "kind": "local",
            "limits": msgspec.to_builtins(self._limits),
            "memory_mb": self._memory.cap_mb,
        }

    async def _choose(self) -> Capabilities:
        if sys.platform != "linux":
            return await self._elsewhere()
        why: dict[str, str] = {}
        for tier in (self._wanted,) if self._wanted else (Tier.T1, Tier.T2):
            if tier is Tier.T0:
                continue
            problem = await self._try(tier)
            if not problem:
                return Capabilities(tier=tier, isolated=True, details=self._details() | why)
            why[tier.value] = f"no: {problem}"
            await self._stop()
        if not self._allow_unisolated or (self._wanted not in (None, Tier.T0)):
            reasons = "; ".join(f"{tier}: {text.removeprefix('no: ')}" for tier, text in why.items())
            raise EvalkitError(f"the model's code cannot be isolated here ({reasons or 'T0'}); {_MEND}")
        if problem := await self._try(Tier.T0):
            raise EvalkitError(f"no Python session can be started here: {problem}")
        return Capabilities(tier=Tier.T0, isolated=False, details=self._details() | why)

    async def _elsewhere(self) -> Capabilities:
        if not self._allow_unisolated or self._wanted not in (None, Tier.T0):
            raise EvalkitError(f"the local sandbox isolates on Linux only, not on {sys.platform}; {_MEND}")
        self._fallback = ProcessSandbox(self._limits)
        return await self._fallback.start()

    def _new_server(self, tier: Tier, folder: Path) -> ForkServer:
        return ForkServer(tier, folder)

    async def _try(self, tier: Tier) -> str:
        """Start a tier's server and attack it from a session; what is wrong, or nothing."""
        self._folder = Path(tempfile.mkdtemp(prefix="evalkit-sandbox-"))
        self._server = self._new_server(tier, self._folder)
        try:
            await self._server.start()
            return await self._probe(tier)
        except SandboxError as error:
            return one_line(error)

    async def _probe(self, tier: Tier) -> str:
        with Probe(attack=tier is not Tier.T0, within=self._folder) as probe:
            session = self._session(probe.spec)
            try:
                for code in probe.cells:
                    result = await session.run(code)
                    if problem := probe.judge(result):
                        return problem
                return probe.aftermath()
            finally:
                await session.close()

    def _details(self) -> dict[str, str]:
        assert self._server is not None
        return dict.fromkeys(self._applied, "yes") | self._server.details

    def _session(self, spec: SessionSpec) -> GuestSession:
        limits = spec.limits or self._limits
        session = GuestSession(lambda: self._start(spec, limits), limits, self._executor, self._sessions.discard)
        self._sessions.add(session)
        return session

    async def _start(self, spec: SessionSpec, limits: Limits, share: bool = True) -> Forked:
        await self._memory.room()
        shared = await self._shared.take(spec.images) if share and spec.images else None
        async with AsyncExitStack() as held:
            fd = -1
            places: Sequence[Place] = ()
            try:
                if shared is not None:
                    fd, places = shared
                await held.enter_async_context(self._starts)
                if spec.images and shared is None:
                    fd, places = await self._sealed(spec)
                forked, folder = await self._fork(fd)
            except OSError as error:
                raise SandboxError(f"cannot start a Python session: {one_line(error)}") from error
            finally:
                if fd >= 0:
                    os.close(fd)
            images = [(wire.IMAGES_FD, *place) for place in places]
            try:
                async with asyncio.timeout(_START_S):
                    greeting = await forked.channel.greet(setup_frame(spec, limits, (), images, folder))
            except BaseException as error:
                forked.kill()
                reaped = self._executor.submit(forked.reap)
                if isinstance(error, wire.WireError | OSError):
                    status = await asyncio.wrap_future(reaped)
                    why = one_line(error) or "no answer"
                    raise SandboxError(f"a Python session did not start: {why} (exit status {status})") from error
                raise
            self._applied = greeting.limits
            self._memory.add(forked)
            return forked

    async def _decode(self, image: ImageFile) -> Pixels | None:
        """An image's pixels, decoded in a session of its own; None where they would not be the same for a cell."""
        forked = await self._start(SessionSpec(images=(image,)), self._limits, share=False)
        try:
            async with asyncio.timeout(self._limits.call_s):
                reply, parts = await forked.channel.ask(token_hex(16), DECODE, self._limits)
        except (wire.WireError, OSError, TimeoutError):
            return None
        finally:
            forked.kill()
            await asyncio.wrap_future(self._executor.submit(forked.reap))
        if not reply.ok or len(reply.images) != 1:
            return None
        mode, width, height = reply.images[0]
        # other modes are converted on their way out
        return Pixels(mode, width, height, bytes(parts[3])) if bytes(parts[0]).decode() == mode else None

    async def _sealed(self, spec: SessionSpec) -> tuple[int, list[tuple[int, int]]]:
        future = self._executor.submit(sealed, spec.images)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The thread may be past the point where it can be stopped.
            future.add_done_callback(_close_file)
            raise

    async def _fork(self, images: int) -> tuple[Forked, str]:
        """A process, with a server started anew if the last one died; and its folder, if it has one on disk."""
        for attempt in range(_TRIES):
            server, root = self._server, self._folder
            if server is None or root is None:
                raise SandboxError("the sandbox is closed")
            await server.start()
            with ExitStack() as failed, ExitStack() as always:
                host, guest = socket.socketpair()
                always.enter_context(guest)
                failed.enter_context(host)
                host.setblocking(False)
                try:
                    pidfd, status = await server.fork([guest.fileno(), *([images] if images >= 0 else [])])
                except ServerGone:
                    if attempt == _TRIES - 1:
                        raise
                    continue
                failed.pop_all()
            if server.isolates:
                return Forked(pidfd, status, host, alone=server.alone), ""
            folder = Path(tempfile.mkdtemp(prefix="session-", dir=root))
            return Forked(pidfd, status, host, folder), str(folder)
        raise AssertionError

    async def _stop(self) -> None:
        server, self._server = self._server, None
        folder, self._folder = self._folder, None
        if server is not None:
            await server.close()
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _close_file(future: Future[tuple[int, list[tuple[int, int]]]]) -> None:
    if not future.cancelled() and future.exception() is None:
        os.close(future.result()[0])
