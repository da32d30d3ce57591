"""One step of learning from own rollouts: draw, weigh, learn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from evalkit.errors import EvalkitError, InfrastructureError, one_line
from evalkit.hdpo import TokenCounts
from evalkit.records import Sample, Verdict
from evalkit.training.batches import written_tokens
from evalkit.training.config import PolicySettings
from evalkit.training.credit import Group, groups_of, parts_of
from evalkit.training.failed import apart, save_batch
from evalkit.training.figures import Part, StepFigures, mean_over
from evalkit.training.learner import Learner, Lesson, NotFiniteError, Update
from evalkit.training.prompts import Stream
from evalkit.training.rollout import Rollout


class Draws(Protocol):
    """What draws rollouts: a `Roller`."""

    async def roll(self, samples: Sequence[Sample], group: int, step: int) -> list[list[Rollout]]:
        """The rollouts of each sample, in order."""
        ...


class Rehearsal:
    """The course of the methods that learn from rollouts.

    Attributes:
        stream: gives the prompts.
    """

    def __init__(
        self, learner: Learner, settings: PolicySettings, samples: Sequence[Sample], roller: Draws, out: Path | None
    ) -> None:
        """Begin.

        Args:
            learner: takes the lessons.
            settings: of the training.
            samples: all prompts.
            roller: draws with the weights as they are.
            out: where a batch goes that cannot be learned; None for nowhere.
        """
        self.stream = Stream(samples, settings.seed)
        self._learner = learner
        self._settings = settings
        self._roller = roller
        self._out = out

    async def step(self, step: int) -> StepFigures:
        """See `Course`.

        Raises:
            InfrastructureError: no rollout of the step could be scored.
            NotFiniteError: the loss is no number; the batch is saved.
        """
        began = time.perf_counter()
        groups, replaced = await self._groups(step)
        drawn = time.perf_counter()
        processes = self._learner.processes
        everywhere = processes.gather(_Tally.of([*groups, *replaced]))
        tally = _Tally.sum(everywhere)
        if tally.overall is None:
            raise InfrastructureError(
                f"step {step}: none of {tally.rollouts} rollouts could be scored, the first: {tally.first_error}"
            )
        lessons = lessons_of(groups, everything=bool(self._settings.kl))
        counts = TokenCounts(*map(sum, zip(*processes.gather(_tokens(groups, self._settings)), strict=True)))
        learned = sum(processes.gather(sum(sum(group.live) for group in groups)))
        if not any(processes.gather(bool(lessons))):
            update = Update(loss=0.0, grad_norm=0.0, lr=self._learner.lr(step))
        else:
            try:
                update = self._learner.reinforce(lessons, counts, step)
            except NotFiniteError as error:
                place = apart(self._out, processes)
                raise NotFiniteError(save_batch(place, step, groups, lessons, counts, error)) from error
        tool = self._settings.tool_weight > 0
        return StepFigures(
            step=step,
            loss=update.loss,
            grad_norm=update.grad_norm,
            lr=update.lr,
            tokens=int(counts.accuracy),
            learned=learned,
            loss_accuracy=update.loss_accuracy,
            loss_tool=update.loss_tool if tool else None,
            clipped_accuracy=update.clipped_accuracy if self._settings.updates > 1 else None,
            clipped_tool=update.clipped_tool if tool and self._settings.updates > 1 else None,
            kl=update.kl if self._settings.kl else None,
            entropy=tally.entropy,
            gap=update.gap,
            overall=tally.overall,
            well_formed=tally.well_formed,
            categories=tally.parts,
            rollouts=tally.rollouts,
            errors=tally.errors,
            all_right=tally.all_right,
            all_wrong=tally.all_wrong,
            flat=tally.flat,
            resampled=sum(processes.gather(len(replaced))),
            rollout_s=drawn - began,
            update_s=time.perf_counter() - drawn,
        )

    async def _groups(self, step: int) -> tuple[list[Group], list[Group]]:
        """The groups to learn from, and those that others took the place of for want of a gradient."""
        settings, processes = self._settings, self._learner.processes
        kept: list[Group] = []
        flat: list[Group] = []
        replaced: list[Group] = []
        seen: set[str] = set()
        wanted = len(range(processes.rank, settings.prompts, processes.count))
        for turn in range(settings.resample + 1):
            needs = processes.gather(wanted)
            # all take the same from the stream, and each its own part of that
            taken = self.stream.take(sum(needs), seen)
            seen.update(sample.id for sample in taken)
            before = sum(needs[: processes.rank])
            mine = taken[before : before + wanted]
            # where samples run out, those without a gradient stay
            replaced += flat[: len(mine)] if turn else []
            kept += flat[len(mine) :] if turn else []
            drawn = await self._roller.roll(mine, settings.group, step) if mine else []
            fresh = groups_of(mine, drawn, settings)
            _check(fresh)
            kept += [group for group in fresh if any(group.live)]
            flat = [group for group in fresh if not any(group.live)]
            wanted = len(flat)
            if not any(processes.gather(wanted)):
                break
        return kept + flat, replaced


def lessons_of(groups: Sequence[Group], *, everything: bool = False) -> list[Lesson]:
    """What is to be learned from.

    Args:
        groups: with their advantages.
        everything: also rollouts whose advantages are zero: they have no gradient but that of a divergence.
    """
    return [
        Lesson(sequence, float(accuracy), float(tool))
        for group in groups
        for rollout, live, accuracy, tool in zip(group.rollouts, group.live, *group.channels, strict=True)
        if live or everything
        for sequence in rollout.sequences
    ]


def _tokens(groups: Sequence[Group], settings: PolicySettings) -> tuple[int, int]:
    """Written tokens that each channel's mean is over; see `evalkit.hdpo.token_counts`."""
    written = [(written_tokens([r]), tool) for g in groups for r, tool in zip(g.rollouts, g.channels.tool, strict=True)]
    every = sum(count for count, _ in written)
    return every, sum(count for count, tool in written if tool) if settings.tool_tokens == "qualifying" else every


