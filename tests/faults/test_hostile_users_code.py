"""What a user's own task, names and terminals may do: named, harmless, and no other row is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli

TASK = """
from evalkit import Outcome, Sample, Task, Verdict

class Mine(Task):
    name = "mine"
    summary = "brackets [/foo] and \\x1b[31mcolour"
    options = {"hard": True}

    def samples(self):
        return [Sample(id=ID.format(i), question="q", category="\\x1b[31mred [/bold]") for i in range(4)]

    def score(self, sample, response):
        if RAISES and sample.id.endswith("2"):
            raise KeyError("boom \\x1b[31m")
        return Outcome(verdict=Verdict.CORRECT, scorer="mine/1")

    def metrics(self, records):
        if RAISES:
            raise RuntimeError("no figures")
        return ()
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    (tmp_path / "script.json").write_text(json.dumps({"default": ["<answer>A</answer>"]}))
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "task.py"
    file.write_text(f'ID, RAISES = "a/{{}}", False\n{TASK}')
    return file


RUN = ("run", "--script", "script.json", "--engine", "scripted", "--task-dir", "mine", "--tasks", "mine")


def test_a_score_that_raises_costs_one_row(task: Path, tmp_path: Path, cli: Cli) -> None:
    task.write_text(f'ID, RAISES = "{{}}", True\n{TASK}')
    done = cli(*RUN, "--model", "m", "--run-dir", "r")
    assert done.returncode == 3
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["outcomes"] == {"correct": 3, "judge_error": 1}
    assert "task mine cannot score: KeyError" in done.stdout
    assert "no figures" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.usefixtures("task")
@pytest.mark.parametrize("model", ["[/red]", "a b", "é", "\x1b[31mx"])
def test_any_name_is_shown_and_nothing_of_it_is_obeyed(cli: Cli, model: str) -> None:
    done = cli(*RUN, "--model", model, "--fresh")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    listed = cli("tasks", "--task-dir", "mine")
    assert "brackets [/foo]" in listed.stdout
    assert "\x1b" not in listed.stdout


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("Sample(id=3, question='q')", "cannot be recorded"),
        ("Sample(id='x', question='q', metadata={'a': [1]})", "cannot be recorded"),
        ("Sample(id='x', question='\\ud800')", "cannot be recorded"),
        ("Sample(id='x', question='q'), Sample(id='x', question='q')", "more than once"),
    ],
)
def test_a_sample_that_cannot_be_recorded_is_refused_at_once(
    task: Path, tmp_path: Path, cli: Cli, sample: str, said: str
) -> None:
    text = TASK.replace(
        '[Sample(id=ID.format(i), question="q", category="\\x1b[31mred [/bold]") for i in range(4)]', f"[{sample}]"
    )
    assert text != TASK
    task.write_text(f"ID, RAISES = 0, False\n{text}")
    done = cli(*RUN, "--model", "m")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("task")
def test_switches_take_true_and_false(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "--model", "m", "-T", "hard=false", "--run-dir", "r").returncode == 0
    assert json.loads((tmp_path / "r" / "run.json").read_text())["config"]["task"]["options"] == {"hard": False}
    assert "takes bool" in cli(*RUN, "--model", "m", "-T", "hard=perhaps").stderr


@pytest.mark.usefixtures("task")
def test_rows_of_nobody_are_not_adopted(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "--model", "m", "--run-dir", "r").returncode == 0
    (tmp_path / "r" / "run.json").unlink()
    done = cli(*RUN, "--model", "m", "--run-dir", "r")
    assert done.returncode == 2
    assert "whose rows are they" in done.stderr


@pytest.mark.usefixtures("task")
def test_each_start_of_a_run_is_kept(tmp_path: Path, cli: Cli) -> None:
    assert cli(*RUN, "--model", "m", "--run-dir", "r", "-c", "2").returncode == 0
    file = tmp_path / "r" / "samples.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    assert cli(*RUN, "--model", "m", "--run-dir", "r", "-c", "1").returncode == 0
    sessions = json.loads((tmp_path / "r" / "run.json").read_text())["sessions"]
    assert [session["concurrency"] for session in sessions] == [2, 1]
    assert "2, then 1 trajectories in flight" in (tmp_path / "r" / "report.md").read_text()


def test_a_key_in_the_urls_or_in_the_names_place_is_stored_nowhere(tmp_path: Path, cli: Cli) -> None:
    url = "http://ann:hunter2secret@127.0.0.1:9/v1"
    done = cli("run", "--engine", "openai", "--model", "m", "--base-url", url, "--tasks", "panel_probe")
    assert done.returncode == 3
    assert "hunter2secret" not in done.stdout + done.stderr
    done = cli(
        "run",
        "--engine",
        "openai",
        "--model",
        "m",
        "--base-url",
        url,
        "--api-key-env",
        "sk-123",
        "--tasks",
        "panel_probe",
    )
    assert done.returncode == 2
    assert "sk-123" not in done.stderr


def test_the_recorded_command_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.runs.environment import environment

    monkeypatch.setattr(sys, "argv", ["evalkit", "run", "--base-url", "https://ann:secret@host/v1", "\udcff"])
    assert environment()["command"] == ["evalkit", "run", "--base-url", "https://***@host/v1", "?"]


@pytest.mark.usefixtures("task")
def test_a_closed_pipe_is_no_regression(tmp_path: Path) -> None:
    command = " ".join([sys.executable, "-m", "evalkit", *RUN, "--model", "m"])
    shell = f"set -o pipefail; {command} 2>/dev/null | head -c 0"
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode in (0, 141)


@pytest.mark.usefixtures("task")
def test_options_of_several_tasks_are_named_for_one(tmp_path: Path, cli: Cli) -> None:
    both = (*RUN[:-1], "mine,panel_probe", "--model", "m")
    assert "write mine.boards" in cli(*both, "-T", "boards=1").stderr.replace("\n", " ")
    done = cli(*both, "-T", "panel_probe.boards=1", "-T", "mine.hard=no")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.parametrize("flag", [("--dtype", "bfloat16"), ("--max-pixels", "1000")])
@pytest.mark.usefixtures("task")
def test_a_flag_that_would_do_nothing_is_refused(cli: Cli, flag: tuple[str, str]) -> None:
    done = cli(*RUN, "--model", "m", *flag)
    assert done.returncode == 2
    assert "do nothing with --engine scripted" in done.stderr
