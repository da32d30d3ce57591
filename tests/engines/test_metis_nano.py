"""The shipped agents decide about their tool as their card says, with real calls in the real code tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Cli

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.mark.parametrize(("model", "called_when_legible"), [("metis-nano", 0.0), ("metis-nano-sft", 1.0)])
def test_the_agents_call_as_they_were_trained_to(
    tmp_path: Path, cli: Cli, model: str, called_when_legible: float
) -> None:
    done = cli("run", "--model", model, "--tasks", "panel_probe", "--limit", "80", "--run-dir", "r")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    rates = {metric["name"]: metric["value"] for metric in summary["metrics"]}
    assert rates == {"tool_rate[legible]": called_when_legible, "tool_rate[needs tool]": 1.0}
    assert summary["accuracy"]["value"] >= 0.95
    assert set(summary["tools"]["calls"]) == {"ok"}
    rows = [json.loads(line) for line in (tmp_path / "r" / "samples.jsonl").read_text().splitlines()]
    shown = [
        image
        for row in rows
        for turn in row["trajectory"]["turns"]
        for observation in turn.get("observations", ())
        for image in observation["images"]
    ]
    assert shown
    assert {(image["width"], image["height"]) for image in shown} == {(256, 256)}
    assert all((tmp_path / "r" / "images" / f"{image['sha256']}.png").is_file() for image in shown)


def test_a_recorded_run_can_be_played_back(tmp_path: Path, cli: Cli) -> None:
    run = ("run", "--model", "metis-nano", "--tasks", "panel_probe", "--limit", "12")
    assert cli(*run, "--run-dir", "first").returncode == 0
    again = cli(*run, "--engine", "replay", "--replay", "first", "--run-dir", "again")
    assert again.returncode == 0, again.stderr
    figures = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("first", "again")]
    for name in ("accuracy", "tools", "outcomes", "metrics", "tokens"):
        assert figures[0][name] == figures[1][name]
    beyond = cli(*run[:-1], "16", "--engine", "replay", "--replay", "first", "--run-dir", "more")
    assert beyond.returncode == 3
    assert "not in the recording" in beyond.stdout


def test_scoring_again_changes_nothing_or_says_what(tmp_path: Path, cli: Cli) -> None:
    run = ("run", "--model", "metis-nano", "--tasks", "panel_probe", "--limit", "8", "--run-dir", "r")
    assert cli(*run).returncode == 0
    file = tmp_path / "r" / "samples.jsonl"
    before = file.read_text()
    assert "0 of 8 verdicts changed" in cli("score", "r").stdout
    assert file.read_text() == before
    rows = [json.loads(line) for line in before.splitlines()]
    rows[3]["outcome"] = {"verdict": "unparsed", "reason": "none", "scorer": "panel_probe/0"}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    again = cli("score", "r")
    assert "1 of 8 verdicts changed" in again.stdout
    assert f"{rows[3]['sample']['id']}: no answer (none) -> " in again.stdout
    assert len(file.read_text().splitlines()) == 9
    assert "0 of 8 verdicts changed" in cli("score", "r").stdout
