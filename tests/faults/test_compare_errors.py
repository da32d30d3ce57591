"""What cannot be compared or shown is refused in one line that says why; hostile text acts nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit import Verdict
from tests.conftest import Cli
from tests.run_folders import row, write_run


def pair(tmp_path: Path, **second: Any) -> None:
    rows = second.pop("rows", [row(i) for i in range(4)])
    write_run(tmp_path / "a", [row(i) for i in range(4)])
    write_run(tmp_path / "b", rows, **second)


def refused(cli: Cli, *arguments: object) -> str:
    done = cli("compare", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_another_task_is_refused(tmp_path: Path, cli: Cli) -> None:
    pair(tmp_path, task={"name": "letters"})
    said = refused(cli, "a", "b")
    assert "B (b) cannot be compared with A (a): the tasks differ (letters, numbers)" in said
    assert "--allow-different task" in said


def test_another_version_is_refused_unless_allowed_and_then_recorded(tmp_path: Path, cli: Cli) -> None:
    pair(tmp_path, task={"version": 2})
    assert "the task's versions differ (2, 1); --allow-different version" in refused(cli, "a", "b")
    done = cli("compare", "a", "b", "--allow-different", "version", "--json", "c.json")
    assert done.returncode == 0
    assert "PAIRED ALL THE SAME, version: the task's versions differ (2, 1)" in " ".join(done.stdout.split())
    overlap = json.loads((tmp_path / "c.json").read_text())["against"][0]["overlap"]
    assert overlap["overridden"] == ["version: the task's versions differ (2, 1)"]


@pytest.mark.parametrize(
    "changed", [{"question": "What else?"}, {"answer": "C"}, {"choices": {"A": "one", "B": "two"}}]
)
def test_other_questions_under_the_same_ids_are_counted_and_refused(
    tmp_path: Path, cli: Cli, changed: dict[str, Any]
) -> None:
    pair(tmp_path, rows=[row(0), row(1, **changed), row(2), row(3, **changed)])
    said = refused(cli, "a", "b")
    assert "2 of 4 ids have another question, other options or another reference answer, the first '1'" in said
    assert cli("compare", "a", "b", "--allow-different", "questions").returncode == 0


def test_no_id_in_common_is_refused_and_cannot_be_allowed(tmp_path: Path, cli: Cli) -> None:
    pair(tmp_path, rows=[row(f"x{i}") for i in range(4)])
    said = refused(cli, "a", "b")
    assert "they have no sample id in common (the first ones are 'x0' and '0')" in said
    assert "--allow-different" not in said


def test_every_run_that_cannot_be_paired_is_named(tmp_path: Path, cli: Cli) -> None:
    pair(tmp_path, task={"version": 2})
    write_run(tmp_path / "c", [row(9)])
    said = refused(cli, "a", "b", "c")
    assert [line.split(" cannot")[0] for line in said.splitlines()] == ["error: B (b)", "error: C (c)"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a",), "takes two runs at least"),
        (("a", "./a"), "named twice"),
        (("a", "nowhere"), "nowhere is not a run folder"),
        (("a", "b", "--allow-different", "versions"), "nearest: version"),
        (("a", "b", "--rule", "official"), "a has no verdict under an official rule"),
        (("a", "b", "--json", "-", "--md", "-"), "--json - and --md -: only one"),
        (("a", "b", "--json", "none/c.json"), "--json none/c.json: cannot be written"),
        (("a", "b", "--task-dir", "a"), "no task.py"),
        ((), "runs"),
    ],
)
def test_usage_errors_are_one_line(tmp_path: Path, cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    pair(tmp_path)
    done = cli("compare", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said.lower() in " ".join(done.stderr.lower().split())
    assert "Traceback" not in done.stderr


def test_a_run_without_rows_and_a_damaged_one_are_named(tmp_path: Path, cli: Cli) -> None:
    pair(tmp_path)
    write_run(tmp_path / "empty", [])
    assert "empty has no finished trajectory" in refused(cli, "a", "empty")
    lines = (tmp_path / "b" / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "b" / "samples.jsonl").write_bytes(b"".join([lines[0], b"{broken\n", *lines[1:]]))
    assert "samples.jsonl line 2 is corrupt" in refused(cli, "a", "b")
    info = json.loads((tmp_path / "a" / "run.json").read_text())
    del info["config"]["task"]
    (tmp_path / "a" / "run.json").write_text(json.dumps(info))
    for command in (("compare", "a", "b"), ("show", "a"), ("score", "a")):
        done = cli(*command)
        assert (done.returncode, "run.json: its config names no task" in done.stderr) == (2, True), done.stderr


def test_a_run_that_is_all_errors_has_reasons_instead_of_figures(tmp_path: Path, cli: Cli) -> None:
    pair(tmp_path, rows=[row(i, Verdict.ENGINE_ERROR) for i in range(4)])
    done = cli("compare", "a", "b")
    assert done.returncode == 0, done.stderr
    assert "0 samples paired by id; 4 left out: an error in B" in done.stdout
    assert "not available, because no sample has a score in both runs" in done.stdout
    assert done.stderr == ""


def test_a_torn_last_line_is_left_out(tmp_path: Path, cli: Cli) -> None:
    pair(tmp_path)
    file = tmp_path / "b" / "samples.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    done = cli("compare", "a", "b")
    assert "3 samples paired by id; 1 only in A" in done.stdout


HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]x[/red] :smile: | `</td><script> @someone [l](http://h) \u202eevil\u202c\\"


def test_hostile_names_ids_and_answers_act_nowhere(tmp_path: Path, cli: Cli) -> None:
    for name, right in (("a", True), ("b", False)):
        rows = [row(f"{i} {HOSTILE}", right, answered=HOSTILE, category=f"{i % 2} {HOSTILE}") for i in range(4)]
        write_run(tmp_path / name, rows, model=f"{name} {HOSTILE}")
    shown = cli("compare", "a", "b", "--md", "c.md")
    assert shown.returncode == 0, shown.stderr
    markdown = (tmp_path / "c.md").read_text()
    for text in (shown.stdout, markdown):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    # on the terminal the markup is seen, not obeyed
    assert "[red]x[/red] :smile:" in shown.stdout
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 7 for line in table)
    assert "<script>" not in "".join(table).replace("\\<", "")
    outside = "".join(markdown.split("`")[::2])
    assert "@s" not in outside
    assert "](" not in outside.replace("\\](", "")
