"""The second step of scoring: what the rules cannot read is put to a judge, beside the agent's own work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from evalkit.errors import InfrastructureError, one_line
from evalkit.records import Outcome, Record, Sample, Trajectory, Verdict
from evalkit.rulings import Ruling, Said
from evalkit.runs.outcome import outcome_of, question_of, ruled
from evalkit.runs.writer import Writer
from evalkit.scoring.judge.base import Judge, identity_digest
from evalkit.scoring.judge.question import Question
from evalkit.task import Task


class Bench:
    """Scores in two steps: the task's rules in a thread of their own, then a judge where they ask for one.

    Args:
        task: whose rules.
        judge: started already.
    """

    def __init__(self, task: Task, judge: Judge) -> None:
        self._task = task
        self._judge = judge
        self._thread = ThreadPoolExecutor(1, "evalkit-rules")

    async def outcome(self, sample: Sample, trajectory: Trajectory) -> Outcome:
        """The outcome of one trajectory.

        Raises:
            InfrastructureError: the judge's cache is broken.
        """
        loop = asyncio.get_running_loop()
        first, question = await loop.run_in_executor(self._thread, _by_rules, self._task, sample, trajectory)
        if question is None:
            return first
        ruling = await ask(self._judge, question)
        return await loop.run_in_executor(self._thread, ruled, self._task, sample, trajectory, first, ruling)

    def unasked(self, why: str) -> Outcome:
        """The outcome of a trajectory that is there, and that nobody could score."""
        return Outcome(verdict=Verdict.JUDGE_ERROR, error=why, scorer=f"{self._task.name}/{self._task.version}")

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)


class Desk:
    """Trajectories on their way to the writer that a judge may have to see first.

    The agent goes on meanwhile: the judge has its own limit of questions at once. At most `backlog` trajectories
    wait; then `put` waits for room. A failure is raised by the next `put`, or at the end. No trajectory is lost by it,
    nor when all is stopped at once: those that wait are stored as errors of the judge, which is asked later.

    Args:
        bench: gives outcomes.
        writer: takes the records.
        backlog: trajectories that may wait.
    """

    def __init__(self, bench: Bench, writer: Writer, backlog: int) -> None:
        self._bench = bench
        self._writer = writer
        self._room = asyncio.Semaphore(backlog)
        self._going: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    async def __aenter__(self) -> Desk:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            self._stop()
        ending = asyncio.create_task(self.idle())
        stopped: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as again:
                # however often the run is told to stop: what waits is stored
                stopped = again
                self._stop()
        if stopped is not None:
            raise stopped
        if self._error is not None and error is None:
            raise self._error

    async def put(self, sample: Sample, trajectory: Trajectory, record: Callable[[Outcome], Record]) -> None:
        """Hand over a trajectory.

        Args:
            sample: what it is on.
            trajectory: finished.
            record: what to store once the outcome is there.

        Raises:
            InfrastructureError: an earlier one could not be judged or stored.
        """
        try:
            await self._room.acquire()
        finally:
            # where there is no time for a judge any more, `_stop` has it stored as it is
            self._begin(sample, trajectory, record)
        if self._error is not None:
            raise self._error

    def _begin(self, sample: Sample, trajectory: Trajectory, record: Callable[[Outcome], Record]) -> None:
        task = asyncio.create_task(self._work(sample, trajectory, record))
        self._going.add(task)
        task.add_done_callback(self._done)

    async def idle(self) -> None:
        """Wait until everything handed over is with the writer, or has failed to be."""
        while self._going:
            await asyncio.wait(self._going)

    def _stop(self) -> None:
        for task in self._going:
            # not at once: one that has not begun would end without its record
            asyncio.get_running_loop().call_soon(task.cancel)

    async def _work(self, sample: Sample, trajectory: Trajectory, record: Callable[[Outcome], Record]) -> None:
        try:
            outcome = await self._bench.outcome(sample, trajectory)
        except (InfrastructureError, asyncio.CancelledError) as error:
            why = one_line(error) or "stopped before the judge had answered"
            unasked = self._bench.unasked(f"{why}; the same command asks it")
            await self._writer.put(lambda: record(unasked))
            raise
        await self._writer.put(lambda: record(outcome))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._going.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error


async def ask(judge: Judge, question: Question) -> Ruling:
    """A judge's word; whatever else than its cache may fail in it makes a failed ruling.

    Raises:
        InfrastructureError: its cache is broken.
    """
    try:
        return await judge.rule(question)
    except InfrastructureError:
        raise
    except Exception as error:
        why = f"the judge failed: {type(error).__name__}: {one_line(error)}"
        by = identity_digest(judge.identity)
        return Ruling(asked=question.asked.value, said=Said.UNAVAILABLE, error=why, judge=by)


def _by_rules(task: Task, sample: Sample, trajectory: Trajectory) -> tuple[Outcome, Question | None]:
    outcome = outcome_of(task, sample, trajectory)
    question = question_of(task, sample, trajectory, outcome)
    return (question, None) if isinstance(question, Outcome) else (outcome, question)
