"""The loss against PPO written out, value and gradient; micro-batches, masks, bounds and bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.hdpo import (
    Channels,
    HdpoInputError,
    LossSettings,
    TokenCounts,
    clipped_loss,
    hdpo_loss,
    token_counts,
)

CLOSE = {"atol": 1e-10, "rtol": 1e-8}


class Given:
    """A random batch: ratios well outside the bounds, advantages of both signs and of none."""

    def __init__(self, seed: int, rows: int = 6, length: int = 9, spread: float = 0.6) -> None:
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=draw, dtype=torch.float64)

        self.old = -normal(rows, length).abs()
        self.new = (self.old + spread * normal(rows, length)).requires_grad_()
        self.reference = self.old + 0.1 * normal(rows, length)
        self.mask = torch.rand(rows, length, generator=draw) < 0.7
        self.mask[0, 0] = True
        zeros = torch.rand(2, rows, generator=draw) < 0.2
        accuracy, tool = normal(2, rows).masked_fill(zeros, 0.0)
        self.channels = Channels(accuracy, tool)
        self.weights = torch.rand(rows, length, generator=draw, dtype=torch.float64) + 0.5

    def gradient(self, loss: torch.Tensor) -> torch.Tensor:
        (found,) = torch.autograd.grad(loss, self.new, retain_graph=True)
        return found


def textbook(
    batch: Given, advantage: torch.Tensor, dual: float | None, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """(rollouts, tokens) losses of PPO with a second bound for negative advantages, 0 for masked tokens."""
    ratio = (batch.new - batch.old).exp()
    a = advantage[:, None]
    loss = torch.maximum(-ratio * a, -ratio.clamp(0.8, 1.3) * a)
    if dual is not None:
        loss = torch.where(a < 0, torch.minimum(-a * dual, loss), loss)
    return loss * batch.mask * (1 if weights is None else weights)


@given(st.integers(0, 10_000), st.sampled_from([None, 1.5, 3.0]), st.booleans())
def test_clipped_loss_is_ppo(seed: int, dual: float | None, weighted: bool) -> None:
    batch = Given(seed)
    weights = batch.weights if weighted else None
    found = clipped_loss(
        batch.new, batch.old, batch.channels.accuracy, batch.mask,
        clip_low=0.2, clip_high=0.3, dual_clip=dual, weights=weights,
    )  # fmt: skip
    expected = textbook(batch, batch.channels.accuracy, dual, weights).sum() / batch.mask.sum()
    torch.testing.assert_close(found.loss, expected, **CLOSE)
    torch.testing.assert_close(batch.gradient(found.loss), batch.gradient(expected), **CLOSE)


@given(st.integers(0, 10_000), st.sampled_from(["qualifying", "all"]), st.booleans())
def test_hdpo_loss_is_the_weighted_sum_of_two(seed: int, tokens: Any, weighted: bool) -> None:
    batch = Given(seed)
    weights = batch.weights if weighted else None
    settings = LossSettings(w_accuracy=0.7, w_tool=0.4, clip_high=0.3, tool_tokens=tokens)
    found = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, settings, weights=weights)
    qualifying = batch.mask[batch.channels.tool != 0] if tokens == "qualifying" else batch.mask
    accuracy = textbook(batch, batch.channels.accuracy, 3.0, weights).sum() / batch.mask.sum()
    tool = textbook(batch, batch.channels.tool, 3.0, weights).sum() / qualifying.sum().clamp(min=1)
    torch.testing.assert_close(found.accuracy, accuracy.detach(), **CLOSE)
    torch.testing.assert_close(found.tool, tool.detach(), **CLOSE)
    expected = 0.7 * accuracy + 0.4 * tool
    torch.testing.assert_close(found.loss, expected, **CLOSE)
    torch.testing.assert_close(batch.gradient(found.loss), batch.gradient(expected), **CLOSE)


@given(st.integers(0, 10_000))
def test_parts_are_those_of_each_channel(seed: int) -> None:
    batch = Given(seed)
    settings = LossSettings(tool_tokens="all")
    found = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, settings)
    for channel, loss, clipped in (
        (batch.channels.accuracy, found.accuracy, found.clipped_accuracy),
        (batch.channels.tool, found.tool, found.clipped_tool),
    ):
        alone = clipped_loss(batch.new, batch.old, channel, batch.mask, dual_clip=3.0)
        torch.testing.assert_close(loss, alone.loss.detach(), **CLOSE)
        # tokens of a rollout without an advantage have nothing to clip
        ratio = (batch.new - batch.old).exp()
        bound = torch.where(channel[:, None] < 0, (ratio < 0.8) | (ratio > 3), ratio > 1.2)
        bound &= batch.mask & (channel != 0)[:, None]
        torch.testing.assert_close(clipped, bound.sum().double() / batch.mask.sum(), **CLOSE)
        torch.testing.assert_close(found.approx_kl, alone.approx_kl, **CLOSE)
    gone = ((batch.new - batch.old).square() / 2)[batch.mask].sum() / batch.mask.sum()
    torch.testing.assert_close(found.approx_kl, gone.detach(), **CLOSE)


@given(st.integers(0, 10_000), st.sampled_from(["qualifying", "all"]))
def test_micro_batches_add_up(seed: int, tokens: Any) -> None:
    batch = Given(seed)
    settings = LossSettings(kl=0.1, tool_tokens=tokens)
    whole = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, settings, reference_logprobs=batch.reference)
    counts = token_counts(batch.channels, batch.mask, settings)
    parts = [
        hdpo_loss(
            batch.new[rows], batch.old[rows], Channels(*(c[rows] for c in batch.channels)), batch.mask[rows], settings,
            normaliser=TokenCounts(int(counts.accuracy), int(counts.tool)), reference_logprobs=batch.reference[rows],
        )
        for rows in (slice(0, 1), slice(1, 4), slice(4, None))
    ]  # fmt: skip
    for name in whole._fields:
        torch.testing.assert_close(sum(getattr(part, name) for part in parts), getattr(whole, name), **CLOSE)


@given(st.integers(0, 10_000))
def test_scale_of_one_channel_leaves_the_others_gradient(seed: int) -> None:
    batch = Given(seed)
    larger = batch.channels._replace(tool=8 * batch.channels.tool)
    settings = LossSettings(w_tool=0.5)
    plain = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, settings)
    scaled = hdpo_loss(batch.new, batch.old, larger, batch.mask, settings)
    assert torch.equal(plain.accuracy, scaled.accuracy)
    torch.testing.assert_close(8 * plain.tool, scaled.tool, **CLOSE)
    only = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, LossSettings(w_tool=0.0))
    one = batch.gradient(plain.loss) - batch.gradient(only.loss)
    eight = batch.gradient(scaled.loss) - batch.gradient(only.loss)
    torch.testing.assert_close(8 * one, eight, **CLOSE)


@given(st.integers(0, 10_000))
def test_order_of_rollouts_does_not_matter(seed: int) -> None:
    batch = Given(seed)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    moved = Channels(*(channel[order] for channel in batch.channels))
    here = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, LossSettings())
    there = hdpo_loss(batch.new[order], batch.old[order], moved, batch.mask[order], LossSettings())
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def test_without_the_tool_weight_it_is_grpo() -> None:
    batch = Given(1)
    found = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, LossSettings(w_tool=0.0, dual_clip=None))
    alone = clipped_loss(batch.new, batch.old, batch.channels.accuracy, batch.mask)
    torch.testing.assert_close(found.loss, alone.loss, **CLOSE)
    # what is reported of the other channel is its loss all the same
    tool = clipped_loss(batch.new, batch.old, batch.channels.tool, batch.mask)
    qualifying = batch.mask.sum() / batch.mask[batch.channels.tool != 0].sum()
    torch.testing.assert_close(found.tool, tool.loss.detach() * qualifying, **CLOSE)


def test_tokens_of_a_mask_in_half_precision_are_counted_exactly() -> None:
    mask = torch.ones(3, 1001, dtype=torch.bfloat16)
    counts = token_counts(Channels(torch.ones(3), torch.tensor([0.0, 1.0, -1.0])), mask, LossSettings())
    assert (int(counts.accuracy), int(counts.tool)) == (3003, 2002)


def test_on_policy_gradient_is_the_advantage() -> None:
    """At a ratio of 1 each written token's gradient is -A over the tokens of its channel."""
    logprobs = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    channels = Channels(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0]))
    found = hdpo_loss(logprobs, logprobs.detach(), channels, mask, LossSettings(w_tool=0.15))
    (gradient,) = torch.autograd.grad(found.loss, logprobs)
    right = 1 / 5 - 0.15 * 2 / 3
    expected = torch.tensor([[-1 / 5, -1 / 5, 0], [right, right, right]], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected)
    assert found.approx_kl == found.clipped_accuracy == found.clipped_tool == 0


