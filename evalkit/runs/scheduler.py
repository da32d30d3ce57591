"""N trajectories in flight, and what happens when the user or the engine says stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from evalkit.errors import ExitCode

T = TypeVar("T")


class Stop:
    """Whether the run should come to an end.

    Attributes:
        gently: what is in flight is finished, and nothing else is begun.
        terminated: a SIGTERM has come, which stops at once: whoever sends it seldom waits long before a SIGKILL.
        presses: Ctrl-C so far.
    """

    def __init__(self) -> None:
        self.gently = False
        self.terminated = False
        self.presses = 0
        self._task: asyncio.Task[object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._say: Callable[[str], None] = lambda line: None

    @contextmanager
    def on_interrupt(self, say: Callable[[str], None]) -> Iterator[None]:
        """Take Ctrl-C (once to finish what is in flight, twice to stop at once) and SIGTERM (to stop at once).

        Args:
            say: shows one line to the user.
        """
        self._loop = loop = asyncio.get_running_loop()
        self._task, self._say = asyncio.current_task(), say
        before = signal.getsignal(signal.SIGTERM)
        try:
            loop.add_signal_handler(signal.SIGINT, self._press)
            loop.add_signal_handler(signal.SIGTERM, self._terminate)
        except (NotImplementedError, RuntimeError, ValueError):
            # not the main thread, or a platform without signal handlers: both stop at once
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            loop.remove_signal_handler(signal.SIGTERM)
            if before is not None:
                # evalkit as a library: the program around it may have a handler of its own
                signal.signal(signal.SIGTERM, before)

    @property
    def exit_code(self) -> ExitCode:
        """How the command ends that was stopped."""
        return ExitCode.TERMINATED if self.terminated else ExitCode.INTERRUPTED

    def press(self) -> None:
        """The same as a Ctrl-C, from whichever thread got it."""
        if self._loop is None or self._loop.is_closed():
            self.gently = True
        else:
            self._loop.call_soon_threadsafe(self._press)

    def _press(self) -> None:
        self.presses += 1
        if self.presses == 1:
            self.gently = True
            self._say("finishing what is in flight; press Ctrl-C again to stop at once")
        elif self._task is not None:
            self._task.cancel()

    def _terminate(self) -> None:
        # a second one must not break off the storing of what is finished
        if self._task is not None and not self.terminated:
            self.terminated = self.gently = True
            self._task.cancel()


async def in_flight(jobs: Iterable[T], work: Callable[[T], Awaitable[None]], concurrency: int, stop: Stop) -> None:
    """Run `work` on every job with at most `concurrency` at once, in order of start.

    A job's exception ends the others and is raised; jobs not started yet are left.
    """
    queue = iter(jobs)

    async def worker() -> None:
        for job in queue:
            if stop.gently:
                return
            await work(job)

    workers = [asyncio.create_task(worker()) for _ in range(max(1, concurrency))]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
