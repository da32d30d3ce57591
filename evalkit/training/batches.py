"""Trajectories of different lengths as forward passes of bounded size."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.training.rollout import Rollout


def packed(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Indices in batches of like lengths: no batch has more than `most` tokens with its padding.

    A sequence that is longer than that alone is a batch of its own.

    Args:
        lengths: tokens of each sequence.
        most: tokens of a batch.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        # from the longest down, so that a batch's first is as long as its padding
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= most:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def written_tokens(rollouts: Sequence[Rollout]) -> int:
    """Tokens that the model wrote."""
    return sum(int(sequence.written.sum()) for rollout in rollouts for sequence in rollout.sequences)
