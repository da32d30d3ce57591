"""The host's side of one session, however its process is started."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from secrets import token_hex
from typing import Protocol

from evalkit.errors import SandboxError
from evalkit.images import ImageFile
from evalkit.sandbox._channel import Channel, Reply, text_of
from evalkit.sandbox.base import ExecResult, ExecStatus, Limits
from evalkit.sandbox.guest import wire


class Running(Protocol):
    """A session's process that is ready for cells."""

    @property
    def channel(self) -> Channel:
        """Its frames."""
        ...

    @property
    def reason(self) -> str:
        """Why the sandbox itself ended the process; empty if it did not."""
        ...

    def left(self) -> bool:
        """Whether a process that hung up has ended by itself; blocks until that can be told."""
        ...

    def blame(self, code: int) -> str:
        """Why an end by itself with this exit code was not the cell's doing; empty where it was."""
        ...

    def interrupt(self) -> None:
        """Ask the cell to stop."""
        ...

    def kill(self) -> None:
        """End it at once, without waiting."""
        ...

    def reap(self) -> int:
        """Wait for its end and free what it held; blocks. The exit code, or minus the signal."""
        ...


class GuestSession:
    """One stateful interpreter, in a process that is started when it is needed.

    Args:
        start: starts the process and waits until it is ready.
        limits: what one call may use.
        executor: where processes are waited for and images are encoded.
        forget: called once when the session is closed.
    """

    def __init__(
        self,
        start: Callable[[], Awaitable[Running]],
        limits: Limits,
        executor: Executor,
        forget: Callable[[GuestSession], None],
    ) -> None:
        self._start = start
        self._limits = limits
        self._executor = executor
        self._forget = forget
        self._running: Running | None = None
        self._closed = False
        self._lock = asyncio.Lock()

    async def run(self, code: str) -> ExecResult:
        """Run one cell; cells of one session run one after the other.

        A cancelled call ends the process, since nothing is known of its state.

        Raises:
            SandboxError: no process can be had, it was ended by something else than the cell and this session's
                limits, or the session is closed.
            DataError: an image of the session cannot be read.
        """
        async with self._lock:
            if self._running is None and not self._closed:
                self._running = await self._start()
            if self._closed or self._running is None:
                raise SandboxError("the session is closed")
            try:
                return await self._call(self._running, code)
            except BaseException:
                self._abandon()
                raise

    async def close(self) -> None:
        """End the process; a call in flight ends with `DIED`. Safe to call twice."""
        self._closed = True
        if self._running is not None:
            self._running.kill()
        async with self._lock:
            if self._running is not None:
                await self._end()
        self._forget(self)

    async def _call(self, running: Running, code: str) -> ExecResult:
        limits = self._limits
        late = False

        def interrupt() -> None:
            nonlocal late
            late = True
            running.interrupt()

        loop = asyncio.get_running_loop()
        timer = loop.call_later(limits.call_s, interrupt)
        begun = time.monotonic()
        problem: Exception | None = None
        try:
            async with asyncio.timeout(limits.call_s + limits.grace_s):
                reply, parts = await running.channel.ask(token_hex(16), code.encode("utf-8", "surrogatepass"), limits)
        except (wire.WireError, OSError) as error:
            problem = error
        finally:
            timer.cancel()
            seconds = time.monotonic() - begun
        if problem is None:
            return await self._result(reply, parts, seconds, late)
        hung_up = isinstance(problem, wire.Hangup | OSError) and not (late or running.reason or self._closed)
        by_itself = hung_up and await loop.run_in_executor(self._executor, running.left)
        exit_code = await self._end()
        if by_itself and not running.reason and (blame := running.blame(exit_code)):
            raise SandboxError(f"the Python process {blame}")
        if running.reason:
            status, reason = ExecStatus.DIED, running.reason
        elif late or isinstance(problem, TimeoutError):
            status, reason = ExecStatus.TIMEOUT, f"ran longer than {limits.call_s:g} s and was killed"
        elif isinstance(problem, wire.WireError) and not isinstance(problem, wire.Hangup):
            status, reason = ExecStatus.DIED, f"was killed: it sent {problem}"
        else:
            status, reason = ExecStatus.DIED, f"ended ({_exit(exit_code)})"
        return ExecResult(status=status, stderr=f"The Python process {reason}.\n", seconds=seconds, state_lost=True)

    async def _result(self, reply: Reply, parts: list[bytearray], seconds: float, late: bool) -> ExecResult:
        chars = self._limits.output_chars
        stdout, a = text_of(parts[0], chars)
        stderr, b = text_of(parts[1], chars + wire.TRACEBACK_CHARS)
        value, c = text_of(parts[2], chars)
        loop = asyncio.get_running_loop()
        images = await asyncio.gather(
            *(
                loop.run_in_executor(self._executor, _image, mode, width, height, data)
                for (mode, width, height), data in zip(reply.images, parts[3:], strict=True)
            )
        )
        if late:
            stderr += f"The code ran longer than {self._limits.call_s:g} s and was interrupted.\n"
        status = ExecStatus.TIMEOUT if late else ExecStatus.OK if reply.ok else ExecStatus.ERROR
        return ExecResult(
            status=status,
            stdout=stdout,
            stderr=stderr,
            value=value,
            images=tuple(images),
            dropped_chars=reply.dropped_chars + a + b + c,
            dropped_images=reply.dropped_images,
            seconds=seconds,
        )

    async def _end(self) -> int:
        running, self._running = self._running, None
        assert running is not None
        running.kill()
        return await asyncio.get_running_loop().run_in_executor(self._executor, running.reap)

    def _abandon(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            self._executor.submit(running.reap)


def _image(mode: str, width: int, height: int, data: bytearray) -> ImageFile:
    from PIL import Image

    return ImageFile.from_pil(Image.frombuffer(mode, (width, height), data, "raw", mode, 0, 1), "python output")


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
