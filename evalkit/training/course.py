"""Step after step to the end: figures noted, checkpoints written, an interruption obeyed, an earlier start resumed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.models import ModelCard
from evalkit.runs.scheduler import Stop
from evalkit.training.checkpoint import State, newest, restore, save_checkpoint, save_model
from evalkit.training.figures import StepFigures, TrainResult
from evalkit.training.folder import MODEL, enter, this_start, write_card
from evalkit.training.learner import Learner
from evalkit.training.metrics import Metrics
from evalkit.training.prompts import Stream

SAVE_EVERY = 50


@dataclass(frozen=True)
class Place:
    """Where a training is kept.

    Attributes:
        out: its folder.
        config: from `evalkit.training.folder.recipe`.
        save_every: steps between checkpoints.
        wandb: project at Weights & Biases; "" for none.
        notes: for `train.json`.
        card: the model it began with; None writes no card.
    """

    out: Path
    config: dict[str, Any]
    save_every: int = SAVE_EVERY
    wandb: str = ""
    notes: list[str] = field(default_factory=list)
    card: ModelCard | None = None


class Course(Protocol):
    """What a method does in a step."""

    stream: Stream[Any]

    async def step(self, step: int) -> StepFigures:
        """Learn once more.

        Args:
            step: from 1.
        """
        ...


async def run_course(
    course: Course,
    learner: Learner,
    steps: int,
    files: Path,
    place: Place | None,
    on_step: Callable[[StepFigures], None] | None,
    stop: Stop | None,
) -> TrainResult:
    """All steps that are left.

    Args:
        course: the method.
        learner: has the weights and the optimiser.
        steps: that there are to be in all.
        files: folder with the tokenizer's and the processor's files, which checkpoints get.
        place: where it is kept; None keeps nothing.
        on_step: told of each step.
        stop: asks to stop after a step.

    Raises:
        EvalkitError: the folder holds another training; see also `Course.step`.
    """
    processes = learner.processes
    first = processes.rank == 0
    done, saved = 0, -1
    figures: list[StepFigures] = []
    torch.manual_seed(learner.settings.seed + processes.rank)
    with ExitStack() as opened:
        metrics = None
        if place is not None:
            start = this_start(steps, str(processes.device), processes.count)
            if first:
                enter(place.out, place.config, start, place.notes)
            processes.wait()
            if (folder := newest(place.out)) is not None:
                state = restore(folder, learner.policy)
                done = saved = state.step
                course.stream.drawn = state.drawn
                _resume(state, learner, folder)
            if first:
                metrics = opened.enter_context(Metrics(place.out, done, place.wandb, place.config))
        drawn = course.stream.drawn
        try:
            while done < steps and not any(processes.gather(stop is not None and stop.gently)):
                now = await course.step(done + 1)
                done, drawn, learner.moved = done + 1, course.stream.drawn, False
                figures.append(now)
                if metrics is not None:
                    metrics.add(now)
                if on_step is not None and first:
                    on_step(now)
                if place is not None and done % place.save_every == 0:
                    saved = _save(place, learner, done, drawn, files)
        except BaseException:
            # weights between two steps are none's, and other processes cannot be asked now
            if place is not None and saved != done and processes.count == 1 and not learner.moved:
                # what stopped the training is what the user must hear of
                with suppress(EvalkitError):
                    _save(place, learner, done, drawn, files)
            raise
        if place is not None and saved != done:
            _save(place, learner, done, drawn, files)
        if place is not None and first and done >= steps:
            save_model(place.out / MODEL, learner.policy, files)
            if place.card is not None:
                write_card(place.out, place.card)
    return TrainResult(steps=figures, done=done, stopped=done < steps)


def _save(place: Place, learner: Learner, step: int, drawn: int, files: Path) -> int:
    processes = learner.processes
    rng = processes.gather(_rng(processes.device))
    if processes.rank == 0:
        state = State(step=step, drawn=drawn, optimizer=learner.optimizer.state_dict(), rng=rng)
        save_checkpoint(place.out, learner.policy, state, files)
    processes.wait()
    return step


def _resume(state: State, learner: Learner, folder: Path) -> None:
    try:
        learner.optimizer.load_state_dict(state.optimizer)
        _set_rng(state.rng, learner.processes.rank)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"checkpoint {folder} has the state of another optimiser ({one_line(error, 160)}): "
            "delete it to go on before it"
        ) from error


def _rng(device: torch.device) -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_rng(states: list[list[torch.Tensor]], rank: int) -> None:
    if rank >= len(states):
        # there were fewer processes then: nothing to go on with
        return
    torch.set_rng_state(states[rank][0])
    if len(states[rank]) > 1 and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[rank][1])
