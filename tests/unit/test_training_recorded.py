"""Which recorded trajectories are learned from, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from evalkit import ImageFile, Verdict
from evalkit.errors import DataError, NothingEvaluatedError
from evalkit.records import DIRECT, Rule
from evalkit.training.recorded import read_runs
from tests.run_folders import row, write_run


def test_only_right_trajectories_of_the_agent_are_taken_and_the_rest_is_counted(tmp_path: Path) -> None:
    rows = [
        row(1), row(2), row(3, False), row(4, Verdict.ENGINE_ERROR), row(5, arm=DIRECT), row(6, partial=True),
        row(7, Verdict.LIMIT_TURNS),
    ]  # fmt: skip
    (run,) = read_runs([write_run(tmp_path / "a", rows)])
    assert [record.sample.id for record in run.records] == ["1", "2"]
    assert run.left_out == {"not right": 2, "errors": 1, "of the arm direct": 1, "known in part alone": 1}
    assert run.summary.startswith("2 trajectories to learn from; left out: 2 not right")


def test_wrong_ones_too_if_wanted(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [row(1), row(2, False), row(3, Verdict.SANDBOX_ERROR)])
    (run,) = read_runs([folder], right_only=False)
    assert [record.sample.id for record in run.records] == ["1", "2"]


def test_the_rule_says_what_is_right(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [row(1, official=False), row(2, False, official=True)])
    assert [r.sample.id for r in read_runs([folder])[0].records] == ["1"]
    assert [r.sample.id for r in read_runs([folder], rule=Rule.OFFICIAL)[0].records] == ["2"]


def test_a_folder_of_runs_stands_for_all_of_them(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [row(1)])
    write_run(tmp_path / "b", [row(1), row(2)])
    assert [len(run.records) for run in read_runs([tmp_path])] == [1, 2]


def test_nothing_to_learn_from_says_why(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [row(1, False), row(2, Verdict.ENGINE_ERROR)])
    with pytest.raises(NothingEvaluatedError, match="1 not right, 1 errors") as caught:
        read_runs([folder])
    assert "\n" not in str(caught.value)


def test_images_that_are_gone_are_named(tmp_path: Path) -> None:
    images = tuple(ImageFile.from_pil(Image.new("RGB", (8, 8), (value, 0, 0)), f"{value}.png") for value in (1, 2))
    folder = write_run(tmp_path / "a", [row(1, images=images[:1]), row(2, images=images), row(3, False, images=images)])
    assert len(read_runs([folder])[0].records) == 2
    gone = folder / "images" / images[1].header.filename
    gone.unlink()
    with pytest.raises(DataError, match=r"1 images of its trajectories are gone, the first .*png") as caught:
        read_runs([folder])
    assert str(gone) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder"):
        read_runs([tmp_path / "nothing"])
