"""A run that is killed, interrupted or refused goes on later and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli

CALL = '<tool_call>{"name": "python", "arguments": {"code": "print(image_1.size)"}}</tool_call>'
RUN = ("run", "--model", "scripted", "--tasks", "panel_probe", "--script", "script.json", "--run-dir", "r")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Calls the tool on some samples and is right on some."""
    turns: dict[str, list[str]] = {}
    for board in range(20):
        for k in range(4):
            panel = (board + 2 * k) % 9
            answer = f"<reason>r</reason><answer>{'ABCD'[(board + k) % 4]}</answer>"
            turns[f"{1_000_000 + board}-{panel}"] = [CALL, answer] if k == 0 else [answer]
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"samples": turns, "delay_s": 0.05}))
    return file


def rows(run: Path) -> dict[str, Any]:
    """What a run found, without times."""

    def timeless(tree: Any) -> Any:
        if isinstance(tree, dict):
            hidden = ("timing", "seconds", "started_at", "total_s")
            return {key: timeless(value) for key, value in tree.items() if key not in hidden}
        return [timeless(value) for value in tree] if isinstance(tree, list) else tree

    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    return {line["sample"]["id"]: timeless(line) for line in lines}


def start(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evalkit", *RUN, "-T", "boards=20", "-c", "4", *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ})


def wait_for_lines(file: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if file.is_file() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{file} never had {count} lines")


@pytest.mark.usefixtures("script")
def test_a_killed_run_ends_like_an_uninterrupted_one(tmp_path: Path, cli: Cli) -> None:
    whole = cli(*RUN[:-1], "whole", "-T", "boards=20", "-c", "4")
    assert whole.returncode == 0, whole.stderr
    for lines in (10, 40):
        process = start(tmp_path)
        wait_for_lines(tmp_path / "r" / "samples.jsonl", lines)
        process.kill()
        process.communicate()
    # what a crash of the machine may leave besides
    with (tmp_path / "r" / "samples.jsonl").open("ab") as file:
        file.write(b'{"version":1,"sample":{"id":"10000')
    again = cli(*RUN, "-T", "boards=20", "-c", "4")
    assert again.returncode == 0, again.stderr
    assert "resuming r" in again.stderr
    assert rows(tmp_path / "r") == rows(tmp_path / "whole")
    assert len(rows(tmp_path / "r")) == 80
    figures = [json.loads((tmp_path / run / "summary.json").read_text()) for run in ("r", "whole")]
    for figure in figures:
        del figure["latency"]
        figure["budgets"] = [curve for curve in figure["budgets"] if curve["unit"] != "seconds"]
    assert figures[0] == figures[1]


@pytest.mark.usefixtures("script")
def test_ctrl_c_finishes_what_is_in_flight(tmp_path: Path, cli: Cli) -> None:
    process = start(tmp_path)
    wait_for_lines(tmp_path / "r" / "samples.jsonl", 10)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert b"finishing what is in flight" in output
    assert b"run the same command to go on" in output
    done = rows(tmp_path / "r")
    assert 10 <= len(done) < 80
    assert not [row for row in done.values() if "error" in row["outcome"]["verdict"]]
    assert cli(*RUN, "-T", "boards=20", "-c", "4").returncode == 0
    assert len(rows(tmp_path / "r")) == 80


@pytest.mark.usefixtures("script")
def test_ctrl_c_twice_stops_at_once(tmp_path: Path) -> None:
    script = json.loads((tmp_path / "script.json").read_text())
    (tmp_path / "script.json").write_text(json.dumps({**script, "delay_s": 30}))
    process = start(tmp_path)
    wait_for_lines(tmp_path / "r" / "samples.jsonl", 0)
    time.sleep(1.5)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert time.monotonic() - begun < 15
    assert b"stopped at once" in output


@pytest.mark.usefixtures("script")
def test_a_run_folder_of_another_configuration_is_refused(cli: Cli) -> None:
    assert cli(*RUN, "-T", "boards=1").returncode == 0
    refused = cli(*RUN, "-T", "boards=2", "--max-turns", "3")
    assert refused.returncode == 2
    assert "limits.turns: 11 -> 3" in refused.stderr
    assert "task.options.boards: 1 -> 2" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.usefixtures("script")
def test_a_finished_run_is_not_run_again_unless_asked(tmp_path: Path, cli: Cli) -> None:
    run = (*RUN[:-2], "-T", "boards=1")
    assert cli(*run).returncode == 0
    again = cli(*run)
    assert "4 of 4 rows are there" in again.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert cli(*run, "--fresh").returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.usefixtures("script")
def test_a_corrupt_line_is_named_and_nothing_is_lost(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "-T", "boards=1").returncode == 0
    file = tmp_path / "r" / "samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"{broken\n" + b"".join(lines[1:]))
    refused = cli(*RUN, "-T", "boards=1")
    assert refused.returncode == 2
    assert "samples.jsonl line 2 is corrupt" in refused.stderr
    assert file.read_bytes().count(b"\n") == 5


@pytest.mark.usefixtures("script")
def test_errors_are_tried_again_on_resume(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "-T", "boards=1").returncode == 0
    file = tmp_path / "r" / "samples.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2]["outcome"] = {"verdict": "engine_error", "error": "no reply"}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = cli(*RUN, "-T", "boards=1")
    assert "1 errors are tried again" in again.stderr
    assert file.read_bytes().count(b"\n") == 5
    assert "engine_error" not in json.loads((tmp_path / "r" / "summary.json").read_text())["outcomes"]


@pytest.mark.usefixtures("script")
def test_a_run_folder_that_cannot_be_made_is_no_usage_error(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("")
    refused = cli(*RUN[:-1], "file/r", "-T", "boards=1")
    assert refused.returncode == 3
    assert "cannot make file/r" in refused.stderr
    assert "name another --run-dir" in refused.stderr
