"""HDPO: the two rewards of a rollout, the advantage of each among its prompt's rollouts, and the loss over both.

The method is that of arXiv 2604.08545; formulas and constants are those of the code its authors published. Pure
functions on torch tensors, which import nothing else of evalkit but its errors. Names are loaded when first used, so
that importing this package does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.hdpo.advantages import Channels, group_advantages, hdpo_advantages
    from evalkit.hdpo.checks import HdpoInputError
    from evalkit.hdpo.loss import HdpoLoss, LossParts, TokenCounts, clipped_loss, hdpo_loss, token_counts
    from evalkit.hdpo.rewards import accuracy_reward, coupled_reward, tool_reward
    from evalkit.hdpo.settings import LossSettings

_HOMES = {
    "Channels": "advantages",
    "HdpoInputError": "checks",
    "HdpoLoss": "loss",
    "LossParts": "loss",
    "LossSettings": "settings",
    "TokenCounts": "loss",
    "accuracy_reward": "rewards",
    "clipped_loss": "loss",
    "coupled_reward": "rewards",
    "group_advantages": "advantages",
    "hdpo_advantages": "advantages",
    "hdpo_loss": "loss",
    "token_counts": "loss",
    "tool_reward": "rewards",
}

__all__ = [
    "Channels",
    "HdpoInputError",
    "HdpoLoss",
    "LossParts",
    "LossSettings",
    "TokenCounts",
    "accuracy_reward",
    "clipped_loss",
    "coupled_reward",
    "group_advantages",
    "hdpo_advantages",
    "hdpo_loss",
    "token_counts",
    "tool_reward",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
