"""Records on their way to the disk: scored and stored in order, in a thread of their own, many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from evalkit.records import Record
from evalkit.runs.store import RunStore


class Writer:
    """Takes what makes a record and stores it in the order given, without making anyone wait for rule or disk.

    A formula in an answer can take a task's rule half a second: in the event loop it would hold up every engine
    request. At most `backlog` records wait; then `put` waits for room. A failure is raised by the next `put`, or at
    the end. What is handed over is stored even if whoever does so is cancelled meanwhile.

    Args:
        store: where records go.
        backlog: records that may wait.
        stored: told of every record that is on disk, in the event loop.
        expect: told, in the writer's thread, of all that are made next.
    """

    def __init__(
        self,
        store: RunStore,
        backlog: int,
        stored: Callable[[Record], None],
        expect: Callable[[Sequence[Callable[[], Record]]], None] = lambda makers: None,
    ) -> None:
        self._store = store
        self._expect = expect
        self._stored = stored
        self._queue: asyncio.Queue[Callable[[], Record] | None] = asyncio.Queue(backlog)
        self._late: list[Callable[[], Record]] = []
        self._thread = ThreadPoolExecutor(1, "evalkit-store")
        self._drain: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def __aenter__(self) -> Writer:
        self._drain = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = asyncio.create_task(self._end())
        stopped: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as again:
                # however often the run is told to stop: what is finished is stored
                stopped = again
        self._thread.shutdown()
        ending.result()
        if stopped is not None:
            raise stopped
        if self._error is not None and error is None:
            raise self._error

    async def _end(self) -> None:
        assert self._drain is not None
        await self._queue.put(None)
        await self._drain

    async def put(self, make: Callable[[], Record]) -> None:
        """Hand over what makes a record; it is called in the writer's thread.

        Raises:
            InfrastructureError: an earlier record could not be stored.
        """
        if self._error is not None:
            raise self._error
        try:
            await self._queue.put(make)
        except asyncio.CancelledError:
            self._late.append(make)
            raise

    async def idle(self) -> None:
        """Wait until everything handed over is stored, or has failed to be."""
        await self._queue.join()

    async def _run(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        last = False
        while not last:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            last = None in batch
            # after a failure the queue is still emptied, so that nobody waits for room for ever
            if self._error is None:
                makers = [*(make for make in batch if make is not None), *(self._late if last else ())]
                try:
                    await loop.run_in_executor(self._thread, self._append, makers)
                except Exception as error:
                    self._error = error
            for _ in batch:
                self._queue.task_done()

    def _append(self, batch: Sequence[Callable[[], Record]]) -> None:
        self._expect(batch)
        for make in batch:
            record = make()
            self._store.append(record)
            self._loop.call_soon_threadsafe(self._stored, record)