def _check(groups: Sequence[Group]) -> None:
    """Refuse what cannot get better by going on.

    Raises:
        EvalkitError: a sample's own data cannot be read.
    """
    for group in groups:
        for rollout in group.errors:
            if rollout.record.outcome.verdict is Verdict.DATA_ERROR:
                why = one_line(rollout.record.outcome.error or rollout.record.trajectory.error)
                raise EvalkitError(f"sample {one_line(group.sample.id, 80)}: {why}")


class _Tally:
    """What is counted of a step's groups, so that processes can add theirs up."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.rollouts = self.errors = self.formed = self.all_right = self.all_wrong = self.flat = self.tokens = 0
        self.surprise = 0.0
        self.first_error = ""

    @classmethod
    def of(cls, groups: Sequence[Group]) -> _Tally:
        """The tally of one process."""
        tally = cls()
        tally.parts = parts_of(groups)
        for group in groups:
            tally.rollouts += len(group.rollouts) + len(group.errors)
            tally.errors += len(group.errors)
            tally.formed += sum(group.well_formed)
            tally.all_right += group.uniform is True
            tally.all_wrong += group.uniform is False
            tally.flat += not any(group.live)
            for rollout in group.errors:
                tally.first_error = tally.first_error or one_line(rollout.record.outcome.error, 160)
            for rollout in group.rollouts:
                for sequence in rollout.sequences:
                    if sequence.logprobs is not None:
                        tally.tokens += int(sequence.written.sum())
                        tally.surprise -= float(sequence.logprobs.sum())
        return tally

    @classmethod
    def sum(cls, tallies: Sequence[_Tally]) -> _Tally:
        """The tally of all processes."""
        if len(tallies) == 1:
            return tallies[0]
        total = cls()
        names = sorted({name for tally in tallies for name in tally.parts})
        for name in names:
            part = mean_over([tally.parts[name] for tally in tallies if name in tally.parts])
            assert part is not None
            total.parts[name] = part
        for name in ("rollouts", "errors", "formed", "all_right", "all_wrong", "flat", "tokens", "surprise"):
            setattr(total, name, sum(getattr(tally, name) for tally in tallies))
        total.first_error = next((tally.first_error for tally in tallies if tally.first_error), "")
        return total

    @property
    def overall(self) -> Part | None:
        return mean_over(list(self.parts.values()))

    @property
    def well_formed(self) -> float:
        return self.formed / (self.overall.rollouts if self.overall else 1)

    @property
    def entropy(self) -> float | None:
        return self.surprise / self.tokens if self.tokens else None
