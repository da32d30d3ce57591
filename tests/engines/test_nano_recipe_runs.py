"""The nano recipe for real, as short as it can be: real weights, real crops, a teacher, two steps of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import DataError, EvalkitError
from evalkit.training.recipes.nano import grid, run_recipe, starts, trials
from evalkit.training.recipes.nano.teacher import Habit


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_BOARDS", 4)
    monkeypatch.setattr(trials, "_HELD_OUT_BOARDS", 3)


def test_a_trial_is_trained_measured_and_not_run_twice(tmp_path: Path) -> None:
    trial = grid.Trial(setting=grid.CROP, variant=grid.HDPO, seed=0)
    found = trials.run_trial(trial, tmp_path, 2, print, keep=tmp_path / "kept")
    assert [point.step for point in found.curve] == [1, 2]
    assert found.before["all"].items == 12
    assert found.before["all"].tool_rate == 1
    assert found.before["needs tool"].direct_accuracy < found.before["needs tool"].accuracy
    assert (tmp_path / "kept" / "model.safetensors").is_file()
    assert trials.run_trial(trial, tmp_path, 2, print) == found
    with pytest.raises(DataError, match="another recipe"):
        trials.run_trial(trial, tmp_path, 3, print)


def test_the_teacher_widens_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = starts.Lessons(
        boards={2: 2, 3: 2},
        questions=2,
        habit=Habit(needed=1.0, unneeded=1.0),
        stages=(starts.Stage(steps=2, lr=1e-3),),
    )
    monkeypatch.setitem(starts.LESSONS, grid.Start.WIDE, few)
    said: list[str] = []
    card = starts.start_card(grid.Start.WIDE, tmp_path / "wide", said.append)
    assert said == [
        "nano-wide: the teacher's turns on 2 boards of level 2",
        "nano-wide: the teacher's turns on 2 boards of level 3",
    ]
    trial = grid.Trial(setting=grid.MIXED, variant=grid.GRPO, seed=0)
    (tmp_path / "starts").mkdir()
    (tmp_path / "wide").rename(tmp_path / "starts" / "wide")
    assert card.limits.turns == 6
    found = trials.run_trial(trial, tmp_path, 1, print)
    assert set(found.after) == {"all", "legible", "needs tool"}


def test_the_recipe_makes_its_report(tmp_path: Path) -> None:
    trial = grid.Trial(setting=grid.CROP, variant=grid.GRPO, seed=0)
    trials.run_trial(trial, tmp_path, 1, print)
    said: list[str] = []
    report = run_recipe(tmp_path, parts=("table",), seeds=1, steps=1, only=trial.name, say=said.append)
    assert said == ["1 trainings, 1 of them done already"]
    assert "| grpo |" in report.read_text("utf-8")


def test_an_option_that_means_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="'tables'"):
        run_recipe(tmp_path, parts=("tables",))
    with pytest.raises(EvalkitError, match="at least 1"):
        run_recipe(tmp_path, jobs=0)
