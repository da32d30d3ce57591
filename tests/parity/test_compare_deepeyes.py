"""Two recorded DeepEyes runs on V*Bench, compared row by row: 169 against 170 of 191.

The reference reads the logs' own verdicts and takes p from statsmodels.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar

from tests.conftest import Cli

RUNS = {"first": "ds4_bugfree/global_step_48", "second": "deepeyes_7b_rerun"}


def logged(folder: Path) -> dict[str, bool]:
    """The recorded verdicts, by category and image."""
    rows = {}
    for category in ("direct_attributes", "relative_position"):
        (file,) = folder.glob(f"result_{category}_*.jsonl")
        for line in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            rows[f"{category}/{Path(line['image']).stem}"] = line["acc"] == 1.0
    return rows


@pytest.fixture(scope="module")
def logs(shared_data: Path) -> dict[str, dict[str, bool]]:
    return {name: logged(shared_data / "vstar" / "deepeyes_logs" / folder) for name, folder in RUNS.items()}


@pytest.fixture
def compared(tmp_path: Path, shared_data: Path, cli: Cli) -> dict[str, Any]:
    runs = []
    for name, folder in RUNS.items():
        files = sorted((shared_data / "vstar" / "deepeyes_logs" / folder).glob("*.jsonl"))
        done = cli("import", "deepeyes", *files, "--task", "vstar", "--model", name, "--out", name)
        assert done.returncode == 0, done.stderr
        runs += (tmp_path / name).iterdir()
    done = cli("compare", *runs, "--json", "-")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_pairs_are_those_of_the_logs_and_p_is_statsmodels(
    compared: dict[str, Any], logs: dict[str, dict[str, bool]]
) -> None:
    first, second = logs["first"], logs["second"]
    assert first.keys() == second.keys()
    table = Counter((first[id], second[id]) for id in first)
    assert (sum(first.values()), sum(second.values())) == (169, 170)
    (versus,) = compared["against"]
    accuracy = versus["figures"][0]
    assert (accuracy["n"], accuracy["old"], accuracy["new"]) == (191, 169 / 191, 170 / 191)
    assert accuracy["counts"] == {
        "both": table[True, True],
        "only_new": table[False, True],
        "only_old": table[True, False],
        "neither": table[False, False],
    }
    only_new, only_old = table[False, True], table[True, False]
    assert (only_new, only_old) == (8, 7)
    exact = mcnemar([[table[True, True], only_old], [only_new, table[False, False]]], exact=True).pvalue
    seen = scipy_stats.binom.pmf(min(only_new, only_old), only_new + only_old, 0.5)
    assert accuracy["p"] == pytest.approx(exact - seen)
    assert accuracy["verdict"] == "no difference seen"
    assert {flip["id"] for flip in versus["flips"]} == {id for id in first if first[id] != second[id]}


def test_each_category_is_paired_alone(compared: dict[str, Any], logs: dict[str, dict[str, bool]]) -> None:
    figures = {f["category"]: f for f in compared["against"][0]["figures"] if f["name"] == "accuracy" and f["category"]}
    assert {category: figure["n"] for category, figure in figures.items()} == {
        "direct_attributes": 115,
        "relative_position": 76,
    }
    for category, figure in figures.items():
        ids = [id for id in logs["first"] if id.startswith(category)]
        wins = sum(logs["second"][id] and not logs["first"][id] for id in ids)
        losses = sum(logs["first"][id] and not logs["second"][id] for id in ids)
        assert (figure["counts"]["only_new"], figure["counts"]["only_old"]) == (wins, losses)
        assert figure["difference"] == pytest.approx((wins - losses) / len(ids))


def test_tool_use_is_compared_and_what_nobody_recorded_is_not_available(compared: dict[str, Any]) -> None:
    figures = {figure["name"]: figure for figure in compared["against"][0]["figures"] if not figure["category"]}
    assert (figures["tool rate"]["old"], figures["tool rate"]["new"]) == (1.0, 1.0)
    assert (figures["calls"]["old"], figures["calls"]["new"]) == (1.0, 345 / 191)
    assert figures["calls"]["verdict"] == "B more"
    for name in ("prompt tokens", "completion tokens", "latency"):
        assert (figures[name]["difference"], figures[name]["verdict"]) == (None, "not available")
    # the rows stand in another order in the two logs, and their questions are equal
    assert compared["against"][0]["overlap"]["overridden"] == []
    assert [difference["key"] for difference in compared["config"] if difference["group"] == "asked"] == [
        "task.fingerprint"
    ]
