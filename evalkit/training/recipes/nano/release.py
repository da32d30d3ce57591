"""metis-nano of all levels: a cold start, and what GRPO and HDPO make of it on all question types at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import torch

from evalkit.models import ModelCard
from evalkit.records import Sample
from evalkit.sandbox import LocalSandbox
from evalkit.task import Task
from evalkit.training.checkpoint import copy_files
from evalkit.training.config import Method, PolicySettings
from evalkit.training.memo import Memory, MemoSandbox
from evalkit.training.policy import folder_of, load_model
from evalkit.training.recipes.nano.grid import TRAINING_SEED, Start
from evalkit.training.recipes.nano.measure import HeldOut, held_out
from evalkit.training.recipes.nano.starts import Say, start_card, training_samples
from evalkit.training.recipes.nano.trials import read_as
from evalkit.training.trainer import train_policy

LEVELS = (1, 2, 3)
STEPS, EVERY = 120, 20
"""Of training, and from one look at the validation boards to the next."""
MAY_LOSE = 0.01
"""Of the start's accuracy on the validation boards, so that a checkpoint may be chosen."""
_BOARDS, _VALIDATION_BOARDS, _HELD_OUT_BOARDS = 60, 50, 100
_VALIDATION_SEED = 3_000_000
_APART = 100_000

SIBLINGS = {
    "grpo": PolicySettings(method=Method.GRPO, steps=STEPS, lr=2e-4, prompts=12, resample=0),
    "hdpo": PolicySettings(method=Method.HDPO, w_tool=0.15, divide=False, steps=STEPS, lr=1e-4, prompts=12, resample=0),
}


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """A policy on the held-out boards of every level: level to category to figures."""

    name: str
    levels: dict[int, dict[str, HeldOut]]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint on the validation boards of all levels: mean accuracy, and mean share of redundant calls."""

    step: int
    accuracy: float
    redundant: float


def build(out: Path, say: Say, settings: Mapping[str, PolicySettings] = SIBLINGS) -> list[Levels]:
    """Train the siblings, keep each in `out/models/NAME` and their figures in `out/models/levels.json`.

    Of a training's checkpoints the one is kept that wastes the fewest calls among those that have not lost more than
    `MAY_LOSE` of the start's accuracy, on boards that are neither trained nor measured on.

    Raises:
        EvalkitError: it cannot be done here.
    """
    card = start_card(Start.WIDE, out / "starts" / Start.WIDE, say)
    memory = Memory()
    model = _loaded(card)
    found = [Levels(name="sft", levels=_measured(model, card, memory))]
    start = _validated(0, model, card, memory)
    say(f"sft: validation accuracy {start.accuracy:.1%}, redundant {start.redundant:.1%}")
    for name, how in settings.items():
        model = _loaded(card)
        chosen = _train(name, how, model, card, memory, start, say)
        say(f"{name}: kept step {chosen.step}")
        folder = out / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        copy_files(folder_of(card), folder)
        found.append(Levels(name=f"{name}, step {chosen.step}", levels=_measured(model, card, memory)))
    (out / "models" / "levels.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    return found


def best(start: Choice, checkpoints: Sequence[Choice]) -> Choice:
    """The checkpoint to keep; the most accurate one where all have lost too much."""
    fit = [choice for choice in checkpoints if choice.accuracy >= start.accuracy - MAY_LOSE]
    if not fit:
        return max(checkpoints, key=lambda choice: choice.accuracy)
    return min(fit, key=lambda choice: (choice.redundant, -choice.accuracy))


def read_levels(file: Path) -> list[Levels]:
    """The figures that `build` wrote.

    Raises:
        DataError: they cannot be read.
    """
    return read_as(file, list[Levels])


def levels_table(found: Sequence[Levels]) -> str:
    """The figures as a Markdown table, a line for each policy and level."""
    lines = ["| policy | level | accuracy, not needed | needed | tool rate, not needed | needed | redundant |"]
    lines.append("|---|---|---|---|---|---|---|")
    for policy in found:
        for level, at in policy.levels.items():
            plain, needs = at["legible"], at["needs tool"]
            figures = (plain.accuracy, needs.accuracy, plain.tool_rate, needs.tool_rate, at["all"].redundant)
            lines.append(f"| {policy.name} | {level} | " + " | ".join(f"{value:.1%}" for value in figures) + " |")
    return "\n".join(lines)


def _loaded(card: ModelCard) -> Any:
    return load_model(card, SIBLINGS["grpo"], torch.device("cpu"))


def _train(
    name: str, settings: PolicySettings, model: Any, card: ModelCard, memory: Memory, start: Choice, say: Say
) -> Choice:
    """Train in parts of `EVERY` steps, with an optimiser each, and put the best checkpoint's weights back."""
    torch.manual_seed(settings.seed)
    samples: list[Sample] = []
    for level in LEVELS:
        # every level scores alike, so that one task does for all
        task, rows = _level(level, _BOARDS, TRAINING_SEED + level * _APART)
        samples += rows
    checkpoints: list[Choice] = []
    kept: dict[int, dict[str, torch.Tensor]] = {}
    for step in range(EVERY, settings.steps + 1, EVERY):
        part = msgspec.structs.replace(settings, steps=EVERY, seed=step)
        sandbox = MemoSandbox(LocalSandbox(), memory)
        train_policy(part, model=model, card=card, samples=samples, task=task, sandbox=sandbox)
        now = _validated(step, model, card, memory)
        say(f"{name} {step}: validation accuracy {now.accuracy:.1%}, redundant {now.redundant:.1%}")
        checkpoints.append(now)
        kept[step] = {key: value.clone() for key, value in model.state_dict().items()}
    chosen = best(start, checkpoints)
    model.load_state_dict(kept[chosen.step])
    return chosen


def _validated(step: int, model: Any, card: ModelCard, memory: Memory) -> Choice:
    found = []
    for level in LEVELS:
        task, items = _level(level, _VALIDATION_BOARDS, _VALIDATION_SEED)
        found.append(asyncio.run(held_out(model, card, task, items, memory))["all"])
    return Choice(step=step, accuracy=fmean(at.accuracy for at in found), redundant=fmean(at.redundant for at in found))


def _level(level: int, boards: int, seed: int) -> tuple[Task, list[Sample]]:
    return training_samples({"level": str(level), "boards": str(boards), "seed": str(seed)})


def _measured(model: Any, card: ModelCard, memory: Memory) -> dict[int, dict[str, HeldOut]]:
    found = {}
    for level in LEVELS:
        task, items = training_samples({"level": str(level), "boards": str(_HELD_OUT_BOARDS)})
        found[level] = asyncio.run(held_out(model, card, task, items, memory))
    return found
