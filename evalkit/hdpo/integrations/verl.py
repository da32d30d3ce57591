"""HDPO for verl: an advantage estimator and a policy loss in verl's own registries.

verl loads the modules in VERL_USE_EXTERNAL_MODULES in each of its processes. One that calls `register` makes the
configuration `algorithm.adv_estimator=hdpo actor_rollout_ref.actor.policy_loss.loss_mode=hdpo` work. The reward
function returns the accuracy reward, as `accuracy_reward` makes it; bounds of the ratio and the divergence from a
reference are those of verl's actor configuration.

verl hands an estimator a batch's token rewards and response mask, and nothing else; the calls are therefore read from
the mask. A turn's observation stands in it as a run of tokens that the model did not write, between two runs that it
did: their number is that of the calls where each turn makes at most one (verl's `max_parallel_calls`, by default 1).
A call at a trajectory's end is not seen; such a trajectory has no answer, so that its calls do not matter.

It hands a policy loss one advantage a token. A rollout's two advantages are the same for all its tokens, so its first
written token carries that of the tool channel and all others that of the accuracy channel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss

from evalkit.hdpo.advantages import Channels, hdpo_advantages
from evalkit.hdpo.checks import HdpoInputError, finite, shape_of
from evalkit.hdpo.loss import hdpo_loss, token_counts
from evalkit.hdpo.rewards import ANSWER_SHARE, tool_reward
from evalkit.hdpo.settings import LossSettings, TokenMean

_ROUNDING = 1e-6

Estimator = Callable[..., tuple[torch.Tensor, torch.Tensor]]
PolicyLoss = Callable[..., tuple[torch.Tensor, dict[str, float]]]


def register(
    name: str = "hdpo", *, w_accuracy: float = 1.0, w_tool: float = 0.15, tool_tokens: TokenMean = "qualifying"
) -> None:
    """Make HDPO known to verl, in the process that calls it.

    Args:
        name: of the estimator and of the policy loss.
        w_accuracy: see `LossSettings`.
        w_tool: see there.
        tool_tokens: see there; "qualifying" is of the whole batch that advantages are computed for.

    Raises:
        HdpoInputError: weights out of range, or another estimator has this name.
    """
    settings = LossSettings(w_accuracy=w_accuracy, w_tool=w_tool, tool_tokens=tool_tokens)
    try:
        register_adv_est(name)(_estimator(settings))
    except ValueError:
        raise HdpoInputError(f"verl has another estimator named {name!r}: choose another name") from None
    register_policy_loss(name)(_policy_loss(settings))


def calls_in_mask(response_mask: torch.Tensor) -> torch.Tensor:
    """Tool calls of each rollout, by the gaps between its written tokens: (rollouts,) int64.

    Args:
        response_mask: (rollouts, tokens) 1 for tokens that the model wrote.
    """
    written = response_mask != 0
    starts = written & ~torch.nn.functional.pad(written, (1, 0))[:, :-1]
    return (starts.sum(-1) - 1).clamp(min=0)


def pack(channels: Channels, response_mask: torch.Tensor) -> torch.Tensor:
    """Both advantages of each rollout in one value a token, (rollouts, tokens).

    Args:
        channels: advantages, (rollouts,) each.
        response_mask: (rollouts, tokens) 1 for tokens that the model wrote.

    Raises:
        HdpoInputError: a rollout with a tool advantage has a single written token.
    """
    written = response_mask != 0
    length = written.sum(-1)
    short = (length < 2) & (channels.tool != 0)
    if short.any():
        raise HdpoInputError(
            f"rollout {int(short.nonzero()[0, 0])} has a tool advantage but fewer than two written tokens: keep the "
            "end-of-turn token in the response"
        )
    packed = channels.accuracy[:, None] * written.to(channels.accuracy.dtype)
    rows = (length > 1).nonzero()[:, 0]
    packed[rows, written.int().argmax(-1)[rows]] = channels.tool[rows]
    return packed


def unpack(advantages: torch.Tensor, response_mask: torch.Tensor) -> Channels:
    """What `pack` packed."""
    written = response_mask != 0
    length = written.sum(-1)
    last = written.shape[1] - 1 - written.flip(-1).int().argmax(-1)
    rows = torch.arange(len(advantages), device=advantages.device)
    accuracy = advantages[rows, last].masked_fill(length == 0, 0.0)
    tool = advantages[rows, written.int().argmax(-1)].masked_fill(length < 2, 0.0)
    return Channels(accuracy, tool)


@cache
def _estimator(settings: LossSettings) -> Estimator:
    def hdpo_estimator(
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: NDArray[Any] | None = None,
        config: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if index is None:
            raise HdpoInputError("verl's batch has no uid: rollouts of one prompt cannot be told")
        accuracy = _accuracy(token_level_rewards)
        if not len(index) == len(response_mask) == len(accuracy):
            raise HdpoInputError(
                f"shapes that disagree: token_level_rewards {shape_of(token_level_rewards)}, response_mask "
                f"{shape_of(response_mask)}, uid ({len(index)})"
            )
        correct = (accuracy >= ANSWER_SHARE - _ROUNDING).to(accuracy.dtype)
        tool = tool_reward(correct, calls_in_mask(response_mask))
        prompt = torch.from_numpy(np.unique(index, return_inverse=True)[1]).to(accuracy.device)
        divide = True if config is None else config.get("norm_adv_by_std_in_grpo", True)
        channels = hdpo_advantages(accuracy, tool, correct, prompt, divide=divide)
        returns = channels.accuracy[:, None] * (response_mask != 0)
        counts = token_counts(channels, response_mask, settings)
        # the loss sees micro-batches, and divides both channels by the tokens of all rollouts
        own = channels.tool * (counts.accuracy / torch.as_tensor(counts.tool).clamp(min=1))
        return pack(channels._replace(tool=own), response_mask), returns

    return hdpo_estimator


@cache
def _policy_loss(settings: LossSettings) -> PolicyLoss:
    def hdpo_policy_loss(
        old_log_prob: torch.Tensor,
        log_prob: torch.Tensor,
        advantages: torch.Tensor,
        response_mask: torch.Tensor,
        loss_agg_mode: str = "token-mean",
        config: Any = None,
        rollout_is_weights: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, dict[str, float]]:
        if loss_agg_mode != "token-mean":
            raise HdpoInputError(f"loss_agg_mode is {loss_agg_mode!r}: HDPO's loss is a token-mean")
        batch = config.global_batch_info
        written = response_mask.sum()
        tokens = batch.get("batch_num_tokens")
        normaliser = written if tokens is None else tokens / batch.get("dp_size", 1)
        found = hdpo_loss(
            log_prob,
            old_log_prob,
            unpack(advantages, response_mask),
            response_mask,
            LossSettings(
                w_accuracy=settings.w_accuracy,
                w_tool=settings.w_tool,
                clip_low=config.clip_ratio if config.clip_ratio_low is None else config.clip_ratio_low,
                clip_high=config.clip_ratio if config.clip_ratio_high is None else config.clip_ratio_high,
                dual_clip=config.get("clip_ratio_c", 3.0),
                tool_tokens="all",
            ),
            normaliser=normaliser,
            weights=rollout_is_weights,
        )
        # verl takes the mean of these over micro-batches
        share = float(normaliser / written.clamp(min=1))
        return found.loss, {
            "actor/pg_clipfrac": share * found.clipped_accuracy.item(),
            "actor/pg_clipfrac_tool": share * found.clipped_tool.item(),
            "actor/ppo_kl": share * found.approx_kl.item(),
            "actor/pg_loss_accuracy": share * found.accuracy.item(),
            "actor/pg_loss_tool": share * found.tool.item(),
        }

    return hdpo_policy_loss


def _accuracy(token_level_rewards: torch.Tensor) -> torch.Tensor:
    """(rollouts,) accuracy rewards: verl sets each at one token."""
    reward = token_level_rewards.sum(-1)
    finite("token_level_rewards", reward)
    several = (token_level_rewards != 0).sum(-1) > 1
    if several.any():
        raise HdpoInputError(
            f"rollout {int(several.nonzero()[0, 0])} has rewards at several tokens: HDPO takes one accuracy reward a "
            "rollout; set algorithm.use_kl_in_reward to False"
        )
    out = (reward < 0) | (reward > 1 + _ROUNDING)
    if out.any():
        first = int(out.nonzero()[0, 0])
        raise HdpoInputError(
            f"the reward of rollout {first} is {reward[first].item():g}: HDPO takes the accuracy reward, 0 to 1, from "
            "verl and adds the tool channel itself"
        )
    return reward
