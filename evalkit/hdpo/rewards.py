"""What a rollout earns: for its answer and form, for doing with few calls, and for both in one number.

All tensors have one value a rollout, and all rewards are in [0, 1] but for the coupled one, which may be negative.
"""

from __future__ import annotations

import math

import torch

from evalkit.hdpo.checks import HdpoInputError, counts, finite, same_rows, zero_or_one

ANSWER_SHARE = 0.9
"""Share of the accuracy reward that the answer makes; the rest is for the form."""


def accuracy_reward(
    correct: torch.Tensor, well_formed: torch.Tensor, *, answer_share: float = ANSWER_SHARE
) -> torch.Tensor:
    """Reward of the accuracy channel: 0.9 for the right answer and 0.1 for the right form.

    Source: arXiv 2604.08545, r_acc = 0.9 r_ans + 0.1 r_fmt.

    Args:
        correct: (rollouts,) 1 where the answer is right, else 0.
        well_formed: (rollouts,) 1 where the trajectory has the form that its protocol asks for, else 0.
        answer_share: share of the answer, 0 to 1.

    Returns:
        (rollouts,) rewards of the floating type of `correct`, float32 for other types.

    Raises:
        HdpoInputError: shapes that disagree, values other than 0 and 1, a share out of range.
    """
    same_rows(correct=correct, well_formed=well_formed)
    zero_or_one("correct", correct)
    zero_or_one("well_formed", well_formed)
    if not 0 <= answer_share <= 1:
        raise HdpoInputError(f"answer_share is {answer_share}: give 0 to 1")
    answer = _floating(correct)
    return answer_share * answer + (1 - answer_share) * well_formed.to(answer.dtype)


def tool_reward(correct: torch.Tensor, calls: torch.Tensor) -> torch.Tensor:
    """Reward of the tool channel: 1 / (T + 1) for a right answer after T calls, nothing for a wrong one.

    Source: arXiv 2604.08545. T counts dispatched calls, in the authors' code those that failed included.

    Args:
        correct: (rollouts,) 1 where the answer is right, else 0.
        calls: (rollouts,) dispatched tool calls.

    Returns:
        (rollouts,) rewards of the floating type of `correct`, float32 for other types.

    Raises:
        HdpoInputError: shapes that disagree, `correct` other than 0 and 1, calls that are no counts.
    """
    same_rows(correct=correct, calls=calls)
    zero_or_one("correct", correct)
    counts("calls", calls)
    answer = _floating(correct)
    return answer / (calls.to(answer.dtype) + 1)


def coupled_reward(accuracy: torch.Tensor, calls: torch.Tensor, penalty: float) -> torch.Tensor:
    """Reward that HDPO replaces: accuracy less a price for each call, r_acc - lambda T.

    Args:
        accuracy: (rollouts,) accuracy rewards.
        calls: (rollouts,) dispatched tool calls.
        penalty: lambda, reward a call; 0 is plain GRPO.

    Returns:
        (rollouts,) rewards of the floating type of `accuracy`, float32 for other types.

    Raises:
        HdpoInputError: shapes that disagree, a reward that is no number, calls that are no counts, a negative penalty.
    """
    same_rows(accuracy=accuracy, calls=calls)
    finite("accuracy", accuracy)
    counts("calls", calls)
    if not (penalty >= 0 and math.isfinite(penalty)):
        raise HdpoInputError(f"penalty is {penalty}: give a reward a call, from 0")
    reward = _floating(accuracy)
    return reward - penalty * calls.to(reward.dtype)


def _floating(values: torch.Tensor) -> torch.Tensor:
    return values if values.is_floating_point() else values.to(torch.float32)
