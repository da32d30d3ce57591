"""DeepEyes' own recorded runs, imported: their totals, and the tool use that their trajectories show.

Published shares of questions with a tool call (Metis, assets/analysis.png): 100 % on V*Bench, 98 % on
HR-Bench, 4K and 8K together.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit import CallStatus, Record, Verdict
from evalkit.runs.store import latest_records
from tests.conftest import Cli

VSTAR_RUNS = {
    # right, by category; tool calls that ran; those beside the answer; those emitted and not run
    "ds4_bugfree/global_step_48": (169, {"direct_attributes": 105, "relative_position": 64}, 191, 0, 0),
    "deepeyes_7b_rerun": (170, {"direct_attributes": 103, "relative_position": 67}, 345, 175, 32),
}


def imported(cli: Cli, cwd: Path, files: list[Path], task: str) -> tuple[Path, str, list[Record], dict[str, Any]]:
    done = cli("import", "deepeyes", *files, "--task", task, "--model", "DeepEyes", cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (cwd / "runs").iterdir()
    return run, done.stdout, list(latest_records(run).values()), json.loads((run / "summary.json").read_text())


@pytest.mark.parametrize("name", VSTAR_RUNS)
def test_a_run_on_vstar_keeps_its_recorded_totals_and_shows_its_tool_use(
    tmp_path: Path, shared_data: Path, cli: Cli, name: str
) -> None:
    right, by_category, calls, beside, not_run = VSTAR_RUNS[name]
    files = sorted((shared_data / "vstar" / "deepeyes_logs" / name).glob("*.jsonl"))
    run, shown, records, summary = imported(cli, tmp_path, files, "vstar")
    assert len(records) == summary["expected"] == 191
    recorded = [record for record in records if record.outcome.recorded]
    assert len(recorded) == right
    assert Counter(record.sample.category for record in recorded) == by_category
    assert summary["recorded"]["n"] == 191
    # evalkit reads the same answers right as the judge of the recording did, row by row
    assert summary["recorded"]["differing"] == []
    assert summary["accuracy"]["count"] == right
    assert (summary["tools"]["tool_rate"]["count"], summary["tools"]["tool_rate"]["n"]) == (191, 191)
    assert summary["tools"]["calls_mean"] == pytest.approx(calls / 191)
    assert summary["tools"]["calls"].get("ok") == calls
    assert summary["tools"]["calls"].get("not_run", 0) == not_run
    assert summary["latency"]["sample"]["n"] == summary["tokens"]["completion"]["n"] == 0
    assert "latency, tokens" in shown
    assert "the right option was shown as A in all 191 rows" in shown
    assert (f"{beside} of {calls} calls that ran stand in the last response" in shown) == (beside > 0)
    again = cli("score", run)
    assert again.returncode == 0
    assert "0 of 191 verdicts changed" in again.stdout
    assert len((run / "samples.jsonl").read_bytes().splitlines()) == 191


def test_the_items_rebuilt_from_the_logs_are_those_of_the_data(tmp_path: Path, shared_data: Path, cli: Cli) -> None:
    items = json.loads((shared_data / "vstar" / "items_from_deepeyes_logs.json").read_text())
    files = sorted((shared_data / "vstar" / "deepeyes_logs" / "deepeyes_7b_rerun").glob("*.jsonl"))
    _, _, records, _ = imported(cli, tmp_path, files, "vstar")
    wanted = {f"{i['category']}/{Path(i['image']).stem}": (i["options"], i["correct_index"]) for i in items}
    found = {r.sample.id: (list(r.sample.choices.values()), "ABCD".index(r.sample.answer)) for r in records}
    assert found == wanted


def test_the_run_on_hrbench_4k_keeps_all_800_rows_and_its_six_errors(
    tmp_path: Path, shared_data: Path, cli: Cli
) -> None:
    files = sorted((shared_data / "hrbench" / "deepeyes_logs").glob("*.jsonl"))
    run, shown, records, summary = imported(cli, tmp_path, files, "hrbench_4k")
    items = json.loads((shared_data / "hrbench" / "items_4k_from_deepeyes_log.json").read_text())
    assert [r.sample.id for r in records] == [str(i["row"]) for i in items]
    for record, item in zip(records, items, strict=True):
        assert record.sample.choices == {letter: item[letter].strip() for letter in "ABCD"}
        assert (record.sample.answer, record.sample.category) == (item["answer"], item["category"])
    errors = [record for record in records if record.outcome.verdict is Verdict.ENGINE_ERROR]
    assert len(errors) == summary["outcomes"]["engine_error"] == 6
    # four of the six are boxes that the runner could not crop
    failed = [call for record in errors for call in record.trajectory.calls if call.status is CallStatus.FAILED]
    assert len(failed) == 4
    assert (summary["expected"], summary["done"], summary["accuracy"]["n"]) == (800, 800, 794)
    assert (summary["tools"]["tool_rate"]["count"], summary["tools"]["tool_rate"]["n"]) == (794, 794)
    assert sum(len([c for c in r.trajectory.calls if c.status.dispatched]) for r in records) == 1456
    assert "638 of 1456 calls that ran stand in the last response" in shown
    assert summary["recorded"] is None
    assert "0 of 800 verdicts changed" in cli("score", run).stdout
