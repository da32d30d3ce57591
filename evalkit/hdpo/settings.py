"""How the loss of the two channels is made."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from evalkit.hdpo.checks import HdpoInputError

# not under TYPE_CHECKING: msgspec reads it
TokenMean = Literal["qualifying", "all"]


class LossSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `hdpo_loss`; the defaults are those that the authors of HDPO trained Metis with.

    Attributes:
        w_accuracy: weight of the accuracy channel.
        w_tool: weight of the tool channel; 0 is plain GRPO.
        clip_low: how far below 1 a token's probability ratio still counts.
        clip_high: how far above 1 it still counts.
        dual_clip: largest ratio that counts where the advantage is negative (arXiv 1912.09729); None for no bound.
        kl: weight of the divergence from a reference policy.
        tool_tokens: what the tool channel's mean is over. "qualifying": the tokens of rollouts with a tool advantage
            other than 0, as in the authors' code, so that `w_tool` means the same however few they are. "all": all
            tokens, as in the accuracy channel; the channel then fades as fewer rollouts have such an advantage.
    """

    w_accuracy: float = 1.0
    w_tool: float = 0.15
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float | None = 3.0
    kl: float = 0.0
    tool_tokens: TokenMean = "qualifying"

    def __post_init__(self) -> None:
        for name in ("w_accuracy", "w_tool", "kl"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise HdpoInputError(f"{name} is {value}: give a weight from 0")
        check_clip(self.clip_low, self.clip_high, self.dual_clip)
        if self.tool_tokens not in ("qualifying", "all"):
            raise HdpoInputError(f"tool_tokens is {self.tool_tokens!r}: give qualifying or all")


def check_clip(low: float, high: float, dual: float | None) -> None:
    """The bounds of a probability ratio make sense.

    Raises:
        HdpoInputError: they do not.
    """
    if not 0 < low < 1:
        raise HdpoInputError(f"clip_low is {low}: give a number between 0 and 1")
    if not high > 0:
        raise HdpoInputError(f"clip_high is {high}: give a number above 0")
    if dual is not None and not dual > 1:
        raise HdpoInputError(f"dual_clip is {dual}: give a ratio above 1, or None")
