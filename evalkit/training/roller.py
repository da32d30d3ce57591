"""Rollouts: several trajectories a prompt through evalkit's own agent loop, tools, sandbox and scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Sequences
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self

from evalkit.agents.loop import Agent
from evalkit.agents.protocols import protocol as protocol_of
from evalkit.engines.base import Engine, Sampling
from evalkit.errors import EvalkitError
from evalkit.images import warm_up
from evalkit.models import ModelCard
from evalkit.records import RECORD_VERSION, Outcome, Record, Sample, Trajectory
from evalkit.runs.judging import Bench
from evalkit.runs.outcome import outcome_of
from evalkit.runs.pixels import budget_for
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.runs.setup import make_tools
from evalkit.sandbox import LocalSandbox, Sandbox
from evalkit.scoring.judge.base import Judge
from evalkit.task import Task
from evalkit.training.memo import MemoSandbox
from evalkit.training.policy_engine import PolicyEngine
from evalkit.training.rollout import Rollout

IN_FLIGHT = 2
"""Trajectories begun at once, for each request that a batch may hold: while some are at their tools, others draw."""


class _Job(NamedTuple):
    at: tuple[int, int]
    sample: Sample
    key: str
    repeat: int


class Roller:
    """Draws groups of trajectories from a model that is being trained; `async with` starts and ends what it needs.

    Args:
        model: of the transformers library, on its device; see `PolicyEngine`.
        card: protocol, tools, limits, pixel bounds and the folder of tokenizer and processor.
        task: whose rules score.
        temperature: of the draw, above 0.
        seed: of all draws; a rollout's random numbers follow from it, the step, the sample's id and its place in the
            group, whatever it is batched with.
        sandbox: runs code, not started yet; None for the local one.
        judge: for what the task's rules cannot read, not started yet; None for none.
        system_prompt: in place of the protocol's own.
        max_batch: requests a batch, at most; lowered when memory is short.
    """

    def __init__(
        self,
        model: Any,
        card: ModelCard,
        task: Task,
        *,
        temperature: float = 1.0,
        seed: int = 0,
        sandbox: Sandbox | None = None,
        judge: Judge | None = None,
        system_prompt: str | None = None,
        max_batch: int = 256,
    ) -> None:
        if temperature <= 0:
            raise EvalkitError(f"rollouts are drawn at a temperature above 0, not {temperature:g}")
        self.engine = PolicyEngine(
            model,
            card.weights.location,
            revision=card.weights.revision,
            max_batch=max_batch,
            min_pixels=card.pixels.min,
            max_pixels=card.pixels.max,
        )
        self._card = card
        self._task = task
        self._sampling = Sampling(temperature=temperature, seed=seed)
        self._sandbox = MemoSandbox(sandbox or LocalSandbox())
        self._judge = judge
        self._system_prompt = system_prompt
        self._concurrency = IN_FLIGHT * max_batch
        self._opened = AsyncExitStack()
        self._bench: Bench | None = None
        self._agent: Agent | None = None

    async def __aenter__(self) -> Self:
        """Start the engine, the sandbox where the card's tools need one, and the judge.

        Raises:
            EvalkitError: one of them cannot be used here, and what to do about it.
        """
        warm_up()
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._sandbox.close)
            opening.push_async_callback(self.engine.close)
            if self._judge is not None:
                opening.push_async_callback(self._judge.close)
                await self._judge.start()
                self._bench = Bench(self._task, self._judge)
                opening.callback(self._bench.close)
            agent = agent_for(self._card, self.engine, self._sandbox, self._sampling, self._system_prompt)
            if "python" in agent.tools:
                await self._sandbox.start()
            agent.budget = budget_for(self._card, await self.engine.start())
            self._agent = agent
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._agent = None
        await self._opened.aclose()

    async def roll(self, samples: Sequences[Sample], group: int, step: int) -> list[list[Rollout]]:
        """Draw `group` rollouts on each sample.

        Args:
            samples: prompts; one that stands in them twice is drawn on twice as often, with other random numbers.
            group: rollouts a sample.
            step: of the training; draws of another step are other draws.

        Returns:
            The rollouts of each sample, in order.

        Raises:
            EvalkitError: the roller is not started.
            EngineUnavailableError: no request can succeed any more.
            InfrastructureError: the judge's cache is broken.
        """
        agent = self._agent
        if agent is None:
            raise EvalkitError("the roller is not started: use it with `async with`")
        found: list[list[Rollout]] = [[None] * group for _ in samples]  # type: ignore[list-item]
        jobs: list[_Job] = []
        drawn: Counter[str] = Counter()
        for place, sample in enumerate(samples):
            for k in range(group):
                repeat = drawn[sample.id] + k
                jobs.append(_Job((place, k), sample, f"{step}/{sample.id}/{repeat}", repeat))
            drawn[sample.id] += group

        async def work(job: _Job) -> None:
            place, k = job.at
            found[place][k] = await self._rollout(agent, job)

        with self.engine.unchanged():
            await in_flight(jobs, work, self._concurrency, Stop())
        return found

    async def _rollout(self, agent: Agent, job: _Job) -> Rollout:
        trajectory = await agent.run(job.sample, job.key)
        sequences = self.engine.take(job.key)
        outcome = await self._outcome(job.sample, trajectory)
        record = Record(
            version=RECORD_VERSION, sample=job.sample, trajectory=trajectory, outcome=outcome, repeat=job.repeat
        )
        return Rollout(record, sequences)

    async def _outcome(self, sample: Sample, trajectory: Trajectory) -> Outcome:
        if self._bench is None:
            return outcome_of(self._task, sample, trajectory)
        return await self._bench.outcome(sample, trajectory)


def agent_for(
    card: ModelCard, engine: Engine, sandbox: Sandbox, sampling: Sampling, system_prompt: str | None = None
) -> Agent:
    """The card's agent, with its tools but for those that search."""
    protocol = protocol_of(card.protocol)
    wanted = [name for name in protocol.tools if card.tools is None or name in card.tools]
    return Agent(
        engine=engine,
        protocol=protocol,
        tools=make_tools(wanted, sandbox, protocol.zoom),
        sampling=sampling,
        limits=card.limits,
        system_prompt=system_prompt,
    )
