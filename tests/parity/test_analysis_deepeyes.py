"""DeepEyes' recorded runs through the tables: tool use as the trajectories show it, beside what was published.

Published shares of questions with a tool call (Metis, assets/analysis.png): 100 % on V*Bench, 98 % on HR-Bench, 4K
and 8K together. The recorded trajectories: 191 of 191 on V* in both runs, and 794 of 794 scored rows (800 of 800 with
the six errors) on HR-Bench 4K. The published 98 % therefore does not come from this log of the 4K set; the 8K set,
which it is pooled with, has no log.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evalkit.analysis.tables import Analysis, analyse

RUNS = {
    "vstar, first": ("vstar", "vstar/deepeyes_logs/ds4_bugfree/global_step_48"),
    "vstar, again": ("vstar", "vstar/deepeyes_logs/deepeyes_7b_rerun"),
    "hrbench 4k": ("hrbench_4k", "hrbench/deepeyes_logs"),
}
PUBLISHED = {"vstar, first": 1.0, "vstar, again": 1.0, "hrbench 4k": 0.98}
# rows known whole and scored; rows with a call; calls that ran; right by the strict rule
MEASURED = {
    "vstar, first": (191, 191, 191, 169),
    "vstar, again": (191, 191, 345, 170),
    "hrbench 4k": (794, 794, 1450, 581),
}


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Analysis:
    from evalkit.cli import main

    folders = []
    for name, (task, logs) in RUNS.items():
        out = tmp_path_factory.mktemp(task)
        files = sorted((shared_data / logs).glob("*.jsonl"))
        if not files:
            pytest.skip(f"the logs are not in ../shared/data/{logs}")
        done = main(["import", "deepeyes", *map(str, files), "--task", task, "--model", "DeepEyes", "--out", str(out)])
        assert done == 0
        (made,) = out.iterdir()
        folders.append(made.rename(out / name))
    return analyse(folders)


def one(table: pd.DataFrame, **keys: Any) -> pd.Series[Any]:
    for key, wanted in keys.items():
        table = table[table[key] == wanted]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("run", RUNS)
def test_tool_use_from_real_trajectories_beside_the_published_share(analysis: Analysis, run: str) -> None:
    rows, called, calls, right = MEASURED[run]
    rate = one(analysis.tool_use, run=run, figure="tool_rate", tool="", category="")
    assert (rate["count"], rate["n"]) == (called, rows)
    mean = one(analysis.tool_use, run=run, figure="calls_mean", tool="", category="")
    assert mean["value"] == pytest.approx(calls / rows)
    # the published figure lies in the interval on V*, and below it on HR-Bench
    inside = rate["low"] <= PUBLISHED[run] <= rate["high"]
    assert inside == run.startswith("vstar")
    found = one(analysis.accuracy, run=run, rule="strict", rows="scored", category="")
    assert (found["count"], found["n"]) == (right, rows)
    figure = one(analysis.counting, run=run, name="metis.figure.tool_usage")
    assert figure["value"] == rate["value"]
    assert one(analysis.counting, run=run, name="mini_o3.success")["why"] == "the imported log keeps no images"


def test_intervals_count_hrbench_questions(analysis: Analysis) -> None:
    found = one(analysis.accuracy, run="hrbench 4k", rule="strict", rows="all", category="")
    assert (found["count"], found["n"], found["clusters"]) == (581, 800, 200)
    alone = one(analysis.accuracy, run="vstar, first", rule="strict", rows="all", category="")
    assert (alone["n"], alone["method"]) == (191, "wilson")


def test_what_the_logs_do_not_hold_is_said_to_be_unknown(analysis: Analysis) -> None:
    measured = analysis.latency[analysis.latency["part"] != "judge"]
    assert set(measured["why"]) == {"nobody measured it"}
    assert measured["value"].isna().all()
    assert set(analysis.tokens["why"]) == {"nobody measured it"}
    assert set(analysis.pixels["why"]) == {"the record has no image of it"}
