"""Rewards and advantages against values from the formulas of the authors' code (float64, epsilon 1e-6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evalkit.hdpo import accuracy_reward, coupled_reward, group_advantages, hdpo_advantages, tool_reward

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "reference" / "hdpo_golden.json"
CASES = ["mixed", "all_wrong", "one_correct", "all_correct_same_calls", "single_rollout", "random_8x16"]
EXACT = {"atol": 1e-6, "rtol": 0.0}


@pytest.fixture(scope="module")
def case() -> Callable[[str], dict[str, Any]]:
    if not GOLDEN.exists():
        pytest.skip("the golden values (../shared/reference/hdpo_golden.json) are not beside this checkout")
    cases = {found["name"]: found for found in json.loads(GOLDEN.read_text())["cases"]}
    assert sorted(cases) == sorted(CASES), "a case is not tested"
    return lambda name: cases[name]


def tensors(found: dict[str, Any], kind: torch.dtype) -> dict[str, torch.Tensor]:
    names = sorted(set(found["prompt"]))
    return {
        "prompt": torch.tensor([names.index(name) for name in found["prompt"]]),
        "correct": torch.tensor(found["correct"], dtype=kind),
        "formed": torch.full((len(found["correct"]),), found["format"], dtype=kind),
        "calls": torch.tensor(found["calls"]),
    } | {key: torch.tensor(found[key], dtype=kind) for key in ("r_acc", "r_tool", "adv_acc", "adv_tool")}


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_case(case: Callable[[str], dict[str, Any]], name: str, kind: torch.dtype) -> None:
    given = tensors(case(name), kind)
    accuracy = accuracy_reward(given["correct"], given["formed"])
    tool = tool_reward(given["correct"], given["calls"])
    torch.testing.assert_close(accuracy, given["r_acc"], **EXACT)
    torch.testing.assert_close(tool, given["r_tool"], **EXACT)
    channels = hdpo_advantages(accuracy, tool, given["correct"], given["prompt"])
    torch.testing.assert_close(channels.accuracy, given["adv_acc"], **EXACT)
    torch.testing.assert_close(channels.tool, given["adv_tool"], **EXACT)
    assert torch.equal(channels.accuracy == 0, given["adv_acc"] == 0)
    assert torch.equal(channels.tool == 0, given["adv_tool"] == 0)


@pytest.mark.parametrize("name", CASES)
def test_coupled_reward_of_no_price_is_grpo(case: Callable[[str], dict[str, Any]], name: str) -> None:
    given = tensors(case(name), torch.float64)
    free = coupled_reward(given["r_acc"], given["calls"], 0.0)
    torch.testing.assert_close(group_advantages(free, given["prompt"]), given["adv_acc"], **EXACT)
    priced = coupled_reward(given["r_acc"], given["calls"], 0.25)
    torch.testing.assert_close(priced, given["r_acc"] - 0.25 * given["calls"], **EXACT)
