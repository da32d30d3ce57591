"""What rollouts are worth: groups, errors, flat prompts, and the methods' advantages."""

from __future__ import annotations

import pytest

from evalkit.records import (
    RECORD_VERSION,
    CallStatus,
    Outcome,
    Record,
    Sample,
    StopReason,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
)
from evalkit.training.config import Method, PolicySettings
from evalkit.training.credit import Group, groups_of, parts_of, well_formed
from evalkit.training.rollout import Rollout


def rollout(
    verdict: Verdict = Verdict.CORRECT,
    calls: int = 0,
    status: CallStatus = CallStatus.OK,
    stop: StopReason = StopReason.ANSWERED,
    category: str = "",
) -> Rollout:
    turn = Turn(text="", calls=tuple(ToolCall(tool="python", raw="", status=status) for _ in range(calls)))
    return Rollout(
        Record(
            version=RECORD_VERSION,
            sample=Sample(id="a", question="?", category=category),
            trajectory=Trajectory(prompt="", stop=stop, turns=(turn,)),
            outcome=Outcome(verdict=verdict),
        ),
        (),
    )


def group(*rollouts: Rollout, **settings: object) -> Group:
    (found,) = groups_of([rollouts[0].record.sample], [rollouts], PolicySettings(**settings))
    return found


RIGHT, WRONG = rollout(), rollout(Verdict.INCORRECT)
ONE_CALL = rollout(calls=1)


def test_an_error_is_no_wrong_answer() -> None:
    found = group(RIGHT, WRONG, rollout(Verdict.SANDBOX_ERROR), rollout(Verdict.JUDGE_ERROR))
    assert (len(found.rollouts), len(found.errors)) == (2, 2)
    alone = group(RIGHT, WRONG).channels
    assert [c.tolist() for c in found.channels] == [c.tolist() for c in alone]


def test_a_rollout_that_is_left_alone_has_nothing_to_be_compared_with() -> None:
    assert group(RIGHT, rollout(Verdict.ENGINE_ERROR)).rollouts == ()


def test_a_mix_has_a_gradient_and_equal_rollouts_have_none() -> None:
    assert group(RIGHT, WRONG).live == [True, True]
    assert group(RIGHT, RIGHT).live == [False, False]
    assert group(WRONG, WRONG).live == [False, False]


def test_all_right_with_unequal_calls_has_a_gradient_in_the_tool_channel_alone() -> None:
    found = group(RIGHT, ONE_CALL)
    assert found.uniform is True
    assert found.live == [True, True]
    assert found.channels.accuracy.tolist() == [0.0, 0.0]
    assert found.channels.tool[0] > 0 > found.channels.tool[1]
    assert group(RIGHT, ONE_CALL, w_tool=0.0).live == [False, False]
    assert group(RIGHT, ONE_CALL, method=Method.GRPO).live == [False, False]


def test_the_coupled_reward_takes_calls_off_wrong_answers_too() -> None:
    wrong_call = rollout(Verdict.INCORRECT, calls=1)
    found = group(WRONG, wrong_call, method=Method.COUPLED, penalty=0.1)
    assert found.channels.accuracy[0] > 0 > found.channels.accuracy[1]
    assert group(WRONG, wrong_call).live == [False, False]
    assert group(WRONG, wrong_call, method=Method.COUPLED, penalty=0.0).live == [False, False]


def test_advantages_stay_within_a_prompt() -> None:
    settings = PolicySettings()
    both = groups_of([RIGHT.record.sample] * 2, [[RIGHT, WRONG], [WRONG, WRONG]], settings)
    assert [found.live for found in both] == [[True, True], [False, False]]


@pytest.mark.parametrize(
    ("one", "formed"),
    [
        (rollout(), True),
        (rollout(Verdict.INCORRECT, calls=2), True),
        # code that raises is a call in the right form
        (rollout(calls=1, status=CallStatus.FAILED), True),
        (rollout(calls=1, status=CallStatus.MALFORMED), False),
        (rollout(calls=1, status=CallStatus.UNKNOWN_TOOL), False),
        (rollout(Verdict.UNPARSED, stop=StopReason.ENDED), False),
        (rollout(Verdict.LIMIT_TURNS, stop=StopReason.LIMIT_TURNS), False),
    ],
)
def test_form(one: Rollout, formed: bool) -> None:
    assert well_formed(one.record) is formed


def test_only_dispatched_calls_count() -> None:
    found = group(rollout(calls=2, status=CallStatus.NOT_RUN), rollout(calls=2, status=CallStatus.FAILED))
    assert found.calls == (0, 2)


def test_figures_by_category() -> None:
    easy = [rollout(category="easy"), rollout(Verdict.INCORRECT, calls=1, category="easy")]
    hard = [rollout(calls=2, category="hard"), rollout(calls=2, category="hard")]
    found = groups_of([easy[0].record.sample, hard[0].record.sample], [easy, hard], PolicySettings())
    parts = parts_of(found)
    assert (parts["easy"].accuracy, parts["easy"].tool_rate, parts["easy"].calls) == (0.5, 0.5, 0.5)
    assert (parts["hard"].accuracy, parts["hard"].tool_rate, parts["hard"].calls) == (1.0, 1.0, 2.0)
