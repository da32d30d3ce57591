"""The boards are those that metis-nano was trained and measured on, pixel for pixel."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

import numpy as np
import pytest

from evalkit.content import find_tasks, task_named
from tests.conftest import SHARED

PROTOTYPE = SHARED / "prototypes" / "nano" / "data.py"


def content(module: str) -> ModuleType:
    """A module of the task, which is loaded by path."""
    kind = task_named("panel_probe", find_tasks()).kind
    assert kind is not None
    return importlib.import_module(f"{kind.__module__}.{module}")


def load(path: object, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not PROTOTYPE.is_file(), reason="the first generator (../shared) is not beside this checkout")
def test_boards_and_questions_equal_the_first_generators() -> None:
    first, ours, questions = load(PROTOTYPE, "first"), content("board"), content("questions")
    style = ours.Style()
    for seed in (0, 7, *range(1_000_000, 1_000_012)):
        assert np.array_equal(np.asarray(first.render(seed)), np.asarray(ours.render(seed, style)))
        for panel, shape in enumerate(ours.shapes(seed, style)):
            item, asked = first.item(seed, panel), questions.colour_question(seed, panel, shape)
            assert (item["question"], item["answer"], item["hard"]) == (
                asked.text,
                asked.answer,
                asked.needs_tool,
            )
