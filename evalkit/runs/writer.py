"""Records on their way to the disk: in order, in a thread of their own, many at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from evalkit.records import Record
from evalkit.runs.store import RunStore


class Writer:
    """Takes finished records and stores them in the order given, without making anyone wait for the disk.

    At most `backlog` records wait; then `put` waits for room. A failed write is raised by the next `put`,
    or at the end.
    """

    def __init__(self, store: RunStore, backlog: int) -> None:
        self._store = store
        self._queue: asyncio.Queue[Record | None] = asyncio.Queue(backlog)
        self._thread = ThreadPoolExecutor(1, "evalkit-store")
        self._drain: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def __aenter__(self) -> Writer:
        self._drain = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._drain is not None
        try:
            await self._queue.put(None)
            await self._drain
        finally:
            self._thread.shutdown()
        if self._error is not None and error is None:
            raise self._error

    async def put(self, record: Record) -> None:
        """Hand over a record.

        Raises:
            InfrastructureError: an earlier one could not be stored.
        """
        if self._error is not None:
            raise self._error
        await self._queue.put(record)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        last = False
        while not last:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            last = None in batch
            # after a failure the queue is still emptied, so that nobody waits for room for ever
            if self._error is None:
                try:
                    await loop.run_in_executor(self._thread, self._append, [r for r in batch if r is not None])
                except Exception as error:
                    self._error = error

    def _append(self, batch: list[Record]) -> None:
        for record in batch:
            self._store.append(record)