def test_what_masked_tokens_hold_has_no_effect() -> None:
    batch = Given(2)
    clean = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, LossSettings(), weights=batch.weights)
    spoilt = batch.new.detach().masked_fill(~batch.mask, -math.inf).requires_grad_()
    old = batch.old.masked_fill(~batch.mask, -math.inf)
    weights = batch.weights.masked_fill(~batch.mask, math.nan)
    found = hdpo_loss(spoilt, old, batch.channels, batch.mask, LossSettings(), weights=weights)
    torch.testing.assert_close(found.loss, clean.loss)
    (gradient,) = torch.autograd.grad(found.loss, spoilt)
    torch.testing.assert_close(gradient, batch.gradient(clean.loss))


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_a_ratio_beyond_floating_point_has_no_gradient(advantage: float) -> None:
    logprobs = torch.zeros(1, 2, requires_grad=True)
    old = torch.tensor([[-200.0, 0.0]])
    found = clipped_loss(logprobs, old, torch.tensor([advantage]), torch.ones(1, 2), dual_clip=3.0)
    (gradient,) = torch.autograd.grad(found.loss, logprobs)
    assert gradient[0, 0] == 0
    assert torch.isfinite(found.loss)


def test_half_precision_is_computed_in_single() -> None:
    batch = Given(3, spread=0.01)
    new, old = batch.new.detach().bfloat16(), batch.old.bfloat16()
    found = hdpo_loss(new, old, batch.channels, batch.mask, LossSettings())
    exact = hdpo_loss(new.double(), old.double(), batch.channels, batch.mask, LossSettings())
    assert found.loss.dtype == torch.float32
    torch.testing.assert_close(found.loss.double(), exact.loss, atol=1e-6, rtol=1e-6)


