"""`evalkit run --shard` and `evalkit merge` as a queue system uses them, with a scripted model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli

CALL = '<tool_call>{"name": "python", "arguments": {"code": "print(image_1.size)"}}</tool_call>'
RUN = ("run", "--model", "scripted", "--tasks", "panel_probe", "--script", "script.json", "-T", "boards=4", "-c", "4")
ARMS = ("--counterfactual", "--forced-answers", "--repeat-check", "5", "--isolated-latency", "3")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Calls the tool on every third sample and is right on some."""
    turns: dict[str, list[str]] = {}
    for board in range(4):
        for k in range(4):
            answer = f"<reason>r</reason><answer>{'ABCD'[(board + k) % 4]}</answer>"
            calls = [CALL] * ((board * 4 + k) % 3 == 0)
            turns[f"{1_000_000 + board}-{(board + 2 * k) % 9}"] = [*calls, answer]
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"samples": turns}))
    return file


def timeless(run: Path) -> Any:
    """A run's figures without times, to twelve digits: sums do not know the order of their terms to the last one."""
    figures = json.loads((run / "summary.json").read_text(), parse_float=lambda text: f"{float(text):.12g}")
    del figures["latency"]
    figures["budgets"] = [curve for curve in figures["budgets"] if curve["unit"] != "seconds"]
    return figures


@pytest.mark.usefixtures("script")
def test_shards_run_and_merged_are_the_undivided_run(tmp_path: Path, cli: Cli) -> None:
    whole = cli(*RUN, *ARMS, "--run-dir", "whole")
    assert whole.returncode == 0, whole.stderr
    for index in (3, 1, 2):
        part = cli(*RUN, *ARMS, "--shard", f"{index}/3", "--out", "shards")
        assert part.returncode == 0, part.stderr
        assert f"shard {index} of 3: {6 - (index > 1)} of 16 rows" in part.stdout
    assert {name.name.split("__")[-1] for name in (tmp_path / "shards").iterdir()} == {
        "shard-1-of-3",
        "shard-2-of-3",
        "shard-3-of-3",
    }
    merged = cli("merge", "shards", "--run-dir", "merged")
    assert merged.returncode == 0, merged.stderr
    assert timeless(tmp_path / "merged") == timeless(tmp_path / "whole")
    assert keys(tmp_path / "merged") == keys(tmp_path / "whole")
    # it is the undivided run from here on
    again = cli(*RUN, *ARMS, "--run-dir", "merged")
    assert again.returncode == 0, again.stderr
    assert "resuming merged: 32 of 32 rows are there" in again.stderr
    for verb in ("show", "compare"):
        assert cli(verb, *(["whole"] * (verb == "compare")), "merged").returncode == 0
    board = cli("report", "merged", "shards", "--md", "-")
    assert board.returncode == 0, board.stderr
    assert "shard 2 of 3: 5 of 16 rows" in board.stdout
    assert "merged from 3 shards" in board.stdout
    # five of the rows are no reason to wave a change through
    lone = cli("gate", next((tmp_path / "shards").glob("*shard-2-of-3")), "--baseline", "whole")
    assert lone.returncode == 3
    assert "as this is shard 2/3" in " ".join(lone.stdout.split())


def keys(run: Path) -> list[tuple[str, str, int]]:
    records = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    return sorted((record["sample"]["id"], record.get("arm", "agent"), record.get("repeat", 0)) for record in records)


@pytest.mark.usefixtures("script")
def test_a_shard_goes_on_in_its_own_folder(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "--shard", "1/2").returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    file = folder / "samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]))
    refused = cli("merge", folder, "--out", "merged")
    assert refused.returncode == 2
    assert "of 2 shards 1 are not named: 2" in refused.stderr
    assert cli(*RUN, "--shard", "2/2").returncode == 0
    refused = cli("merge", "runs", "--out", "merged")
    assert refused.returncode == 2
    assert "(shard 1/2) is not finished: 5 of 8 rows are missing; run its command again" in refused.stderr
    again = cli(*RUN, "--shard", "1/2")
    assert "3 of 8 rows are there" in again.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert cli("merge", "runs", "--out", "merged").returncode == 0


@pytest.mark.usefixtures("script")
def test_what_cannot_be_had_with_shards_is_refused_before_anything_runs(tmp_path: Path, cli: Cli) -> None:
    for options, why in (
        (("--shard", "3/2"), "--shard '3/2': write i/n with i from 1 to n"),
        (("--shard", "1/17"), "--shard 1/17: panel_probe has 16 rows; take at most 16 shards"),
        (("--shard", "1/3", "--limit", "2"), "panel_probe has 2 rows; take at most 2 shards"),
        (
            ("--shard", "1/2", "--stop-when-decided", "accuracy:max:1pt", "--baseline", "b"),
            "--stop-when-decided looks at the rows of a whole run: leave out --shard",
        ),
    ):
        refused = cli(*RUN, *options)
        assert refused.returncode == 2
        assert why in refused.stderr
    assert not (tmp_path / "runs").exists()
