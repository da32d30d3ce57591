"""`evalkit train` refuses what cannot work: one line, exit code 2, before a model is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from evalkit import ImageFile
from evalkit.cli import main
from tests.run_folders import row, write_run

TASK = """
from evalkit import Outcome, Sample, Task, Verdict
from evalkit.images import ImageFile
from evalkit.scoring.judge.question import Asked

class Essays(Task):
    name = "essays"
    judge_for = {judge}
    def samples(self):
        for i in range(10):
            yield Sample(id=str(i), question="?", answer={answer!r}, images={images})
    def score(self, sample, response):
        return Outcome(verdict=Verdict.UNPARSED)
"""


def task(folder: Path, judge: str = "None", answer: str = "x", images: str = "()") -> list[str]:
    home = folder / "tasks" / "essays"
    home.mkdir(parents=True)
    (home / "task.py").write_text(TASK.format(judge=judge, answer=answer, images=images))
    return ["--task", "essays", "--task-dir", str(folder / "tasks"), "--data", "sample"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    assert main(["train", *arguments]) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "hdpo"], "--out is missing"),
        (["--out", "x"], "--method is missing: one of sft, hdpo, grpo, coupled"),
        (["--out", "x", "--method", "hpdo"], "unknown method 'hpdo'; nearest: hdpo"),
        (["--out", "x", "--method", "hdpo"], "--task is missing"),
        (["--out", "x", "--method", "sft"], "--data is missing"),
        (["--out", "x", "--method", "sft", "--data", "d", "--w-tool", "1"], "--w-tool does nothing with --method sft"),
        (["--out", "x", "--method", "sft", "--data", "d", "--task", "vstar"], "--task does nothing with --method sft"),
        (["--out", "x", "--method", "grpo", "--batch", "3", "--wrong-too"], "--batch, --wrong-too does nothing"),
        (["--out", "x", "--method", "sft", "--data", "nowhere"], "nowhere is not a run folder"),
        (["--out", "x", "--method", "hdpo", "--task", "panel_prob"], "unknown task 'panel_prob'; nearest: panel_probe"),
        (["--out", "x", "--method", "hdpo", "-t", "panel_probe", "-m", "metis-nona"], "unknown model"),
        (["--out", "x", "--method", "hdpo", "-t", "panel_probe", "--protocol", "tools"], "unknown protocol"),
        (["--out", "x", "--method", "hdpo", "--config", "none.yaml"], "--config none.yaml"),
        (
            ["--out", "x", "--method", "hdpo", "-t", "panel_probe", "-T", "boards=1", "--prompts", "9"],
            "has 4 samples, and a step takes 9",
        ),
        (["--out", "x", "--recipe", "nanno"], "unknown recipe 'nanno'; nearest: nano"),
        (["--out", "x", "--recipe", "nano", "-R", "seed=1"], "unknown option of recipe nano 'seed'; nearest: seeds"),
        (["--out", "x", "--recipe", "nano", "-R", "seeds=few"], "option seeds of recipe nano takes int, not 'few'"),
        (["--out", "x", "--recipe", "nano", "-R", "seeds"], "--recipe-option takes name=value, not 'seeds'"),
        (["--out", "x", "--recipe", "nano", "--method", "grpo"], "--recipe has methods, data and settings of its own"),
        (["--out", "x", "-R", "seeds=1", "--method", "grpo"], "--recipe-option goes with --recipe"),
        (["--out", "x", "--method", "hdpo", "--lr", "0", "-t", "panel_probe"], "lr"),
    ],
)
def test_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *arguments)
    assert not (tmp_path / "x").exists()


def test_a_task_that_only_a_judge_can_score_needs_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    essays = task(tmp_path, judge="Asked.EQUIVALENCE")
    said = refused(capsys, "--method", "hdpo", *essays, "--out", str(tmp_path / "x"))
    assert "task essays leaves answers to a judge, and there is none" in said


def test_a_task_without_right_answers_gives_no_reward(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = refused(capsys, "--method", "hdpo", *task(tmp_path, answer=""), "--out", str(tmp_path / "x"))
    assert "task essays has no right answer for 10 of 10 samples (the first: 0)" in said


def test_prompts_whose_images_are_gone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    essays = task(tmp_path, images=f"(ImageFile.from_path({str(tmp_path / 'gone.png')!r}),)")
    said = refused(capsys, "--method", "hdpo", *essays, "--out", str(tmp_path / "x"))
    assert "1 of 1 images are gone, the first" in said
    assert "gone.png" in said


def test_recorded_trajectories_whose_images_are_gone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = ImageFile.from_pil(Image.new("RGB", (8, 8)), "a.png")
    run = write_run(tmp_path / "run", [row(1, images=(picture,))])
    (run / "images" / picture.header.filename).unlink()
    said = refused(capsys, "--method", "sft", "--data", str(run), "--out", str(tmp_path / "x"))
    assert "1 images of its trajectories are gone" in said


def test_nothing_right_to_learn_from(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [row(1, False)])
    said = refused(capsys, "--method", "sft", "--data", str(run), "--out", str(tmp_path / "x"), code=5)
    assert "no trajectory to learn from" in said
    assert "1 not right" in said
