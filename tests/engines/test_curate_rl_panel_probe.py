"""Prompts of a real agent's rollouts, through the command: kept where it is sometimes right, dropped where it leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Cli

pytest.importorskip("torch")
pytest.importorskip("transformers")

REPEATS = 4
BOARDS = 10


@pytest.fixture
def rollouts(cli: Cli) -> str:
    """Hot rollouts, of which some prompts are a mix."""
    options = ("--task-option", f"boards={BOARDS}", "--task-option", "seed=2000000")
    done = cli(
        *("run", "--model", "metis-nano-sft", "--tasks", "panel_probe", *options),
        *("--repeats", REPEATS, "--temperature", 2, "--run-dir", "r"),
    )
    assert done.returncode == 0, done.stderr
    return "r"


def test_prompts_that_are_a_mix_are_kept_and_the_held_out_boards_do_not_leak(
    tmp_path: Path, cli: Cli, rollouts: str
) -> None:
    done = cli("curate", "rl", rollouts, "--out", "d", "--against", "panel_probe")
    assert done.returncode == 0, done.stderr + done.stdout
    fates = [json.loads(line) for line in (tmp_path / "d" / "rows.jsonl").read_text().splitlines()]
    kept = [fate for fate in fates if not fate.get("step")]
    assert len(fates) == 4 * BOARDS
    assert kept
    assert all(0 < fate["found"]["right"] < fate["found"]["scored"] == REPEATS for fate in kept)
    reasons = {fate["reason"] for fate in fates if fate.get("step")}
    assert reasons <= {"all_right", "all_wrong"}
    # the boards' template is shared, and said to be
    assert all("wording_only" in fate["found"]["overlap"][0] for fate in fates)

    again = cli("curate", "leakage", "d", "--against", "panel_probe")
    assert again.returncode == 0, again.stderr


def test_what_is_drawn_from_the_benchmark_itself_leaks_whole(tmp_path: Path, cli: Cli, rollouts: str) -> None:
    done = cli("curate", "rl", rollouts, "--out", "d")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "d" / "report.json").read_text())
    # the same boards by another name: a task of the user's own, with the seed that the rollouts had
    own = tmp_path / "tasks" / "own"
    own.mkdir(parents=True)
    (own / "task.py").write_text(
        "from evalkit.content import find_tasks\n"
        "class Own(find_tasks()['panel_probe'].kind):\n"
        "    name = 'own'\n"
        f"    options = {{**find_tasks()['panel_probe'].kind.options, 'seed': 2000000, 'boards': {BOARDS}}}\n"
    )
    leaks = cli("curate", "leakage", "d", "--against", "own", "--task-dir", tmp_path / "tasks", "--out", "l")
    assert leaks.returncode == 1, leaks.stderr
    rows = report["dataset"]["rows"]
    found = [json.loads(line) for line in (tmp_path / "l" / "rows.jsonl").read_text().splitlines()]
    assert len(found) == rows
    assert {fate["reason"] for fate in found} == {"image_file"}
