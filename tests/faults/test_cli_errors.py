"""Every error a user can cause is one line that says what, where and how to mend it, with its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Cli

SCRIPT = {"default": ["<answer>A</answer>"]}


@pytest.fixture(autouse=True)
def script(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))


SCRIPTED = ("--model", "scripted", "--script", "script.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--model", "metis-nan", "--tasks", "panel_probe"), "nearest: metis-nano"),
        (("run", *SCRIPTED, "--tasks", "panel_prob"), "nearest: panel_probe"),
        (("run", *SCRIPTED, "--tasks", ","), "names no task"),
        (("run", *SCRIPTED), "--tasks"),
        (("run", *SCRIPTED, "--tasks", "wemath", "--data", "nowhere"), "no such folder"),
        (("run", *SCRIPTED, "--tasks", "wemath", "--data", "."), "testmini.json"),
        (("run", *SCRIPTED, "--tasks", "wemath"), "--data"),
        (("run", *SCRIPTED, "--tasks", "panel_probe", "-T", "boards"), "name=value"),
        (("run", *SCRIPTED, "--tasks", "panel_probe", "-T", "bords=1"), "nearest: boards"),
        (("run", *SCRIPTED, "--tasks", "panel_probe", "--limit", "0"), "limit"),
        (("run", *SCRIPTED, "--tasks", "panel_probe", "--protocol", "meti"), "nearest: metis"),
        (("run", *SCRIPTED, "--tasks", "panel_probe", "--system-prompt", "none.txt"), "none.txt"),
        (("run", "--engine", "openai", "--model", "x", "--tasks", "panel_probe"), "--base-url"),
        (("run", "--model", "scripted", "--tasks", "panel_probe"), "--script"),
        (("run", "--model", "scripted", "--tasks", "panel_probe", "--script", "no.json"), "no.json"),
        (("run", "--engine", "replay", "--model", "x", "--tasks", "panel_probe"), "--replay"),
        (("run", *SCRIPTED, "--tasks", "panel_probe", "--task-dir", "."), "no task.py"),
        (("score", "nowhere"), "not a run folder"),
        (("tasks", "nothing"), "unknown task"),
        (("models", "nothing"), "unknown model"),
        (("rum",), "rum"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_metis_on_mathvista_says_what_is_missing(cli: Cli) -> None:
    done = cli("run", "--model", "metis", "--tasks", "mathvista", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    for said in ("Accio-Lab/Metis-8B-RL", "protocol metis", "no GPU", "hf download", "--engine openai --base-url"):
        assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_data_set_is_exit_5(cli: Cli) -> None:
    done = cli("run", *SCRIPTED, "--tasks", "panel_probe", "-T", "boards=0")
    assert done.returncode == 5
    assert "has no rows" in done.stderr


def test_a_server_that_is_down_is_exit_3(cli: Cli) -> None:
    url = "http://127.0.0.1:9/v1"
    done = cli("run", "--engine", "openai", "--model", "x", "--base-url", url, "--tasks", "panel_probe")
    assert done.returncode == 3
    assert url in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_image_spoils_only_its_own_row(tmp_path: Path, cli: Cli) -> None:
    task = tmp_path / "mine"
    task.mkdir()
    (task / "task.py").write_text(
        """
from pathlib import Path
from evalkit import ImageFile, Sample, Task
from evalkit.scoring import score_choice

class Mine(Task):
    name = "mine"
    def samples(self):
        for name in ("good.png", "cut.png", "text.png", "gone.png"):
            image = ImageFile.from_path(Path(__file__).with_name(name))
            yield Sample(id=name, question="q", images=(image,), answer="A", choices={"A": "x", "B": "y"})
    def score(self, sample, response):
        return score_choice(response, sample.choices, sample.answer, "mine/1")
"""
    )
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(task / "good.png")
    (task / "cut.png").write_bytes((task / "good.png").read_bytes()[:-30])
    (task / "text.png").write_text("not an image")
    done = cli("run", *SCRIPTED, "--task-dir", "mine", "--tasks", "mine", "--run-dir", "r")
    assert done.returncode == 3
    outcomes = json.loads((tmp_path / "r" / "summary.json").read_text())["outcomes"]
    assert outcomes == {"correct": 1, "data_error": 3}
    assert "cut.png" in done.stdout
    accepted = cli("run", *SCRIPTED, "--task-dir", "mine", "--tasks", "mine", "--run-dir", "r", "--allowed-errors", "1")
    assert accepted.returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_named(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    done = cli("run", *SCRIPTED, "--tasks", "panel_probe", "--out", "closed")
    assert done.returncode == 3
    assert "choose another --out" in done.stderr


def test_a_disk_that_fills_up_loses_nothing_that_was_finished(tmp_path: Path, cli: Cli) -> None:
    run = ("run", *SCRIPTED, "--tasks", "panel_probe", "--run-dir", "r")
    run = (*run, "-T", "boards=20", "-T", "panel=32", "-T", "big_min=4", "-T", "big_max=16")
    # a limit on file sizes shows itself as a full disk does: a short write, then an error
    full = cli(*run, file_size=24_000)
    assert full.returncode == 3
    assert "samples.jsonl" in full.stderr
    assert "finished trajectories are safe, free space and run again" in full.stderr.replace("\n", " ")
    assert "Traceback" not in full.stderr
    kept = (tmp_path / "r" / "samples.jsonl").read_bytes()
    assert 0 < len(kept) <= 24_000
    assert kept.endswith(b"\n")
    assert cli(*run).returncode == 0
    whole = (tmp_path / "r" / "samples.jsonl").read_bytes()
    assert whole.startswith(kept)
    assert whole.count(b"\n") == 80


def test_debug_shows_where(cli: Cli) -> None:
    assert "Traceback" in cli("--debug", "models", "nothing").stderr


def test_help_and_version(cli: Cli) -> None:
    assert "Is a vision-language agent right" in cli("--help").stdout
    assert cli("--version").stdout.startswith("evalkit ")
    assert cli("tasks").returncode == 0
    assert "Accio-Lab/Metis-8B-RL" in cli("models").stdout
    assert "panel" in cli("tasks", "panel_probe").stdout
