"""What training learns from: recorded trajectories with the tokens that the model saw and wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from evalkit.records import Record


@dataclass(frozen=True)
class Sequence:
    """One conversation as the model read it, from its first token to the last one that it wrote.

    A trajectory is one sequence where each turn's prompt begins with the turn before it, token by token; where a
    protocol rewrites the conversation (a restart, a fallback), it is several.

    Attributes:
        tokens: (length,) int64.
        written: (length,) bool; tokens that the model drew itself. The others are given: they are not learned.
        logprobs: (length,) float32; log-probability with which each written token was drawn, 0 elsewhere. None for
            recorded trajectories, of which it is not known.
        per_token: further model inputs with one value a token, (length,) each.
        media: all other model inputs (pixels, grids), in the order in which the images stand in the tokens.
        image_keys: content of each image in `media`, so that equal images are encoded once a batch.
    """

    tokens: torch.Tensor
    written: torch.Tensor
    logprobs: torch.Tensor | None
    per_token: Mapping[str, torch.Tensor]
    media: Mapping[str, torch.Tensor]
    image_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rollout:
    """One trajectory, its outcome and its tokens.

    Attributes:
        record: as a run folder would have it: sample, trajectory, outcome.
        sequences: see `Sequence`; empty where the engine failed before the first turn was written.
    """

    record: Record
    sequences: tuple[Sequence, ...]
