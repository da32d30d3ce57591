"""The arms of a run: under which conditions its samples are asked, how often, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from evalkit.records import AGAIN, AGENT, DIRECT, FORCED, ISOLATED, Record, Sample, Trajectory, Verdict, answer_arm
from evalkit.runs.stored import Stored

_Key = tuple[str, str, int]
T = TypeVar("T")
CHOSEN = (AGENT, DIRECT, FORCED)
"""The arms that `--arms` takes; the others have options of their own."""


class Arms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked beside the agent's own run. It changes no row of the agent's, so it is no part of the hash.

    Attributes:
        names: of `CHOSEN`, in the order in which a sample goes through them.
        repeats: runs of the agent on each sample, each with draws of its own.
        direct_k: runs of the direct arm on each sample, see `direct_runs`.
        direct_temperature: of the direct arm's repeats 1 to `direct_k`; None leaves it to the agent's.
        direct_system_prompt: as the direct arm sent it; empty where that arm was not asked for, or has none.
        forced_answers: the agent's trajectories are cut after every call and asked to answer.
        again: samples that run a second time to see whether answers repeat.
        isolated: samples that run one at a time, for latency.
    """

    names: tuple[str, ...] = (AGENT,)
    repeats: int = 1
    direct_k: int = 1
    direct_temperature: float | None = None
    direct_system_prompt: str = ""
    forced_answers: bool = False
    again: int = 0
    isolated: int = 0

    @property
    def direct_runs(self) -> int:
        """Repeats of the direct arm; 0 without it.

        Repeat 0 always has the agent's own decoding, so that what it is paired with differs in the tools alone.
        With a temperature of its own the `direct_k` draws are the repeats after it.
        """
        own = self.direct_temperature is not None
        return self.direct_k + own if DIRECT in self.names else 0

    def temperature(self, agents: float, repeat: int) -> float:
        """The temperature of one repeat of the direct arm, given the agent's."""
        own = self.direct_temperature
        return agents if own is None or repeat == 0 else own


class Job(NamedTuple):
    """One trajectory that a run should have.

    Attributes:
        sample: what to solve.
        arm: see `Record`.
        repeat: see `Record`.
        cut: for a forced answer, the agent's trajectory, which is cut.
    """

    sample: Sample
    arm: str = AGENT
    repeat: int = 0
    cut: Trajectory | None = None

    @property
    def key(self) -> _Key:
        """Of its record."""
        return (self.sample.id, self.arm, self.repeat)

    @property
    def name(self) -> str:
        """For the engine, and for the draws of a seed: equal only where the same draws are wanted."""
        return f"{self.sample.id}/{AGENT if self.arm == AGAIN else self.arm}/{self.repeat}"


def schedule(samples: Iterable[Sample], arms: Arms) -> Iterator[Job]:
    """The chosen arms and their repeats, sample by sample: an engine that keeps prompts and images finds them again."""
    for sample in samples:
        yield Job(sample)
        yield from (Job(sample, DIRECT, repeat) for repeat in range(arms.direct_runs))
        if FORCED in arms.names:
            yield Job(sample, FORCED)
        yield from (Job(sample, AGENT, repeat) for repeat in range(1, arms.repeats))


def planned(samples: Sequence[Sample], arms: Arms) -> tuple[list[Job], list[Job], list[Job]]:
    """What runs of the samples, in this order: `schedule`, `again`, `isolated`."""
    return list(schedule(samples, arms)), list(again(samples, arms)), list(isolated(samples, arms))


def again(samples: Sequence[Sample], arms: Arms) -> Iterator[Job]:
    """The samples that run a second time."""
    return (Job(sample, AGAIN) for sample in evenly(samples, arms.again))


def isolated(samples: Sequence[Sample], arms: Arms) -> Iterator[Job]:
    """The samples that run one at a time."""
    return (Job(sample, ISOLATED) for sample in evenly(samples, arms.isolated))


def forced_answers(records: Iterable[Record], arms: Arms) -> Iterator[Job]:
    """For each finished trajectory of the agent with T dispatched calls: an answer after 0, 1, ... T-1 of them."""
    for record in records:
        if not arms.forced_answers or record.arm != AGENT or record.outcome.verdict.is_error:
            continue
        for calls in range(sum(call.status.dispatched for call in record.trajectory.calls)):
            yield Job(record.sample, answer_arm(calls), record.repeat, record.trajectory)


def unfinished(jobs: Iterable[Job], done: Mapping[_Key, Stored]) -> list[Job]:
    """The jobs that still have to run: those without a record, and those whose record is an error.

    A trajectory that could not be scored is there, and only its scoring is tried again (`runs.rescore`). A forced
    answer that is older than the trajectory it should cut belongs to an earlier one.
    """
    return [
        job
        for job in jobs
        if (there := done.get(job.key)) is None
        or (there.verdict.is_error and there.verdict is not Verdict.JUDGE_ERROR)
        or (job.cut is not None and (there.started_at or 0) < (job.cut.started_at or 0))
    ]


def evenly(samples: Sequence[T], count: int) -> Sequence[T]:
    """`count` samples spread evenly over all, or all where there are fewer."""
    if count >= len(samples):
        return samples
    return [samples[index * len(samples) // count] for index in range(count)]
