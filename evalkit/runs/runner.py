"""One task's jobs through the agents of its arms into one run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec

from evalkit.errors import DataError, EngineUnavailableError
from evalkit.images import ImageFile, warm_up
from evalkit.records import RECORD_VERSION, Outcome, Record, Sample, StopReason, Trajectory
from evalkit.runs.arms import Job
from evalkit.runs.judging import Bench, Desk
from evalkit.runs.outcome import outcome_of, said
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.runs.store import RunStore
from evalkit.runs.writer import Writer
from evalkit.scoring.judge.base import Judge
from evalkit.task import Task

GIVE_UP_AFTER = 32
_SCORED = (StopReason.ANSWERED, StopReason.ENDED)
JUDGE_BACKLOG = 4
"""Trajectories that may wait for a judge, for each one in flight: a slow judge must not keep the model waiting."""


class Runs(Protocol):
    """What runs trajectories: the agents of this process, or replicas elsewhere."""

    async def run(self, job: Job) -> Trajectory:
        """One trajectory.

        Raises:
            EngineUnavailableError: no trajectory can go on.
        """
        ...


async def run_task(
    *,
    agents: Runs,
    task: Task,
    jobs: Iterable[Job],
    store: RunStore,
    stored: Callable[[Record], None],
    concurrency: int,
    stop: Stop,
    judge: Judge | None = None,
) -> None:
    """Run every job, in order of start, and store each trajectory as it finishes.

    `stored` is told of every record that is on disk.
    With a concurrency of 1 nothing else goes on beside a trajectory, not even the scoring of the one before. A judge
    is asked beside the agent's work, where the task's rules ask for one.

    Raises:
        EngineUnavailableError: the engine is gone, or failed so often in a row that going on is pointless.
        InfrastructureError: the run folder cannot be written.
    """
    warm_up()
    failures = 0

    async def work(job: Job) -> None:
        nonlocal failures
        trajectory = await agents.run(job)
        if desk is None:
            await writer.put(_Due(task, job, trajectory))
        else:
            await desk.put(job.sample, trajectory, partial(_record, job, trajectory))
        if concurrency == 1:
            if desk is not None:
                await desk.idle()
            await writer.idle()
        failures = failures + 1 if trajectory.stop is StopReason.ENGINE_ERROR else 0
        if failures >= GIVE_UP_AFTER:
            raise EngineUnavailableError(
                f"the engine failed {failures} times in a row, last: {trajectory.error}; "
                "run the same command again to go on from here"
            )

    desk: Desk | None = None
    async with AsyncExitStack() as opened:
        writer = await opened.enter_async_context(Writer(store, concurrency, stored, partial(_expect, task)))
        if judge is not None:
            bench = Bench(task, judge)
            opened.callback(bench.close)
            desk = await opened.enter_async_context(Desk(bench, writer, JUDGE_BACKLOG * concurrency))
        await in_flight(jobs, work, concurrency, stop)


@dataclass(frozen=True)
class _Due:
    """A trajectory that waits to be scored."""

    task: Task
    job: Job
    trajectory: Trajectory

    def __call__(self) -> Record:
        """Score it."""
        return _record(self.job, self.trajectory, outcome_of(self.task, self.job.sample, self.trajectory))


def _expect(task: Task, makers: Sequence[Callable[[], Record]]) -> None:
    due = [make for make in makers if isinstance(make, _Due) and make.trajectory.stop in _SCORED]
    # what fails here fails again where a row is scored, and is that row's error
    with suppress(Exception):
        task.expect([(make.job.sample, said(make.trajectory)) for make in due])


def _record(job: Job, trajectory: Trajectory, outcome: Outcome) -> Record:
    return Record(
        version=RECORD_VERSION,
        sample=_storable(job.sample),
        trajectory=trajectory,
        outcome=outcome,
        arm=job.arm,
        repeat=job.repeat,
    )


def _storable(sample: Sample) -> Sample:
    """The sample without images that cannot be read, so that its error can be recorded at all."""
    if all(map(_readable, sample.images)):
        return sample
    return msgspec.structs.replace(sample, images=tuple(filter(_readable, sample.images)))


def _readable(image: ImageFile) -> bool:
    try:
        return bool(image.header)
    except DataError:
        return False
