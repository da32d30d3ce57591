"""The clipped policy loss of one channel, and HDPO's weighted sum over two.

Tensors are (rollouts, tokens), log-probabilities in nats. Per token the loss is PPO's max(-r A, -clip(r) A) with
r = exp(logprob - old logprob). As a rollout has one advantage, this is -A min(r, 1 + high) for A >= 0 and
-A max(r, 1 - low) for A < 0: one clamp a token, of the logarithm, so that no exponential overflows on the way. Sums
are of r - 1, which is 0 for masked tokens and small near the old policy, where a sum of r would lose its digits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from evalkit.hdpo.advantages import Channels
from evalkit.hdpo.checks import HdpoInputError, finite, same_rows, same_shape, shape_of
from evalkit.hdpo.settings import LossSettings, check_clip


class LossParts(NamedTuple):
    """Loss of one channel; scalars. Each adds up over the micro-batches of a batch, given the batch's normaliser.

    Attributes:
        loss: mean over tokens, with gradient.
        clipped: share of tokens whose ratio the clip bounds: they have no gradient.
        approx_kl: mean of (logprob - old logprob)^2 / 2, in nats, an estimate of the divergence from the old policy.
    """

    loss: torch.Tensor
    clipped: torch.Tensor
    approx_kl: torch.Tensor


class HdpoLoss(NamedTuple):
    """Loss of both channels; scalars, of which all but `loss` are without gradient. They add up as in `LossParts`.

    Attributes:
        loss: w_accuracy * accuracy + w_tool * tool + kl weight * kl.
        accuracy: loss of the accuracy channel.
        tool: loss of the tool channel.
        clipped_accuracy: share of the accuracy channel's tokens that the clip bounds.
        clipped_tool: share of the tool channel's.
        approx_kl: see `LossParts`.
        kl: estimated divergence from the reference policy, in nats a token; 0 without one.
    """

    loss: torch.Tensor
    accuracy: torch.Tensor
    tool: torch.Tensor
    clipped_accuracy: torch.Tensor
    clipped_tool: torch.Tensor
    approx_kl: torch.Tensor
    kl: torch.Tensor


class TokenCounts(NamedTuple):
    """Written tokens of a batch that each channel's mean is over.

    Attributes:
        accuracy: of all rollouts.
        tool: of those that count in the tool channel.
    """

    accuracy: torch.Tensor | float
    tool: torch.Tensor | float


def token_counts(channels: Channels, mask: torch.Tensor, settings: LossSettings) -> TokenCounts:
    """Tokens of (part of) a batch; sum them over its micro-batches and processes for `hdpo_loss`.

    Args:
        channels: advantages, (rollouts,) each.
        mask: (rollouts, tokens) 1 for tokens that the model wrote.
        settings: says which tokens the tool channel counts.
    """
    _check_rows(mask, accuracy=channels.accuracy, tool=channels.tool)
    length = (mask != 0).sum(-1)
    own = settings.tool_tokens == "qualifying"
    return TokenCounts(length.sum(), length[channels.tool != 0].sum() if own else length.sum())


def clipped_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    normaliser: torch.Tensor | float | None = None,
    weights: torch.Tensor | None = None,
) -> LossParts:
    """PPO's clipped loss (arXiv 1707.06347), as a mean over tokens.

    Args:
        logprobs: (rollouts, tokens) of the policy that learns.
        old_logprobs: (rollouts, tokens) of the policy that wrote them, or was asked before the update.
        advantages: (rollouts,).
        mask: (rollouts, tokens) 1 for tokens that the model wrote, 0 for what it was given and for padding; what the
            other tensors hold there, NaN included, has no effect.
        clip_low: how far below 1 a ratio counts.
        clip_high: how far above 1 it counts.
        dual_clip: largest ratio that counts where the advantage is negative.
        normaliser: tokens of the whole batch, for a call with part of it; otherwise those of `mask`. No tokens give 0.
        weights: (rollouts, tokens) or (rollouts, 1) factor of each token's loss, for a sampler that differs from the
            old policy.

    Raises:
        HdpoInputError: shapes that disagree, advantages that are no numbers, bounds out of range.
    """
    check_clip(clip_low, clip_high, dual_clip)
    _check_rows(mask, advantages=advantages)
    finite("advantages", advantages)
    bounds = _Bounds(clip_low, clip_high, dual_clip)
    log_ratio = _log_ratio(logprobs, old_logprobs, mask)
    total = _at_least_one((mask != 0).sum() if normaliser is None else normaliser)
    worth = advantages.to(log_ratio.dtype)
    rows = _row_sums(log_ratio, mask, worth, bounds, weights)
    return LossParts(
        loss=rows.loss(worth) / total,
        clipped=rows.bounded(worth) / total,
        approx_kl=_approx_kl(log_ratio) / total,
    )


def hdpo_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    channels: Channels,
    mask: torch.Tensor,
    settings: LossSettings,
    *,
    normaliser: TokenCounts | torch.Tensor | float | None = None,
    reference_logprobs: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
) -> HdpoLoss:
    """HDPO's loss: w_accuracy L_clip(A_accuracy) + w_tool L_clip(A_tool), each a mean over its own tokens.

    Source: arXiv 2604.08545. The channels share the ratios; only where their advantages have opposite signs is the
    clip another one, and only those rollouts are gone through twice.

    Args:
        logprobs: as in `clipped_loss`.
        old_logprobs: as in `clipped_loss`.
        channels: advantages, (rollouts,) each.
        mask: as in `clipped_loss`.
        settings: weights, bounds, and which tokens the tool channel's mean is over.
        normaliser: `token_counts` of the whole batch, for a call with part of it. One number is enough where both
            channels count all tokens.
        reference_logprobs: (rollouts, tokens), for `settings.kl` above 0.
        weights: as in `clipped_loss`.

    Raises:
        HdpoInputError: as `clipped_loss`; no reference though the divergence has a weight; one number as a normaliser
            where the channels count different tokens.
    """
    _check_rows(mask, accuracy=channels.accuracy, tool=channels.tool)
    finite("the accuracy advantage", channels.accuracy)
    finite("the tool advantage", channels.tool)
    totals = _totals(normaliser, channels, mask, settings)
    bounds = _Bounds(settings.clip_low, settings.clip_high, settings.dual_clip)
    log_ratio = _log_ratio(logprobs, old_logprobs, mask)
    accuracy, tool = (channel.to(log_ratio.dtype) for channel in channels)

    shared = _row_sums(log_ratio, mask, torch.where(accuracy != 0, accuracy, tool), bounds, weights)
    own = shared
    apart = (accuracy.sign() * tool.sign() < 0).nonzero()[:, 0]
    if len(apart):
        part = None if weights is None else weights[apart]
        found = _row_sums(log_ratio[apart], mask[apart], tool[apart], bounds, part)
        own = _Rows(*(a.index_copy(0, apart, b) for a, b in zip(shared, found, strict=True)))
    loss_accuracy = shared.loss(accuracy) / totals.accuracy
    loss_tool = own.loss(tool) / totals.tool
    kl = _reference_kl(logprobs, reference_logprobs, mask, settings) / totals.accuracy
    loss = settings.w_accuracy * loss_accuracy + settings.w_tool * loss_tool
    return HdpoLoss(
        loss=loss + settings.kl * kl if settings.kl else loss,
        accuracy=loss_accuracy.detach(),
        tool=loss_tool.detach(),
        clipped_accuracy=shared.bounded(accuracy) / totals.accuracy,
        clipped_tool=own.bounded(tool) / totals.tool,
        approx_kl=_approx_kl(log_ratio) / totals.accuracy,
        kl=kl.detach(),
    )


class _Bounds(NamedTuple):
    low: float
    high: float
    dual: float | None


class _Rows(NamedTuple):
    """Sums over each rollout's tokens, (rollouts,).

    Attributes:
        length: of the weights.
        above: of the bounded ratios less 1.
        clipped: of tokens whose ratio is bounded.
    """

    length: torch.Tensor
    above: torch.Tensor
    clipped: torch.Tensor

    def loss(self, advantage: torch.Tensor) -> torch.Tensor:
        # lengths are large and their sum nearly cancels
        at_one = (advantage.double() * self.length.double()).sum().to(advantage.dtype)
        return -(at_one + (advantage * self.above).sum())

    def bounded(self, advantage: torch.Tensor) -> torch.Tensor:
        """Tokens bounded in rollouts that have an advantage."""
        return self.clipped.masked_fill(advantage == 0, 0.0).sum()


def _row_sums(
    log_ratio: torch.Tensor,
    mask: torch.Tensor,
    advantage: torch.Tensor,
    bounds: _Bounds,
    weights: torch.Tensor | None,
) -> _Rows:
    loses = (advantage < 0)[:, None]
    infinite = log_ratio.new_tensor(math.inf)
    dual = infinite if bounds.dual is None else log_ratio.new_tensor(math.log(bounds.dual))
    lowest = torch.where(loses, log_ratio.new_tensor(math.log1p(-bounds.low)), -infinite)
    highest = torch.where(loses, dual, log_ratio.new_tensor(math.log1p(bounds.high)))
    bounded = torch.clamp(log_ratio, lowest, highest)
    with torch.no_grad():
        clipped = (bounded != log_ratio).sum(-1).to(log_ratio.dtype)
    above_one = torch.expm1(bounded)
    if weights is None:
        return _Rows((mask != 0).sum(-1), above_one.sum(-1), clipped)
    if weights.shape not in (mask.shape, (len(mask), 1)):
        raise HdpoInputError(
            f"weights must be {shape_of(mask)} or ({len(mask)}, 1), not {shape_of(weights)}: one a token or a rollout"
        )
    weighted = torch.where(mask != 0, weights, 0.0).to(log_ratio.dtype)
    return _Rows(weighted.sum(-1), (above_one * weighted).sum(-1), clipped)


def _log_ratio(logprobs: torch.Tensor, old_logprobs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    same_shape(logprobs=logprobs, old_logprobs=old_logprobs, mask=mask)
    kind = torch.promote_types(logprobs.dtype, torch.float32)
    # in place: the difference is nobody else's
    return (logprobs.to(kind) - old_logprobs.detach().to(kind)).masked_fill_(mask == 0, 0.0)


def _approx_kl(log_ratio: torch.Tensor) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(log_ratio.detach())
    return length.square() / 2


def _reference_kl(
    logprobs: torch.Tensor, reference: torch.Tensor | None, mask: torch.Tensor, settings: LossSettings
) -> torch.Tensor:
    """Sum over tokens of x - 1 - log x with x = reference / policy (arXiv 2402.03300, equation 4)."""
    if not settings.kl:
        return logprobs.new_zeros(())
    if reference is None:
        raise HdpoInputError(f"kl is {settings.kl}, but there are no reference_logprobs: give them, or set kl to 0")
    behind = -_log_ratio(logprobs, reference, mask)
    return (torch.expm1(behind) - behind).sum()


def _totals(
    normaliser: TokenCounts | torch.Tensor | float | None,
    channels: Channels,
    mask: torch.Tensor,
    settings: LossSettings,
) -> TokenCounts:
    if isinstance(normaliser, TokenCounts):
        found = normaliser
    elif normaliser is None:
        found = token_counts(channels, mask, settings)
    elif settings.tool_tokens == "all" or not settings.w_tool:
        found = TokenCounts(normaliser, normaliser)
    else:
        raise HdpoInputError(
            "normaliser is one number, but the tool channel counts its own tokens: give the batch's token_counts, or "
            "set tool_tokens to all"
        )
    return TokenCounts(_at_least_one(found.accuracy), _at_least_one(found.tool))


def _at_least_one(tokens: torch.Tensor | float) -> torch.Tensor | float:
    return tokens.clamp(min=1) if isinstance(tokens, torch.Tensor) else max(tokens, 1)


def _check_rows(mask: torch.Tensor, **advantages: torch.Tensor) -> None:
    if mask.dim() != 2:
        raise HdpoInputError(f"mask must be (rollouts, tokens), not the shape {shape_of(mask)}")
    same_rows(**advantages, mask_rows=mask[:, 0] if mask.shape[1] else mask.new_zeros(len(mask)))
