"""Rewards and advantages: what must hold for any batch, and one line for what cannot be one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.hdpo import (
    Channels,
    HdpoInputError,
    accuracy_reward,
    coupled_reward,
    group_advantages,
    hdpo_advantages,
    tool_reward,
)

CLOSE = {"atol": 1e-9, "rtol": 1e-9}


class Batch(NamedTuple):
    prompt: torch.Tensor
    correct: torch.Tensor
    formed: torch.Tensor
    calls: torch.Tensor

    def channels(self, accuracy: float = 1.0, tool: float = 1.0, divide: bool = True) -> Channels:
        """Advantages of rewards that are multiplied by `accuracy` and `tool`."""
        return hdpo_advantages(
            accuracy * accuracy_reward(self.correct, self.formed),
            tool * tool_reward(self.correct, self.calls),
            self.correct,
            self.prompt,
            divide=divide,
        )


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    rows = draw(
        st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans(), st.integers(0, 6)), min_size=1, max_size=40)
    )
    prompt, correct, formed, calls = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Batch(prompt * 7, correct.double(), formed.double(), calls)


@given(batches(), st.booleans())
def test_wrong_rollouts_have_no_tool_advantage(batch: Batch, divide: bool) -> None:
    tool = batch.channels(divide=divide).tool
    assert (tool[batch.correct == 0] == 0).all()


@given(batches(), st.booleans())
def test_fewer_than_two_right_give_nothing(batch: Batch, divide: bool) -> None:
    channels = batch.channels(divide=divide)
    for prompt in batch.prompt.unique():
        group = batch.prompt == prompt
        if batch.correct[group].sum() < 2:
            assert (channels.tool[group] == 0).all()


@given(batches(), st.sampled_from([0.5, 2.0, 8.0]))
def test_scale_of_one_channel_leaves_the_other(batch: Batch, factor: float) -> None:
    plain = batch.channels()
    assert torch.equal(batch.channels(accuracy=factor).tool, plain.tool)
    assert torch.equal(batch.channels(tool=factor).accuracy, plain.accuracy)
    # and hardly its own, being divided by its own deviation
    scaled = batch.channels(tool=factor).tool
    torch.testing.assert_close(scaled, plain.tool, atol=1e-4, rtol=1e-4)


@given(batches(), st.randoms(use_true_random=False))
def test_order_of_rollouts_does_not_matter(batch: Batch, random: Any) -> None:
    order = list(range(len(batch.prompt)))
    random.shuffle(order)
    moved = Batch(*(column[order] for column in batch)).channels()
    for there, here in zip(moved, batch.channels(), strict=True):
        torch.testing.assert_close(there, here[order], **CLOSE)


@given(batches())
def test_names_of_prompts_do_not_matter(batch: Batch) -> None:
    renamed = batch._replace(prompt=1000 - batch.prompt)
    for there, here in zip(renamed.channels(), batch.channels(), strict=True):
        torch.testing.assert_close(there, here, **CLOSE)


@given(batches())
def test_channels_are_the_textbook_formula(batch: Batch) -> None:
    """Group by group with torch.std, as the published code goes about it."""
    channels = batch.channels()
    accuracy, tool = accuracy_reward(batch.correct, batch.formed), tool_reward(batch.correct, batch.calls)
    for prompt in batch.prompt.unique():
        group = batch.prompt == prompt
        values = accuracy[group]
        expected = (values - values.mean()) / (values.std() + 1e-6) if len(values) > 1 else values / (1 + 1e-6)
        torch.testing.assert_close(channels.accuracy[group], expected, atol=1e-7, rtol=1e-7)
        right = group & (batch.correct == 1)
        values = tool[right]
        if len(values) > 1:
            expected = (values - values.mean()) / (values.std() + 1e-6)
            torch.testing.assert_close(channels.tool[right], expected, atol=1e-7, rtol=1e-7)


@given(batches())
def test_advantages_of_a_prompt_sum_to_nothing(batch: Batch) -> None:
    channels = batch.channels(divide=False)
    for prompt in batch.prompt.unique():
        group = batch.prompt == prompt
        assert channels.tool[group].sum().abs() < 1e-9
        if group.sum() > 1:
            assert channels.accuracy[group].sum().abs() < 1e-9


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7])
def test_equal_rewards_give_exactly_nothing(value: float, kind: torch.dtype) -> None:
    """In float32 a mean of 0.1s is not 0.1, and the rest would be divided by a deviation of the same smallness."""
    reward = torch.full((7,), value, dtype=kind)
    found = group_advantages(reward, torch.zeros(7, dtype=torch.long))
    assert found.dtype == kind
    assert (found == 0).all()


def test_group_of_one_keeps_its_reward() -> None:
    reward = torch.tensor([0.7, 0.2], dtype=torch.float64)
    prompt = torch.tensor([3, 9])
    torch.testing.assert_close(group_advantages(reward, prompt), reward / (1 + 1e-6))
    assert torch.equal(group_advantages(reward, prompt, divide=False), reward)
    assert (group_advantages(reward, prompt, among=torch.ones(2)) == 0).all()


def test_advantages_carry_no_gradient() -> None:
    reward = torch.tensor([1.0, 0.0], requires_grad=True)
    assert not group_advantages(reward, torch.zeros(2, dtype=torch.long)).requires_grad


def test_empty_batch_has_empty_advantages() -> None:
    none = torch.zeros(0)
    channels = hdpo_advantages(none, none, none, none.long())
    assert channels.accuracy.shape == channels.tool.shape == (0,)


def test_tool_reward_of_failed_calls_counts_them() -> None:
    found = tool_reward(torch.tensor([1, 1, 0]), torch.tensor([0, 3, 0]))
    assert found.tolist() == [1.0, 0.25, 0.0]


def test_coupled_reward_takes_its_price_from_wrong_rollouts_too() -> None:
    found = coupled_reward(torch.tensor([1.0, 0.1], dtype=torch.float64), torch.tensor([2, 4]), 0.1)
    torch.testing.assert_close(found, torch.tensor([0.8, -0.3], dtype=torch.float64))


ONE = torch.ones(3)
IDS = torch.zeros(3, dtype=torch.long)
NAN = torch.tensor([1.0, float("nan"), float("nan")])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: group_advantages(ONE, IDS[:2]), "shapes that disagree: reward (3), prompt (2)"),
        (lambda: group_advantages(ONE[None], IDS[None]), "reward must have one value a rollout, not the shape (1, 3)"),
        (lambda: group_advantages(NAN, IDS), "reward of rollout 1 is nan (2 of 3 are no numbers)"),
        (lambda: group_advantages(ONE, torch.tensor([0, -1, 2])), "prompt of rollout 1 is -1, an unknown prompt"),
        (lambda: group_advantages(ONE, ONE), "prompt must hold integer ids, not float32"),
        (lambda: group_advantages(IDS, IDS), "reward must hold floating-point numbers, not int64"),
        (lambda: group_advantages(ONE, IDS, among=ONE * 0.5), "among of rollout 0 is 0.5, neither 0 nor 1"),
        (lambda: hdpo_advantages(ONE, ONE, ONE[:2], IDS), "shapes that disagree: accuracy (3), tool (3), correct (2)"),
        (lambda: hdpo_advantages(ONE, NAN, ONE, IDS), "reward of rollout 1 is nan"),
        (lambda: accuracy_reward(ONE, ONE[:1]), "shapes that disagree"),
        (lambda: accuracy_reward(NAN, ONE), "correct of rollout 1 is nan, neither 0 nor 1"),
        (lambda: accuracy_reward(ONE, ONE, answer_share=1.5), "answer_share is 1.5: give 0 to 1"),
        (lambda: tool_reward(ONE, ONE - 2), "calls of rollout 0 is -1.0, no count"),
        (lambda: tool_reward(ONE, ONE / 2), "calls of rollout 0 is 0.5, no count"),
        (lambda: coupled_reward(ONE, ONE, -0.1), "penalty is -0.1"),
        (lambda: coupled_reward(ONE, ONE, float("nan")), "penalty is nan"),
        (lambda: coupled_reward(NAN, ONE, 0.1), "accuracy of rollout 1 is nan"),
    ],
)
def test_bad_input_is_one_line(call: Any, message: str) -> None:
    with pytest.raises(HdpoInputError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_importing_evalkit_loads_no_torch() -> None:
    code = "import sys, evalkit, evalkit.hdpo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
