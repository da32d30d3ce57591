"""The same samples with and without tools, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from evalkit.analysis.rollout import Rollout
from evalkit.records import AGENT, DIRECT, FORCED


class Pair(NamedTuple):
    """One sample with tools and without.

    Attributes:
        agent: with tools, repeat 0.
        direct: without tools, repeat 0.
        drawn: without tools, the scored ones of the k answers that pass@k and the like are about.
        forced: with a call required; None where there is no scored trajectory in which a call really ran.
    """

    agent: Rollout
    direct: Rollout
    drawn: tuple[Rollout, ...]
    forced: Rollout | None

    @property
    def called(self) -> bool:
        """Whether at least one tool call really ran."""
        return bool(self.agent.calls)

    @property
    def right_with(self) -> bool:
        """Right with tools."""
        return self.agent.right

    @property
    def right_without(self) -> bool:
        """Right without tools, at the first try."""
        return self.direct.right


class Pairs(NamedTuple):
    """All pairs of a run, and what is not among them.

    Attributes:
        rows: in the order of the run.
        left_out: samples without a pair, by reason.
        draws: k, the answers without tools per sample that pass@k and the like are about.
        asked_anyway: pairs whose trajectory without tools still asked for a tool (which did not run).
        not_forced: scored trajectories of the forced arm in which no call ran all the same.
        has_forced: whether there is a forced arm at all.
    """

    rows: tuple[Pair, ...]
    left_out: dict[str, int]
    draws: int
    asked_anyway: int
    not_forced: int
    has_forced: bool


def pair_up(rollouts: Iterable[Rollout], *, drawn_apart: bool = False) -> Pairs:
    """Pairs by sample id: repeat 0 of the agent with repeat 0 of the arm `direct`.

    An error or a missing trajectory on either side leaves the sample out, and so does one of which only the last
    response is known: whether it called is not known.

    Args:
        rollouts: of one run.
        drawn_apart: the repeats of `direct` from 1 on have a temperature of their own, so that repeat 0 is not one of
            the k draws.
    """
    agent: dict[str, Rollout] = {}
    forced: dict[str, Rollout] = {}
    direct: dict[str, dict[int, Rollout]] = {}
    for one in rollouts:
        if one.arm == AGENT and one.repeat == 0:
            agent[one.id] = one
        elif one.arm == DIRECT:
            direct.setdefault(one.id, {})[one.repeat] = one
        elif one.arm == FORCED and one.repeat == 0:
            forced[one.id] = one
    rows: list[Pair] = []
    left_out: Counter[str] = Counter()
    for id in dict.fromkeys([*agent, *direct]):
        first, without = agent.get(id), direct.get(id, {})
        if why := _unpaired(first, without.get(0)):
            left_out[why] += 1
        elif first is not None:
            drawn = tuple(without[r] for r in sorted(without) if r >= drawn_apart and not without[r].error)
            push = forced.get(id)
            rows.append(Pair(first, without[0], drawn, push if push and not push.error and push.calls else None))
    most = max((repeat + 1 for found in direct.values() for repeat in found), default=0)
    return Pairs(
        rows=tuple(rows),
        left_out=dict(left_out),
        draws=max(most - drawn_apart, 0),
        asked_anyway=sum(bool(pair.direct.emitted) for pair in rows),
        not_forced=sum(not one.error and one.calls == 0 for one in forced.values()),
        has_forced=bool(forced),
    )


def _unpaired(agent: Rollout | None, direct: Rollout | None) -> str:
    """Why a sample makes no pair; empty where it does."""
    if agent is None:
        return "no trajectory with tools"
    if direct is None:
        return "no trajectory without tools"
    if agent.error:
        return "an error with tools"
    if direct.error:
        return "an error without tools"
    return "" if agent.calls is not None else "calls not known: only the last response is recorded"
