"""A separate process per session, with resource limits and a clean environment. It is not isolated."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from evalkit.errors import EvalkitError, SandboxError, one_line
from evalkit.sandbox import _child
from evalkit.sandbox._session import GuestSession
from evalkit.sandbox._setup import packages, rlimits, setup_frame
from evalkit.sandbox.base import Capabilities, ExecStatus, Limits, SessionSpec, Tier
from evalkit.sandbox.guest import wire

_START_S = 60.0


class ProcessSandbox:
    """Sessions in processes of their own (tier T0).

    The code may read whatever the user may read and reach the network: for code that is trusted,
    and for systems that offer nothing better.

    Args:
        limits: of sessions that name none.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._root: Path | None = None
        self._packages: list[str] = []
        self._applied: list[str] = []
        self._sessions: set[GuestSession] = set()
        # More starts at once only make each of them slower.
        threads = max(4, 2 * (os.cpu_count() or 1))
        self._starts = asyncio.Semaphore(threads)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="sandbox")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> Capabilities:
        """Run a first cell, to see that code can be run here.

        Raises:
            EvalkitError: it cannot.
        """
        if os.name != "posix":
            raise EvalkitError("the process sandbox needs Linux or macOS; use the docker sandbox here")
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="evalkit-sandbox-"))
            self._packages = await asyncio.get_running_loop().run_in_executor(self._executor, packages)
        try:
            session = await self.open(SessionSpec())
            result = await session.run("6 * 7")
            if result.status is not ExecStatus.OK or result.value != "42":
                raise SandboxError(f"the sandbox's first cell failed: {one_line(result.stderr or result.status)}")
            await session.close()
        except BaseException:
            await self.close()
            raise
        names = rlimits(self._limits, files=0)
        limits = {name: "yes" if name in self._applied else "not taken by this system" for name in names}
        details = {"own process": "yes", "clean environment": "yes", **limits}
        return Capabilities(tier=Tier.T0, isolated=False, details=details)

    async def open(self, spec: SessionSpec) -> GuestSession:
        """A new session; its process is started at its first cell.

        Raises:
            SandboxError: the sandbox is not started, or closed.
        """
        if self._root is None:
            raise SandboxError("the sandbox is not started")
        limits = spec.limits or self._limits
        session = GuestSession(lambda: self._start(spec, limits), limits, self._executor, self._sessions.discard)
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """End all sessions and remove their files; safe to call twice."""
        root, self._root = self._root, None
        await asyncio.gather(*(session.close() for session in list(self._sessions)))
        await asyncio.to_thread(self._executor.shutdown)
        if root is not None:
            await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)

    def describe(self) -> dict[str, Any]:
        """Kind, tier and limits."""
        return {"kind": "process", "tier": Tier.T0.value, "limits": msgspec.to_builtins(self._limits)}

    async def _start(self, spec: SessionSpec, limits: Limits) -> _child.Child:
        if self._root is None:
            raise SandboxError("the sandbox is closed")
        async with self._starts:
            try:
                child = await self._spawn(self._root, spec)
            except OSError as error:
                raise SandboxError(f"cannot start a Python process: {one_line(error)}") from error
            setup = setup_frame(spec, limits, self._packages, child.images)
            try:
                async with asyncio.timeout(_START_S):
                    self._applied = (await child.channel.greet(setup)).limits
                    return child
            except BaseException as error:
                child.kill()
                code = self._executor.submit(child.reap)
                if isinstance(error, wire.WireError | OSError):
                    status = await asyncio.wrap_future(code)
                    why = one_line(error) or "no answer"
                    raise SandboxError(f"a Python process did not start: {why} (exit status {status})") from error
                raise

    async def _spawn(self, root: Path, spec: SessionSpec) -> _child.Child:
        future = self._executor.submit(_child.start, root, spec.images)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The thread may be past the point where it can be stopped.
            future.add_done_callback(_end)
            raise


def _end(future: Future[_child.Child]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().kill()
        future.result().reap()
