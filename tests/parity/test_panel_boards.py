"""The boards are those that metis-nano was trained and measured on, pixel for pixel."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import ROOT, SHARED

PROTOTYPE = SHARED / "prototypes" / "nano" / "data.py"


def load(path: object, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not PROTOTYPE.is_file(), reason="the first generator (../shared) is not beside this checkout")
def test_boards_and_questions_equal_the_first_generators() -> None:
    first, ours = load(PROTOTYPE, "first"), load(ROOT / "tasks/panel_probe/board.py", "board")
    sizes = ours.Sizes()
    for seed in (0, 7, *range(1_000_000, 1_000_012)):
        assert np.array_equal(np.asarray(first.render(seed)), np.asarray(ours.render(seed, sizes)))
        for panel, shape in enumerate(ours.shapes(seed, sizes)):
            item, asked = first.item(seed, panel), ours.question(seed, panel, shape.colour)
            assert (item["question"], item["answer"], item["hard"]) == (asked.text, asked.answer, shape.tiny)
