"""One task's jobs through the agents of its arms into one run folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from evalkit.errors import DataError, EngineUnavailableError
from evalkit.images import ImageFile, warm_up
from evalkit.records import RECORD_VERSION, Record, Sample, StopReason, Trajectory
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Job
from evalkit.runs.outcome import outcome_of
from evalkit.runs.progress import RunProgress
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.runs.store import RunStore
from evalkit.runs.writer import Writer
from evalkit.task import Task

GIVE_UP_AFTER = 32


async def run_task(
    *,
    agents: ArmAgents,
    task: Task,
    jobs: Sequence[Job],
    store: RunStore,
    progress: RunProgress,
    concurrency: int,
    stop: Stop,
) -> None:
    """Run every job, in order of start, and store each trajectory as it finishes.

    With a concurrency of 1 nothing else goes on beside a trajectory, not even the scoring of the one before.

    Raises:
        EngineUnavailableError: the engine is gone, or failed so often in a row that going on is pointless.
        InfrastructureError: the run folder cannot be written.
    """
    warm_up()
    failures = 0

    async def work(job: Job) -> None:
        nonlocal failures
        trajectory = await agents.run(job)
        await writer.put(partial(_record, task, job, trajectory))
        if concurrency == 1:
            await writer.idle()
        failures = failures + 1 if trajectory.stop is StopReason.ENGINE_ERROR else 0
        if failures >= GIVE_UP_AFTER:
            raise EngineUnavailableError(
                f"the engine failed {failures} times in a row, last: {trajectory.error}; "
                "run the same command again to go on from here"
            )

    async with Writer(store, backlog=concurrency, stored=progress.count) as writer:
        await in_flight(jobs, work, concurrency, stop)


def _record(task: Task, job: Job, trajectory: Trajectory) -> Record:
    return Record(
        version=RECORD_VERSION,
        sample=_storable(job.sample),
        trajectory=trajectory,
        outcome=outcome_of(task, job.sample, trajectory),
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
