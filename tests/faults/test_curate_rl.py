"""What `evalkit curate rl` and `leakage` cannot use: one line each, and an exit code."""

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.pictures import image_file, picture
from tests.run_folders import row, write_run


def runs(tmp_path: Path, repeats: int = 4) -> Path:
    rows = [
        row(f"{k}", repeat % 2 == 0, repeat=repeat, images=(image_file(picture(k)),))
        for k in range(2)
        for repeat in range(repeats)
    ]
    return write_run(tmp_path / "run", rows)


def refused(cli: Cli, *arguments: object, code: int = 2) -> str:
    done = cli("curate", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--against", "vstarr"), "unknown task 'vstarr'; nearest: vstar"),
        (("--against", "vstar", "--task-data", "vstar=none"), "no such folder"),
        (("--against", "vstar", "--task-data", "mathvista=x"), "--task-data takes NAME=DATA"),
        (("--above", "0.5", "--below", "0.5"), "0 <= 0.5 < 0.5 <= 1 does not hold"),
        (("--rubric", "none.yaml"), "--rubric goes with --judge-url URL"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, cli: Cli, options: tuple[str, ...], said: str) -> None:
    assert said in refused(cli, "rl", runs(tmp_path), "--out", "d", *options)
    assert not (tmp_path / "d").exists()


def test_a_benchmark_without_data(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "empty").mkdir()
    line = refused(
        cli, "rl", runs(tmp_path), "--out", "d", "--against", "vstar", "--task-data", f"vstar={tmp_path / 'empty'}"
    )
    assert line.endswith("--task-data vstar=DIR)")


def test_runs_that_cannot_be_used(tmp_path: Path, cli: Cli) -> None:
    assert "is not a run folder" in refused(cli, "rl", tmp_path / "none", "--out", "d")
    once = runs(tmp_path, repeats=1)
    assert refused(cli, "rl", once, "--out", "d").endswith(
        "make more: evalkit run --model m --tasks numbers --repeats 8 --temperature 1"
    )


def test_runs_whose_images_are_gone(tmp_path: Path, cli: Cli) -> None:
    folder = runs(tmp_path)
    for file in (folder / "images").iterdir():
        file.unlink()
    assert "none of the 2 images of the runs is there" in refused(cli, "rl", folder, "--out", "d")


def test_one_image_that_is_gone_is_an_error_row_and_sets_the_exit_code(tmp_path: Path, cli: Cli) -> None:
    folder = runs(tmp_path)
    next((folder / "images").iterdir()).unlink()
    line = refused(cli, "rl", folder, "--out", "d", code=3)
    assert line.startswith("error: a filter could not judge 1 of 2 prompts")
    assert (tmp_path / "d" / "report.md").is_file()


def test_a_report_is_not_written_over_another(tmp_path: Path, cli: Cli) -> None:
    done = cli("curate", "rl", runs(tmp_path), "--out", "d")
    assert done.returncode == 0, done.stderr
    # the histogram is shown, not only written
    assert "2 of 4" in done.stdout
    before = (tmp_path / "d" / "report.md").read_text()
    line = refused(cli, "leakage", "d", "--against", "panel_probe", "--out", "d")
    assert "d is there already and not empty" in line
    assert (tmp_path / "d" / "report.md").read_text() == before


def test_a_data_set_that_cannot_be_used(tmp_path: Path, cli: Cli) -> None:
    assert "no parquet files in" in refused(cli, "leakage", tmp_path, "--against", "panel_probe")
    assert "--against names no benchmark" in refused(cli, "leakage", tmp_path, "--against", ",")
