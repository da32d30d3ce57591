"""One training of the study, from its start to its figures on held-out boards."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import torch

from evalkit.errors import DataError, one_line
from evalkit.sandbox import LocalSandbox
from evalkit.training.checkpoint import copy_files
from evalkit.training.figures import Part, StepFigures
from evalkit.training.memo import Memory, MemoSandbox
from evalkit.training.policy import folder_of, load_model
from evalkit.training.recipes.nano.grid import TRAINING_SEED, Start, Trial
from evalkit.training.recipes.nano.measure import HeldOut, held_out
from evalkit.training.recipes.nano.starts import Say, start_card, training_samples
from evalkit.training.trainer import train_policy

STEPS = 120
_BOARDS = 60
_HELD_OUT_BOARDS = 50
_MEMORY = Memory()
"""Trials of one process are on the same boards: what a crop gave in one, it gives in the next."""

T = TypeVar("T")


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The rollouts of one training step, by category of the questions."""

    step: int
    parts: dict[str, Part]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one training.

    Attributes:
        trial: which.
        steps: of training.
        before: the start on the held-out items, greedy.
        after: the policy at the end on the same items.
        curve: step by step, as the policy drew at temperature 1.
        seconds: of training.
    """

    trial: Trial
    steps: int
    before: dict[str, HeldOut]
    after: dict[str, HeldOut]
    curve: list[Point]
    seconds: float


def run_trial(trial: Trial, out: Path, steps: int, say: Say, keep: Path | None = None) -> Result:
    """Train and measure; a trial whose result is in `out` already is not run again.

    Args:
        trial: which.
        out: folder of the study.
        steps: of training.
        say: told of what is going on.
        keep: folder for the policy's weights; None keeps none.

    Raises:
        DataError: the result that is there cannot be read, or is of another number of steps.
    """
    file = out / "trials" / f"{trial.name}.json"
    if file.is_file():
        found = read_result(file)
        if found.steps == steps and found.trial == trial:
            return found
        raise DataError(f"{file} is of another recipe ({found.steps} steps): give another --out, or remove it")
    torch.manual_seed(trial.seed)
    card = start_card(trial.setting.start, out / "starts" / trial.setting.start, say)
    settings = trial.settings(steps)
    model = load_model(card, settings, torch.device("cpu"))
    task, samples = training_samples(trial.options(boards=_BOARDS, questions=9, seed=TRAINING_SEED))
    test, items = training_samples(trial.options(boards=_HELD_OUT_BOARDS))
    before = _before(trial, out, lambda: asyncio.run(held_out(model, card, test, items, _MEMORY)))
    curve: list[Point] = []
    began = time.perf_counter()

    def on_step(figures: StepFigures) -> None:
        curve.append(Point(step=figures.step, parts=figures.categories))

    sandbox = MemoSandbox(LocalSandbox(), _MEMORY)
    train_policy(settings, model=model, card=card, samples=samples, task=task, on_step=on_step, sandbox=sandbox)
    seconds = time.perf_counter() - began
    result = Result(
        trial=trial,
        steps=steps,
        before=before,
        after=asyncio.run(held_out(model, card, test, items, _MEMORY)),
        curve=curve,
        seconds=round(seconds, 1),
    )
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(keep)
        copy_files(folder_of(card), keep)
    _write(file, result)
    return result


def _before(trial: Trial, out: Path, measure: Callable[[], dict[str, HeldOut]]) -> dict[str, HeldOut]:
    """The start on the held-out items, which is the same for every trial of a setting."""
    file = out / "before" / f"{trial.setting.name}.json"
    if not file.is_file():
        _write(file, measure())
    return read_as(file, dict[str, HeldOut])


def _write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
    part.replace(file)


def read_result(file: Path) -> Result:
    """A result that was written.

    Raises:
        DataError: it cannot be read.
    """
    return read_as(file, Result)


def read_as(file: Path, kind: type[T]) -> T:
    """What was written to `file`.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(f"cannot read {file}: {one_line(error)}; remove it, and run the recipe again") from error


def prepare(starts: set[Start], out: Path, say: Say) -> None:
    """Make the starts that trials need, before several of them want the same."""
    for start in sorted(starts):
        start_card(start, out / "starts" / start, say)
