"""What a rollout's reward is worth among the rollouts of its prompt, in each channel on its own."""

from __future__ import annotations

from typing import NamedTuple

import torch

from evalkit.hdpo.checks import HdpoInputError, finite, prompt_ids, same_rows, zero_or_one

EPSILON = 1e-6
"""Added to the deviation that advantages are divided by."""


class Channels(NamedTuple):
    """Advantages of a batch; each tensor is (rollouts,).

    Attributes:
        accuracy: among all rollouts of the prompt.
        tool: among its right rollouts; 0 for wrong ones and where fewer than two are right.
    """

    accuracy: torch.Tensor
    tool: torch.Tensor


def group_advantages(
    reward: torch.Tensor,
    prompt: torch.Tensor,
    *,
    among: torch.Tensor | None = None,
    divide: bool = True,
    epsilon: float = EPSILON,
) -> torch.Tensor:
    """GRPO's advantages: (reward - mean) / (deviation + epsilon) over the rollouts of a prompt.

    Source: GRPO (arXiv 2402.03300) with the sample deviation (n - 1), and arXiv 2604.08545 for `among`. Computed in
    float64. Equal rewards give exactly 0: rounding of their mean would otherwise be divided by a deviation of nearly
    nothing.

    Args:
        reward: (rollouts,) rewards.
        prompt: (rollouts,) integer ids from 0, equal for the rollouts of one prompt, in any order.
        among: (rollouts,) 1 for those that are compared; the others get 0, and so do all where fewer than two of a
            prompt are compared. Without it all are compared, and a prompt's only rollout keeps its reward as its
            advantage (mean 0, deviation 1), as in the code that the authors of HDPO published.
        divide: whether to divide by the deviation; without it these are the advantages of Dr. GRPO
            (arXiv 2503.20783).
        epsilon: see above.

    Returns:
        (rollouts,) advantages, of the type of `reward`, without gradient.

    Raises:
        HdpoInputError: shapes that disagree, rewards that are no numbers, an unknown prompt, `among` other than 0, 1.
    """
    same_rows(reward=reward, prompt=prompt, **({} if among is None else {"among": among}))
    if not reward.is_floating_point():
        raise HdpoInputError(f"reward must hold floating-point numbers, not {str(reward.dtype).removeprefix('torch.')}")
    finite("reward", reward)
    prompt_ids(prompt)
    if among is not None:
        zero_or_one("among", among)
    compared = torch.ones_like(reward, dtype=torch.bool) if among is None else among.bool()

    values = reward.detach().double()
    ids, group = torch.unique(prompt, return_inverse=True)
    used, at = values[compared], group[compared]
    nothing = values.new_zeros(len(ids))
    number = nothing.index_add(0, at, torch.ones_like(used))
    mean = nothing.index_add(0, at, used) / number.clamp(min=1)
    squares = nothing.index_add(0, at, (used - mean[at]).square())
    deviation = (squares / (number - 1).clamp(min=1)).sqrt()
    alike = _extreme(used, at, len(ids), "amin") == _extreme(used, at, len(ids), "amax")

    advantage = values - mean[group]
    if divide:
        advantage = advantage / (deviation[group] + epsilon)
    advantage = advantage.masked_fill(alike[group], 0.0)
    alone = number[group] < 2
    by_itself = values / (1 + epsilon) if divide and among is None else values if among is None else values * 0
    return torch.where(alone, by_itself, advantage).masked_fill(~compared, 0.0).to(reward.dtype)


def hdpo_advantages(
    accuracy: torch.Tensor,
    tool: torch.Tensor,
    correct: torch.Tensor,
    prompt: torch.Tensor,
    *,
    divide: bool = True,
) -> Channels:
    """HDPO's two advantages, each normalised on its own: the scale of one reward does not reach the other channel.

    Source: arXiv 2604.08545.

    Args:
        accuracy: (rollouts,) rewards of the accuracy channel, compared among all rollouts of a prompt.
        tool: (rollouts,) rewards of the tool channel, compared among the right ones.
        correct: (rollouts,) 1 where the answer is right, else 0.
        prompt: (rollouts,) integer ids from 0, equal for the rollouts of one prompt.
        divide: whether both are divided by their group's deviation.

    Raises:
        HdpoInputError: as `group_advantages`.
    """
    same_rows(accuracy=accuracy, tool=tool, correct=correct, prompt=prompt)
    return Channels(
        accuracy=group_advantages(accuracy, prompt, divide=divide),
        tool=group_advantages(tool, prompt, among=correct, divide=divide),
    )


def _extreme(values: torch.Tensor, at: torch.Tensor, groups: int, which: str) -> torch.Tensor:
    return values.new_zeros(groups).scatter_reduce(0, at, values, which, include_self=False)
