"""One step of learning from recorded trajectories."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import ContextLengthError, NothingEvaluatedError
from evalkit.hdpo import TokenCounts
from evalkit.records import Record
from evalkit.training.batches import written_tokens
from evalkit.training.config import SftSettings
from evalkit.training.encoding import Encoder
from evalkit.training.failed import apart, save_batch
from evalkit.training.figures import StepFigures
from evalkit.training.learner import Learner, Lesson, NotFiniteError
from evalkit.training.prompts import Stream
from evalkit.training.rollout import Rollout

_HELD = 2**30
"""Bytes of encoded trajectories that are kept for the next time they come."""


@dataclass(frozen=True)
class Example:
    """A trajectory to learn from.

    Attributes:
        id: its own among all.
        record: as a run has it.
        encoder: turns it into tokens, under the system prompt that it was made with.
    """

    id: str
    record: Record
    encoder: Encoder


class Imitation:
    """The course of supervised learning; the loss is the mean of -log p over a step's written tokens.

    Attributes:
        stream: gives the trajectories.
    """

    def __init__(self, learner: Learner, settings: SftSettings, examples: Sequence[Example], out: Path | None) -> None:
        """Begin.

        Args:
            learner: takes the lessons.
            settings: of the training.
            examples: to learn from.
            out: where a batch goes that cannot be learned; None for nowhere.
        """
        self.stream = Stream(examples, settings.seed)
        self._learner = learner
        self._batch = settings.batch
        self._out = out
        self._known: dict[str, Rollout | None] = {}
        self._held = 0

    async def step(self, step: int) -> StepFigures:
        """See `Course`.

        Raises:
            DataError: an image cannot be read, or a text cannot be learned.
            NotFiniteError: the loss is no number; the batch is saved.
        """
        began = time.perf_counter()
        processes = self._learner.processes
        taken = self.stream.take(self._batch)
        mine = [self._encoded(example) for example in taken[processes.rank :: processes.count]]
        fit = [rollout for rollout in mine if rollout is not None]
        lessons = [Lesson(sequence) for rollout in fit for sequence in rollout.sequences]
        tokens = sum(processes.gather(written_tokens(fit)))
        learned = sum(processes.gather(len(fit)))
        if not tokens:
            raise NothingEvaluatedError(f"step {step}: none of {len(taken)} trajectories fits into the model's context")
        try:
            update = self._learner.imitate(lessons, tokens, step)
        except NotFiniteError as error:
            counts = TokenCounts(accuracy=tokens, tool=0)
            place = apart(self._out, processes)
            raise NotFiniteError(save_batch(place, step, [], lessons, counts, error)) from error
        return StepFigures(
            step=step,
            loss=update.loss,
            grad_norm=update.grad_norm,
            lr=update.lr,
            tokens=tokens,
            learned=learned,
            errors=len(taken) - learned,
            update_s=time.perf_counter() - began,
        )

    def _encoded(self, example: Example) -> Rollout | None:
        """The trajectory's tokens; None where they do not fit into the model's context."""
        if example.id in self._known:
            return self._known[example.id]
        try:
            rollout: Rollout | None = example.encoder.encode(example.record)
        except ContextLengthError:
            rollout = None
        size = sum(t.nbytes for s in (rollout.sequences if rollout else ()) for t in (s.tokens, *s.media.values()))
        if self._held + size <= _HELD:
            self._held += size
            self._known[example.id] = rollout
        return rollout