def test_long_rollouts_keep_their_digits() -> None:
    """16k tokens near the old policy: a float32 sum of ratios would have an error of the size of the loss."""
    draw = torch.Generator().manual_seed(0)
    old = -torch.rand(4, 16_384, generator=draw)
    new = old + 1e-4 * torch.randn(4, 16_384, generator=draw)
    channels = Channels(torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0.7, -0.7, 0.0, 0.0]))
    mask = torch.ones(4, 16_384)
    found = hdpo_loss(new, old, channels, mask, LossSettings())
    exact = hdpo_loss(new.double(), old.double(), channels, mask, LossSettings())
    torch.testing.assert_close(found.loss.double(), exact.loss, atol=2e-9, rtol=1e-4)


def test_no_tokens_are_no_loss() -> None:
    batch = Given(4)
    found = hdpo_loss(batch.new, batch.old, batch.channels, torch.zeros(6, 9), LossSettings())
    assert found.loss == 0
    assert (batch.gradient(found.loss) == 0).all()


def test_reference_divergence() -> None:
    batch = Given(5)
    settings = LossSettings(w_accuracy=0.0, w_tool=0.0, kl=0.5)
    found = hdpo_loss(batch.new, batch.old, batch.channels, batch.mask, settings, reference_logprobs=batch.reference)
    behind = batch.reference - batch.new
    expected = (behind.exp() - 1 - behind)[batch.mask].mean()
    torch.testing.assert_close(found.kl, expected.detach(), **CLOSE)
    torch.testing.assert_close(found.loss, expected / 2, **CLOSE)
    assert found.kl >= 0


B = Given(6)
ROWS = torch.ones(6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clipped_loss(B.new, B.old[:, 1:], ROWS, B.mask), "shapes that disagree: logprobs (6, 9)"),
        (lambda: clipped_loss(B.new, B.old, ROWS[:5], B.mask), "shapes that disagree: advantages (5)"),
        (lambda: clipped_loss(B.new[0], B.old[0], ROWS, B.mask[0]), "mask must be (rollouts, tokens)"),
        (lambda: clipped_loss(B.new, B.old, ROWS * math.nan, B.mask), "advantages of rollout 0 is nan"),
        (lambda: clipped_loss(B.new, B.old, ROWS, B.mask, clip_low=1.0), "clip_low is 1.0"),
        (lambda: clipped_loss(B.new, B.old, ROWS, B.mask, clip_high=0.0), "clip_high is 0.0"),
        (lambda: clipped_loss(B.new, B.old, ROWS, B.mask, dual_clip=1.0), "dual_clip is 1.0"),
        (lambda: clipped_loss(B.new, B.old, ROWS, B.mask, weights=ROWS), "weights must be (6, 9) or (6, 1), not (6)"),
        (
            lambda: hdpo_loss(B.new, B.old, Channels(ROWS, ROWS[:2]), B.mask, LossSettings()),
            "shapes that disagree: accuracy (6), tool (2)",
        ),
        (
            lambda: hdpo_loss(B.new, B.old, Channels(ROWS, ROWS * math.inf), B.mask, LossSettings()),
            "the tool advantage of rollout 0 is inf",
        ),
        (lambda: hdpo_loss(B.new, B.old, B.channels, B.mask, LossSettings(kl=0.1)), "no reference_logprobs"),
        (
            lambda: hdpo_loss(B.new, B.old, B.channels, B.mask, LossSettings(), normaliser=40),
            "give the batch's token_counts, or set tool_tokens to all",
        ),
        (lambda: LossSettings(w_tool=-1), "w_tool is -1: give a weight from 0"),
        (lambda: LossSettings(kl=math.nan), "kl is nan"),
        (lambda: LossSettings(clip_high=-1), "clip_high is -1"),
        (lambda: LossSettings(tool_tokens="some"), "tool_tokens is 'some'"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_one_line(call: Any, message: str) -> None:
    with pytest.raises(HdpoInputError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
