"""Dynamic batches: requests of all trajectories are prepared in threads and joined when the model is free."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import msgspec

from evalkit.engines.base import Completion, Request
from evalkit.errors import EngineError, EngineUnavailableError, EvalkitError, one_line

P = TypeVar("P")
_QUIET_S = 0.003
_PADDING = 2.0
"""Tokens of a padded batch, at most, for each token of its jobs."""


class Job(Generic[P]):
    """One request on its way through the batcher.

    Attributes:
        request: what was asked.
        arrived: `time.perf_counter()` at arrival.
        prepared: what `prepare` made of the request; set before the job is queued.
    """

    def __init__(self, request: Request, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.arrived = time.perf_counter()
        self.prepared: P
        self._loop = loop
        self._settled = False
        self.future: asyncio.Future[Completion] = loop.create_future()

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self._settled or self.future.done()

    def settle(self, outcome: Completion | BaseException) -> None:
        """Hand the outcome to the waiting coroutine, from any thread; only the first one counts."""
        if self._settled:
            return
        self._settled = True
        # A loop that is already closed has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, outcome)

    def _deliver(self, outcome: Completion | BaseException) -> None:
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Batcher(Generic[P]):
    """Joins requests into batches for one generation thread.

    Args:
        prepare: turns a request into what `run` needs; runs in a thread pool as soon as the request arrives.
        group: requests with equal groups may share a batch.
        length: size of a prepared request in tokens; neighbours in a batch have similar lengths.
        run: one batch, in the generation thread; returns one completion a job, in order.
        recover: called in the generation thread after `run` has raised, to free what it held.
        max_batch: requests a batch, at most.
        linger_s: how long a batch that is not full waits for requests that are still being prepared.
    """

    def __init__(
        self,
        *,
        prepare: Callable[[Request], P],
        group: Callable[[Job[P]], Hashable],
        length: Callable[[P], int],
        run: Callable[[Sequence[Job[P]]], list[Completion]],
        recover: Callable[[], None],
        max_batch: int,
        linger_s: float = 0.05,
    ) -> None:
        self._prepare = prepare
        self._group = group
        self._length = length
        self._run = run
        self._recover = recover
        self._max_batch = max_batch
        self._linger_s = linger_s
        self._ready: list[Job[P]] = []
        self._preparing = 0
        self._jobs: set[Job[P]] = set()
        self._ended: str | None = None
        self._changed = threading.Condition()
        workers = max(2, min(8, os.cpu_count() or 2))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="evalkit-prepare")
        self._thread = threading.Thread(target=self._work, name="evalkit-generate", daemon=True)
        self._thread.start()

    async def submit(self, request: Request) -> Completion:
        """The completion of one request.

        Raises:
            EvalkitError: what `prepare` raised for this request.
            EngineError: `run` failed for this request even when it was alone.
            EngineUnavailableError: the batcher was closed, or its thread has died.
        """
        job: Job[P] = Job(request, asyncio.get_running_loop())
        with self._changed:
            if self._ended is not None:
                raise EngineUnavailableError(self._ended)
            self._jobs.add(job)
            self._preparing += 1
            self._pool.submit(self._make_ready, job)
            self._changed.notify_all()
        try:
            return await job.future
        finally:
            with self._changed:
                self._jobs.discard(job)

    def close(self) -> None:
        """Fail what is pending, stop the threads and wait for them; safe to call twice."""
        self._end("the engine was closed")
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._thread.join()

    def _end(self, reason: str) -> None:
        with self._changed:
            self._ended = self._ended or reason
            self._ready.clear()
            pending = list(self._jobs)
            self._changed.notify_all()
        for job in pending:
            job.settle(EngineUnavailableError(reason))

    def _make_ready(self, job: Job[P]) -> None:
        try:
            if not job.abandoned:
                job.prepared = self._prepare(job.request)
        except EvalkitError as error:
            job.settle(error)
        except Exception as error:
            job.settle(EngineError(f"cannot prepare the request: {type(error).__name__}: {one_line(error)}"))
        finally:
            with self._changed:
                self._preparing -= 1
                if not job.abandoned:
                    self._ready.append(job)
                self._changed.notify_all()

    def _work(self) -> None:
        reason = "the generation thread has ended"
        try:
            while batch := self._next():
                self._attempt(batch, retries=0)
        except BaseException as error:
            # Nobody above a thread can hear it; the callers can, and none of them may wait for ever.
            reason = f"the generation thread died: {type(error).__name__}: {one_line(error)}"
        finally:
            self._end(reason)

    def _next(self) -> list[Job[P]]:
        """The next batch: jobs like the oldest one and nearest to it in length; empty at the end."""
        with self._changed:
            while not self._gather():
                if self._ended is not None:
                    return []
                self._changed.wait()
            oldest = min(self._ready, key=lambda job: job.arrived)
            kind, length = self._group(oldest), self._length(oldest.prepared)
            alike = [job for job in self._ready if self._group(job) == kind]
            alike.sort(key=lambda job: (job is not oldest, abs(self._length(job.prepared) - length)))
            batch = self._near(alike[: self._max_batch])
            self._ready = [job for job in self._ready if job not in batch]
        return sorted(batch, key=lambda job: self._length(job.prepared))

    def _near(self, batch: list[Job[P]]) -> list[Job[P]]:
        """The oldest job, and as many of those after it as leave at least half of the batch's tokens unpadded.

        One long conversation would else be paid for by every short one.
        """
        lengths = [self._length(job.prepared) for job in batch]
        while len(batch) * max(lengths) > _PADDING * sum(lengths):
            batch, lengths = batch[:-1], lengths[:-1]
        return batch

    def _gather(self) -> bool:
        """Whether jobs are ready, after a short wait for those that are on their way."""
        deadline = time.monotonic() + self._linger_s
        self._ready = [job for job in self._ready if not job.abandoned]
        while self._ready and len(self._ready) < self._max_batch and self._ended is None:
            left = deadline - time.monotonic()
            # With none in preparation, more may still be about to arrive from the same turn of the event loop.
            news = left > 0 and self._changed.wait(left if self._preparing else min(left, _QUIET_S))
            if not news and (left <= 0 or not self._preparing):
                break
        self._ready = [job for job in self._ready if not job.abandoned]
        return bool(self._ready)

    def _attempt(self, batch: Sequence[Job[P]], retries: int) -> bool:
        """Run a batch, and its halves when it fails as a whole; whether every job came through."""
        try:
            completions = self._run(batch)
        except Exception as error:
            # Only the text is kept: a traceback would keep the failed batch's tensors alive.
            failure = f"{type(error).__name__}: {one_line(error)}"
        else:
            for job, completion in zip(batch, completions, strict=True):
                job.settle(msgspec.structs.replace(completion, retries=retries))
            return True
        self._recover()
        if len(batch) == 1:
            batch[0].settle(EngineError(f"generation failed: {failure}"))
            return False
        half = len(batch) // 2
        # Both are tried, whatever became of the first.
        came_through = [self._attempt(part, retries + 1) for part in (batch[:half], batch[half:])]
        if all(came_through):
            # No request was at fault, so it was their number: memory.
            self._max_batch = max(1, min(self._max_batch, half))
        return all(came_through)
