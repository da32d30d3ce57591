"""`evalkit train` as a process that is killed, stopped, or finds no room: what is left, and how it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalkit.cli import main
from evalkit.training import policy
from evalkit.training.checkpoint import steps_behind
from evalkit.training.metrics import read_metrics
from tests.conftest import Cli
from tests.nano_training import exact, weights

TRAIN = (
    "train", "--method", "hdpo", "-t", "panel_probe", "-T", "boards=6", "-T", "seed=2000000", "--prompts", "2",
    "--group", "4", "--lr", "1e-3", "--warmup", "1", "--resample", "0", "--save-every", "2",
)  # fmt: skip
STEPS = ("--steps", "5")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def start(folder: Path, out: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "evalkit", *TRAIN, "--out", out, *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env={**os.environ})


def wait_for_steps(out: Path, count: int) -> None:
    file, deadline = out / "metrics.jsonl", time.monotonic() + 240
    while time.monotonic() < deadline:
        if file.is_file() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.005)
    raise AssertionError(f"{file} never had {count} lines")


def weights_of(out: Path) -> dict[str, object]:
    import transformers

    return weights(transformers.AutoModelForImageTextToText.from_pretrained(out / "model", dtype="float32"))


def test_killed_in_the_middle_it_ends_like_an_undisturbed_one(tmp_path: Path, cli: Cli) -> None:
    import torch

    whole = cli(*TRAIN, *STEPS, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    process = start(tmp_path, "killed", *STEPS)
    wait_for_steps(tmp_path / "killed", 3)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed" / "model").exists()
    assert steps_behind(tmp_path / "killed") >= 2
    again = cli(*TRAIN, *STEPS, "--out", "killed")
    assert again.returncode == 0, again.stderr
    assert "going on in killed after step" in again.stderr
    found, expected = (list(map(exact, read_metrics(tmp_path / name))) for name in ("killed", "whole"))
    assert len(expected) == 5
    assert found == expected
    assert any(figures["grad_norm"] > 0 for figures in expected)
    after = weights_of(tmp_path / "killed")
    assert all(torch.equal(value, after[name]) for name, value in weights_of(tmp_path / "whole").items())


def test_ctrl_c_finishes_the_step_and_twice_stops_at_once(tmp_path: Path) -> None:
    for presses, said in ((1, "stopped after step"), (2, "stopped at once; run the same command to go on")):
        process = start(tmp_path, "t", "--steps", "100000")
        wait_for_steps(tmp_path / "t", 2 * presses)
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 130, err
        if presses == 2 and "stopped after step" in err:
            # the step was through between the two presses
            continue
        assert said in err
        assert "Traceback" not in err + out
        assert steps_behind(tmp_path / "t") == len(read_metrics(tmp_path / "t"))


@pytest.mark.parametrize("size", [4_000_000, 9_000_000])
def test_no_room_for_a_checkpoint(tmp_path: Path, cli: Cli, size: int) -> None:
    """Half the weights fit on the disk; the weights do, and not the optimiser's state."""
    full = cli(*TRAIN, *STEPS, "--out", "t", file_size=size)
    assert full.returncode == 3
    (line,) = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    assert "cannot write t/checkpoints/step-000002" in line
    assert "free space" in line
    assert not list((tmp_path / "t").rglob("*step-*"))


def test_another_recipe_is_refused_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "--steps", "1", "--out", "t"]) == 0
    # figures that somebody deleted are no obstacle
    (tmp_path / "t" / "metrics.jsonl").unlink()
    assert main([*TRAIN, "--steps", "1", "--out", "t"]) == 0
    assert "model: t/model" in capsys.readouterr().out

    def never(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(policy, "load_model", never)
    assert main([*TRAIN, "--out", "t", "--w-tool", "0.5"]) == 2
    said = capsys.readouterr().err
    assert "t holds a training by another recipe (settings.w_tool: 0.15 -> 0.5)" in said
    assert "going on" not in said
