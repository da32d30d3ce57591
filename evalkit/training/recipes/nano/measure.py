"""A policy on held-out boards, as it would be deployed: greedy, with its tools and without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from evalkit.engines.base import Sampling
from evalkit.errors import EvalkitError
from evalkit.models import ModelCard
from evalkit.records import Outcome, Rule, Sample, Trajectory
from evalkit.runs.outcome import outcome_of
from evalkit.runs.pixels import budget_for
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.sandbox import LocalSandbox
from evalkit.task import Task
from evalkit.training.memo import Memory, MemoSandbox
from evalkit.training.policy_engine import PolicyEngine
from evalkit.training.roller import agent_for

_AT_ONCE = 256


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """Items of one category; every figure is a share of them, but `calls`.

    Attributes:
        items: how many; none of them an error.
        accuracy: right.
        tool_rate: with at least one dispatched call.
        calls: dispatched calls an item.
        direct_accuracy: right without tools.
        redundant: called, though right without tools.
    """

    items: int
    accuracy: float
    tool_rate: float
    calls: float
    direct_accuracy: float
    redundant: float


async def held_out(
    model: Any, card: ModelCard, task: Task, samples: Sequence[Sample], memory: Memory | None = None
) -> dict[str, HeldOut]:
    """The figures of every category, and of all items together under "all".

    Args:
        model: the policy.
        card: how it is asked.
        task: scores its answers.
        samples: the items.
        memory: of what the model's code gave on these images before.

    Raises:
        EvalkitError: an item could not be run or scored.
    """
    sandbox = MemoSandbox(LocalSandbox(), memory)
    engine = PolicyEngine(model, card.weights.location, revision=card.weights.revision, max_batch=64)
    await sandbox.start()
    try:
        facts = await engine.start()
        found = []
        for asked in (card, msgspec.structs.replace(card, tools=())):
            agent = agent_for(asked, engine, sandbox, Sampling(temperature=0.0))
            agent.budget = budget_for(asked, facts)
            found.append(await _answers(agent, engine, task, samples))
    finally:
        await engine.close()
        await sandbox.close()
    rows: dict[str, list[tuple[bool, int, bool]]] = defaultdict(list)
    for sample, (trajectory, outcome), (_, direct) in zip(samples, *found, strict=True):
        calls = sum(call.status.dispatched for call in trajectory.calls)
        row = (outcome.right(Rule.STRICT), calls, direct.right(Rule.STRICT))
        rows["all"].append(row)
        rows[sample.category].append(row)
    return {name: _figures(these) for name, these in sorted(rows.items())}


async def _answers(
    agent: Any, engine: PolicyEngine, task: Task, samples: Sequence[Sample]
) -> list[tuple[Trajectory, Outcome]]:
    found: dict[str, tuple[Trajectory, Outcome]] = {}

    async def work(sample: Sample) -> None:
        trajectory = await agent.run(sample, sample.id)
        engine.take(sample.id)
        outcome = outcome_of(task, sample, trajectory)
        if outcome.verdict.is_error:
            raise EvalkitError(f"held-out item {sample.id} could not be run: {trajectory.error or outcome.verdict}")
        found[sample.id] = trajectory, outcome

    with engine.unchanged():
        await in_flight(samples, work, _AT_ONCE, Stop())
    return [found[sample.id] for sample in samples]


def _figures(rows: Sequence[tuple[bool, int, bool]]) -> HeldOut:
    n = len(rows)
    return HeldOut(
        items=n,
        accuracy=sum(right for right, _, _ in rows) / n,
        tool_rate=sum(calls > 0 for _, calls, _ in rows) / n,
        calls=sum(calls for _, calls, _ in rows) / n,
        direct_accuracy=sum(direct for _, _, direct in rows) / n,
        redundant=sum(calls > 0 and direct for _, calls, direct in rows) / n,
    )
