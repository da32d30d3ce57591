"""One task through one agent into one run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from evalkit.agents.loop import Agent
from evalkit.errors import DataError, EngineUnavailableError
from evalkit.images import ImageFile, warm_up
from evalkit.records import AGENT, RECORD_VERSION, Record, Sample, StopReason, Trajectory
from evalkit.runs.outcome import outcome_of
from evalkit.runs.progress import RunProgress
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.runs.store import Key, RunStore
from evalkit.runs.writer import Writer
from evalkit.task import Task

GIVE_UP_AFTER = 32


def unfinished(samples: Sequence[Sample], done: Mapping[Key, Record], arm: str = AGENT) -> list[Sample]:
    """The samples that still have to run in `arm`: those without a record, and those whose record is an error."""
    return [
        sample
        for sample in samples
        if (record := done.get((sample.id, arm, 0))) is None or record.outcome.verdict.is_error
    ]


async def run_task(
    *,
    agent: Agent,
    task: Task,
    samples: Sequence[Sample],
    store: RunStore,
    progress: RunProgress,
    concurrency: int,
    stop: Stop,
    arm: str = AGENT,
) -> None:
    """Run the agent on every sample and store each trajectory as it finishes.

    Raises:
        EngineUnavailableError: the engine is gone, or failed so often in a row that going on is pointless.
        InfrastructureError: the run folder cannot be written.
    """
    warm_up()
    failures = 0

    async def work(sample: Sample) -> None:
        nonlocal failures
        # the same name in every arm that repeats it, so that a seed gives the same draws
        trajectory = await agent.run(sample, f"{sample.id}/{AGENT}/0")
        await writer.put(partial(_record, task, sample, trajectory, arm))
        failures = failures + 1 if trajectory.stop is StopReason.ENGINE_ERROR else 0
        if failures >= GIVE_UP_AFTER:
            raise EngineUnavailableError(
                f"the engine failed {failures} times in a row, last: {trajectory.error}; "
                "run the same command again to go on from here"
            )

    async with Writer(store, backlog=concurrency, stored=progress.count) as writer:
        await in_flight(samples, work, concurrency, stop)


def _record(task: Task, sample: Sample, trajectory: Trajectory, arm: str) -> Record:
    return Record(
        version=RECORD_VERSION,
        sample=_storable(sample),
        trajectory=trajectory,
        outcome=outcome_of(task, sample, trajectory),
        arm=arm,
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
