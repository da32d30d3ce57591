"""The shipped agent of all levels: it calls its tool where it must, its cold start wherever it can."""

from __future__ import annotations

import asyncio

import pytest
import torch

from evalkit.models import find_card
from evalkit.training.config import SftSettings
from evalkit.training.policy import load_model
from evalkit.training.recipes.nano.measure import HeldOut, held_out
from evalkit.training.recipes.nano.starts import training_samples


def figures(name: str, level: int) -> dict[str, HeldOut]:
    card = find_card(name)
    task, samples = training_samples({"level": str(level), "boards": "8"})
    return asyncio.run(held_out(load_model(card, SftSettings(), torch.device("cpu")), card, task, samples))


@pytest.mark.parametrize("level", [1, 3])
def test_it_calls_where_it_must_and_nowhere_else(level: int) -> None:
    found = figures("metis-nano-2", level)
    assert found["legible"].tool_rate == 0
    assert found["needs tool"].tool_rate >= 0.9
    assert found["all"].accuracy >= 0.9


def test_its_cold_start_calls_everywhere() -> None:
    found = figures("metis-nano-2-sft", 3)
    assert found["all"].tool_rate == 1
    assert found["all"].accuracy >= 0.9
    assert found["needs tool"].direct_accuracy < 0.7
