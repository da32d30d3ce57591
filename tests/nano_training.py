"""Small trainings of the shipped metis-nano-sft on panel_probe, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit.content import find_tasks, open_task, task_named
from evalkit.models import find_card
from evalkit.records import Sample
from evalkit.task import Task
from evalkit.training.config import PolicySettings
from evalkit.training.figures import StepFigures, TrainResult

CARD = find_card("metis-nano-sft")
SETTINGS = PolicySettings(steps=4, prompts=2, group=4, lr=2e-4, warmup=1, resample=0)
CLOCKS = ("rollout_s", "update_s")
ROUNDED = ("entropy", "gap")
"""Figures of the draws: their last bits follow from which requests shared a batch."""


def probe(boards: int = 6) -> tuple[Task, list[Sample]]:
    """The task, and questions on boards that no test set has."""
    task = open_task(task_named("panel_probe", find_tasks()), None, None, {"boards": str(boards), "seed": "2000000"})
    return task, list(task.samples())


def nano(settings: Any = SETTINGS) -> Any:
    """The model, loaded anew."""
    import torch

    from evalkit.training.policy import load_model

    return load_model(CARD, settings, torch.device("cpu"))


def rehearse(
    settings: PolicySettings = SETTINGS, out: Path | None = None, model: Any = None, **more: Any
) -> TrainResult:
    """One training on rollouts."""
    from evalkit.training.trainer import train_policy

    task, samples = probe()
    model = nano(settings) if model is None else model
    return train_policy(settings, model=model, card=CARD, samples=samples, task=task, out=out, **more)


def exact(figures: StepFigures) -> dict[str, float]:
    """What must be the same in every repetition."""
    return {name: value for name, value in figures.scalars().items() if name not in (*CLOCKS, *ROUNDED)}


def weights(model: Any) -> dict[str, Any]:
    """A copy of all weights."""
    return {name: value.clone() for name, value in model.state_dict().items()}
