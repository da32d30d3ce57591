"""How much longer HDPO's advantages and loss take than one plain GRPO loss, on the same tensors in one run.

`loss` draws rewards and log-probabilities of a batch of the size that Metis was trained with, and times, forward and
backward: the plain loss written out as trainers do it (ratio, clamp, two products, their minimum, the masked mean),
evalkit's loss of one channel, and HDPO's advantages and loss of two. They take turns; the median of each counts.

usage: python benchmarks/hdpo.py loss [--prompts 128] [--group 16] [--tokens 16384] [--repeats 5] [--threads N]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from evalkit.hdpo import (
    Channels,
    LossSettings,
    accuracy_reward,
    clipped_loss,
    group_advantages,
    hdpo_advantages,
    hdpo_loss,
    tool_reward,
)

RIGHT = 0.7
"""Share of rollouts with the right answer."""
DRIFT = 0.1
"""Deviation of a token's log-probability from the old policy's, in nats."""
MOST_CALLS = 4
MOST = 2.0
"""HDPO's time as a multiple of the plain loss's that is promised."""


class Batch(NamedTuple):
    """Rollouts, (rollouts,) and (rollouts, tokens)."""

    prompt: torch.Tensor
    correct: torch.Tensor
    calls: torch.Tensor
    new: torch.Tensor
    old: torch.Tensor
    mask: torch.Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    loss = parts.add_parser("loss", help="advantages and loss beside one plain GRPO loss")
    loss.add_argument("--prompts", type=int, default=128)
    loss.add_argument("--group", type=int, default=16)
    loss.add_argument("--tokens", type=int, default=16_384)
    loss.add_argument("--repeats", type=int, default=5)
    loss.add_argument("--threads", type=int, help="of torch; default: as torch has it")
    loss.set_defaults(run=measure_loss)
    options = parser.parse_args()
    options.run(options)


def measure_loss(options: argparse.Namespace) -> None:
    """Time the three losses in turns and print their medians."""
    if options.threads:
        torch.set_num_threads(options.threads)
    batch = draw(options.prompts, options.group, options.tokens)
    ways: dict[str, Callable[[Batch], torch.Tensor]] = {
        "plain GRPO loss, written out": plain,
        "clipped_loss, one channel": one_channel,
        "hdpo_advantages + hdpo_loss": two_channels,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.repeats + 1):
        for name, way in ways.items():
            seconds = timed(way, batch)
            if turn:  # the first turn warms the allocator up
                times[name].append(seconds)
    rows = options.prompts * options.group
    written = int(batch.mask.sum())
    print(
        f"{rows} rollouts x {options.tokens} tokens, {written / 1e6:.1f} M written, {torch.get_num_threads()} threads"
    )
    base = statistics.median(times["plain GRPO loss, written out"])
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"{middle:8.3f} s  {min(found):.3f} to {max(found):.3f}  x{middle / base:.2f}  {name}")
    ratio = statistics.median(times["hdpo_advantages + hdpo_loss"]) / base
    print(f"HDPO takes {ratio:.2f} times one plain GRPO loss; promised: under {MOST:.0f}")
    print(f"largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def draw(prompts: int, group: int, tokens: int) -> Batch:
    """A batch of rollouts of random lengths."""
    seeded = torch.Generator().manual_seed(0)
    rows = prompts * group
    old = -torch.rand(rows, tokens, generator=seeded)
    new = old + DRIFT * torch.randn(rows, tokens, generator=seeded)
    lengths = torch.randint(tokens // 4, tokens + 1, (rows, 1), generator=seeded)
    return Batch(
        prompt=torch.arange(prompts).repeat_interleave(group),
        correct=(torch.rand(rows, generator=seeded) < RIGHT).float(),
        calls=torch.randint(0, MOST_CALLS + 1, (rows,), generator=seeded),
        new=new.requires_grad_(),
        old=old,
        mask=(torch.arange(tokens) < lengths).float(),
    )


def timed(way: Callable[[Batch], torch.Tensor], batch: Batch) -> float:
    """Seconds of a loss and its gradient."""
    batch.new.grad = None
    start = time.perf_counter()
    way(batch).backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - start


def plain(batch: Batch) -> torch.Tensor:
    """GRPO's loss as its textbook form has it, advantages included."""
    advantage = accuracy_advantages(batch)[:, None]
    ratio = (batch.new - batch.old).exp()
    loss = -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return (loss * batch.mask).sum() / batch.mask.sum()


def one_channel(batch: Batch) -> torch.Tensor:
    """GRPO's loss by evalkit."""
    return clipped_loss(batch.new, batch.old, accuracy_advantages(batch), batch.mask).loss


def two_channels(batch: Batch) -> torch.Tensor:
    """HDPO's advantages and loss."""
    accuracy = accuracy_reward(batch.correct, torch.ones_like(batch.correct))
    channels: Channels = hdpo_advantages(accuracy, tool_reward(batch.correct, batch.calls), batch.correct, batch.prompt)
    return hdpo_loss(batch.new, batch.old, channels, batch.mask, LossSettings()).loss


def accuracy_advantages(batch: Batch) -> torch.Tensor:
    """(rollouts,) advantages of the accuracy channel."""
    return group_advantages(accuracy_reward(batch.correct, torch.ones_like(batch.correct)), batch.prompt)


if __name__ == "__main__":
    main()
