"""Arms of a run that is killed, that failed, or that was asked for later: all end as if nothing had happened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.faults.test_kill_and_resume import CALL, wait_for_lines

ASKED = ("--arms", "direct,forced", "--repeats", 2, "--forced-answers", "--isolated-latency", 3, "--repeat-check", 2)
RUN = ("run", "--model", "scripted", "--tasks", "panel_probe", "--script", "script.json", "-T", "boards=6", "-c", 4)


@pytest.fixture(autouse=True)
def script(tmp_path: Path) -> None:
    """Every second sample calls the tool first."""
    turns: dict[str, list[str]] = {}
    for board in range(6):
        for k in range(4):
            answer = f"<reason>r</reason><answer>{'ABCD'[(board + k) % 4]}</answer>"
            turns[f"{1_000_000 + board}-{(board + 2 * k) % 9}"] = [CALL, answer] if k % 2 == 0 else [answer]
    (tmp_path / "script.json").write_text(json.dumps({"samples": turns, "delay_s": 0.03}))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


def rows(run: Path) -> dict[tuple[str, str, int], Any]:
    """What a run found, without times."""

    def timeless(tree: Any) -> Any:
        if isinstance(tree, dict):
            hidden = ("timing", "seconds", "started_at", "total_s")
            return {key: timeless(value) for key, value in tree.items() if key not in hidden}
        return [timeless(value) for value in tree] if isinstance(tree, list) else tree

    return {(r["sample"]["id"], r.get("arm", "agent"), r.get("repeat", 0)): timeless(r) for r in lines(run)}


def arms(run: Path) -> Counter[str]:
    return Counter(arm for _, arm, _ in rows(run))


WHOLE = Counter({"agent": 48, "direct": 24, "forced": 24, "again": 2, "answer@0": 24, "isolated": 3})


def test_killed_in_any_arm_it_ends_like_an_uninterrupted_run(tmp_path: Path, cli: Cli) -> None:
    whole = cli(*RUN, *ASKED, "--run-dir", "whole")
    assert whole.returncode == 0, whole.stderr
    assert arms(tmp_path / "whole") == WHOLE
    command = [sys.executable, "-m", "evalkit", *map(str, (*RUN, *ASKED)), "--run-dir", "r"]
    for count in (20, 105):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_lines(tmp_path / "r" / "samples.jsonl", count)
        process.kill()
        process.communicate()
        assert len(lines(tmp_path / "r")) < sum(WHOLE.values()), "killed too late to show anything"
    again = cli(*RUN, *ASKED, "--run-dir", "r")
    assert again.returncode == 0, again.stderr
    assert "of 96 rows are there" in again.stderr
    assert rows(tmp_path / "r") == rows(tmp_path / "whole")
    assert len(lines(tmp_path / "r")) == len(rows(tmp_path / "r")), "nothing ran twice"


def test_arms_asked_for_later_run_alone_and_nothing_changes_for_the_agent(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN).returncode == 0
    (run,) = (tmp_path / "runs").iterdir()
    before = json.loads((run / "summary.json").read_text())
    first = lines(run)
    later = cli(*RUN, *ASKED)
    assert later.returncode == 0, later.stderr
    assert lines(run)[:24] == first
    assert arms(run) == WHOLE
    after = json.loads((run / "summary.json").read_text())
    for figures in ("outcomes", "accuracy", "done", "expected", "tools"):
        assert after[figures] == before[figures]
    asked = [session["arms"] for session in json.loads((run / "run.json").read_text())["sessions"]]
    assert asked[0] == {"names": ["agent"]}
    assert asked[1]["names"] == ["agent", "direct", "forced"]
    assert (asked[1]["repeats"], asked[1]["isolated"], asked[1]["forced_answers"]) == (2, 3, True)
    nothing = cli(*RUN, *ASKED)
    assert "errors are tried again" not in nothing.stderr
    assert sum(WHOLE.values()) == len(lines(run))


def test_errors_of_any_arm_are_said_fail_the_run_and_are_tried_again(tmp_path: Path, cli: Cli) -> None:
    options = (*RUN, "--counterfactual", "--forced-answers", "--run-dir", "r")
    assert cli(*options).returncode == 0
    file = tmp_path / "r" / "samples.jsonl"
    broken = lines(tmp_path / "r")
    for wanted in ("direct", "answer@0"):
        row = next(row for row in broken if row.get("arm") == wanted)
        row["outcome"] = {"verdict": "engine_error", "error": f"no reply in {wanted}"}
    file.write_text("".join(json.dumps(line) + "\n" for line in broken))
    said = cli(*options, "--script", "script.json")
    assert said.stderr.count("1 errors are tried again") == 2
    assert said.returncode == 0
    assert len(lines(tmp_path / "r")) == len(broken) + 2

    (tmp_path / "script.json").write_text("{}")
    failing = cli("run", "--engine", "replay", "--model", "x", "--protocol", "metis", "--replay", "r", *RUN[3:5],
                  "-T", "boards=7", "--counterfactual", "--out", "other")  # fmt: skip
    assert failing.returncode == 3
    assert failing.stdout.count("1 x arm direct: not in the recording") == 3
    assert "4 of 28 rows of arm direct failed" in failing.stdout


def test_a_whole_run_is_played_back_arm_by_arm(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, *ASKED, "--run-dir", "r").returncode == 0
    replay = ("run", "--engine", "replay", "--model", "x", "--protocol", "metis", "--replay", "r", *RUN[3:5])
    played = cli(*replay, "-T", "boards=6", *ASKED, "--run-dir", "played")
    assert played.returncode == 0, played.stderr
    assert arms(tmp_path / "played") == WHOLE
    texts = [
        {key: [turn["text"] for turn in row["trajectory"]["turns"]] for key, row in rows(tmp_path / name).items()}
        for name in ("r", "played")
    ]
    assert texts[0] == texts[1]
