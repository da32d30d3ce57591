"""Learning from a judge's word: the command, its server and the real small model, from end to end."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli import main
from evalkit.training.folder import read_train_info
from evalkit.training.metrics import read_metrics
from tests.engines.openai_server import said
from tests.judges import judge_server

TASK = """
from evalkit import Outcome, Task, Verdict
from evalkit.content import find_tasks, open_task, task_named
from evalkit.scoring.judge.question import Asked

class Essays(Task):
    name = "essays"
    judge_for = Asked.EQUIVALENCE
    def samples(self):
        options = {"boards": "2", "seed": "2000000"}
        return open_task(task_named("panel_probe", find_tasks()), None, None, options).samples()
    def score(self, sample, response):
        return Outcome(verdict=Verdict.INCORRECT, answer=response)
"""


def test_a_judge_gives_the_reward(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "tasks" / "essays"
    home.mkdir(parents=True)
    (home / "task.py").write_text(TASK)
    out = tmp_path / "t"
    command = ["train", "--method", "grpo", "-t", "essays", "--task-dir", str(tmp_path / "tasks"), "--data", "sample"]
    command += ["--prompts", "2", "--group", "4", "--warmup", "1", "--resample", "0", "--out", str(out)]
    words = itertools.cycle(["correct", "incorrect", "incorrect"])

    def reply(body: dict[str, Any]) -> Any:
        return said(json.dumps({"verdict": next(words)}))

    with judge_server(reply) as server:
        judged = [*command, "--judge-url", server.url]
        assert main([*judged, "--steps", "1"]) == 0
        assert " asked, " in capsys.readouterr().err
        assert main([*judged, "--steps", "2"]) == 0
        said_again = capsys.readouterr().err
    assert "going on in" in said_again
    first, second = read_metrics(out)
    assert (first.step, second.step) == (1, 2)
    assert first.overall is not None
    assert 0 < first.overall.accuracy < 1
    assert first.learned > 0
    assert first.grad_norm > 0
    assert first.errors == 0
    assert (out / "judge.sqlite").is_file()
    assert read_train_info(out).config["data"]["judge"]["model"]
    # another recipe is told as early with a judge as without one
    assert main([*command, "--judge-url", server.url, "--group", "3"]) == 2
    assert "another recipe (settings.group: 4 -> 3)" in capsys.readouterr().err


def test_a_judge_that_does_not_answer_is_no_wrong_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "tasks" / "essays"
    home.mkdir(parents=True)
    (home / "task.py").write_text(TASK)
    command = ["train", "--method", "grpo", "-t", "essays", "--task-dir", str(tmp_path / "tasks"), "--data", "sample"]
    command += ["--prompts", "1", "--group", "2", "--resample", "0", "--steps", "1", "--out", str(tmp_path / "t")]
    with judge_server(lambda body: said("no idea")) as server:
        assert main([*command, "--judge-url", server.url]) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "none of 2 rollouts could be scored" in line
