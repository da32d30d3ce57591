"""From rollouts and what they are worth to new weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from evalkit.errors import EvalkitError
from evalkit.hdpo import Channels, TokenCounts, hdpo_loss
from evalkit.training.batches import packed
from evalkit.training.config import PolicySettings, TrainSettings
from evalkit.training.forward import token_logprobs
from evalkit.training.policy import Policy, Reference
from evalkit.training.processes import Processes
from evalkit.training.rollout import Sequence as Tokens


class NotFiniteError(EvalkitError):
    """The loss or its gradient is no number: the weights are as they were before."""


@dataclass(frozen=True)
class Lesson:
    """One sequence to learn from.

    Attributes:
        sequence: with the tokens that the model wrote.
        accuracy: advantage in the accuracy channel; 1 for a recorded trajectory.
        tool: advantage in the tool channel.
    """

    sequence: Tokens
    accuracy: float = 1.0
    tool: float = 0.0


@dataclass(frozen=True)
class Update:
    """What came of a batch: see `evalkit.training.figures.StepFigures`."""

    loss: float
    grad_norm: float
    lr: float
    loss_accuracy: float = 0.0
    loss_tool: float = 0.0
    clipped_accuracy: float = 0.0
    clipped_tool: float = 0.0
    kl: float = 0.0
    gap: float = 0.0


class _Sums(NamedTuple):
    """What adds up over the passes of a batch."""

    loss: float = 0.0
    accuracy: float = 0.0
    tool: float = 0.0
    clipped_accuracy: float = 0.0
    clipped_tool: float = 0.0
    kl: float = 0.0
    gap: float = 0.0
    counted: float = 0.0


class Learner:
    """The optimiser and its losses.

    Attributes:
        policy: what learns.
        optimizer: its state goes into checkpoints.
        moved: whether the weights have moved since the last step that was noted; who notes it says so here.
    """

    def __init__(self, policy: Policy, settings: TrainSettings, processes: Processes) -> None:
        """Make the optimiser.

        Args:
            policy: see above.
            settings: of the training.
            processes: that share the batch.
        """
        self.policy = policy
        self.settings = settings
        self.processes = processes
        self.reference = Reference(policy) if isinstance(settings, PolicySettings) and settings.kl else None
        self.trained = policy.trained
        self.moved = False
        self.optimizer = torch.optim.AdamW(
            self.trained,
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def imitate(self, lessons: Sequence[Lesson], tokens: int, step: int) -> Update:
        """One step towards recorded trajectories.

        Args:
            lessons: this process's.
            tokens: written tokens of all processes.
            step: from 1.

        Raises:
            NotFiniteError: see there.
        """
        loss = 0.0
        for batch in self._batches(lessons):
            with self.policy.learning():
                logprobs, mask, _ = token_logprobs(self.policy.model, [lesson.sequence for lesson in batch], 1.0)
                part = -(logprobs * mask).sum() / tokens
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        (total,) = self._sums([loss])
        norm, lr = self._apply(total, step)
        return Update(loss=total, grad_norm=norm, lr=lr)

    def reinforce(self, lessons: Sequence[Lesson], tokens: TokenCounts, step: int) -> Update:
        """The updates of one batch of rollouts.

        The probabilities under the policy that drew them are computed with the first update, before a weight changes.

        Args:
            lessons: this process's, without those that have no gradient.
            tokens: that all rollouts of all processes wrote: what the means are over.
            step: from 1.

        Raises:
            NotFiniteError: see there.
        """
        settings = self.settings
        assert isinstance(settings, PolicySettings)
        batches = self._batches(lessons)
        old: list[torch.Tensor] = []
        updates = []
        for turn in range(settings.updates):
            found = _Sums()
            for index, batch in enumerate(batches):
                before, sums = self._part(batch, tokens, old[index] if turn else None, settings)
                if not turn:
                    old.append(before)
                found = _Sums(*map(sum, zip(found, sums, strict=True)))
            found = _Sums(*self._sums(found))
            norm, lr = self._apply(found.loss, step)
            updates.append((found, norm, lr))
        (first, norm, lr), count = updates[0], len(updates)
        return Update(
            loss=first.loss,
            grad_norm=norm,
            lr=lr,
            loss_accuracy=first.accuracy,
            loss_tool=first.tool,
            # the clip has its say only after the first
            clipped_accuracy=sum(found.clipped_accuracy for found, _, _ in updates) / count,
            clipped_tool=sum(found.clipped_tool for found, _, _ in updates) / count,
            kl=first.kl,
            gap=first.gap / max(first.counted, 1.0),
        )

    def _part(
        self, batch: Sequence[Lesson], tokens: TokenCounts, old: torch.Tensor | None, settings: PolicySettings
    ) -> tuple[torch.Tensor, _Sums]:
        """One forward and backward pass: the log-probabilities, and what adds up over the passes of a batch."""
        sequences = [lesson.sequence for lesson in batch]
        with self.policy.learning():
            logprobs, mask, _ = token_logprobs(self.policy.model, sequences, settings.temperature)
        reference = None
        if self.reference is not None:
            with self.reference.model() as model:
                reference = token_logprobs(model, sequences, settings.temperature).logprobs
        channels = Channels(
            accuracy=torch.tensor([lesson.accuracy for lesson in batch], device=logprobs.device),
            tool=torch.tensor([lesson.tool for lesson in batch], device=logprobs.device),
        )
        before = logprobs.detach() if old is None else old
        found = hdpo_loss(
            logprobs, before, channels, mask, settings.loss, normaliser=tokens, reference_logprobs=reference
        )
        found.loss.backward()  # type: ignore[no-untyped-call]
        gap, counted = 0.0, 0
        drawn = [s.logprobs[s.written] for s in sequences if s.logprobs is not None]
        if old is None and len(drawn) == len(sequences):
            counted = int(mask.sum())
            gap = float((before[mask] - torch.cat(drawn).to(before.device)).abs().sum())
        return before, _Sums(
            loss=found.loss.item(),
            accuracy=found.accuracy.item(),
            tool=found.tool.item(),
            clipped_accuracy=found.clipped_accuracy.item(),
            clipped_tool=found.clipped_tool.item(),
            kl=found.kl.item(),
            gap=gap,
            counted=counted,
        )

    def lr(self, step: int) -> float:
        """The learning rate of a step."""
        return self.settings.lr * min(1.0, step / max(self.settings.warmup, 1))

    def _batches(self, lessons: Sequence[Lesson]) -> list[list[Lesson]]:
        lengths = [len(lesson.sequence.tokens) for lesson in lessons]
        return [[lessons[i] for i in batch] for batch in packed(lengths, self.settings.forward_tokens)]

    def _sums(self, values: Sequence[float]) -> list[float]:
        return [sum(column) for column in zip(*self.processes.gather(list(values)), strict=True)]

    def _apply(self, loss: float, step: int) -> tuple[float, float]:
        """One step of the optimiser: the gradient's norm, and the learning rate."""
        settings = self.settings
        self.processes.add_gradients(self.trained)
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained, settings.grad_clip))
        if loss != loss or norm != norm or abs(loss) == float("inf") or norm == float("inf"):
            self.optimizer.zero_grad(set_to_none=True)
            what = "the loss" if loss != loss or abs(loss) == float("inf") else "the loss's gradient"
            raise NotFiniteError(f"step {step}: {what} is not a number (loss {loss:g}, gradient norm {norm:g})")
        lr = self.lr(step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.moved = True
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm, lr
