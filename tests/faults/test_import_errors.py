"""A log that is not what it should be is named, counted, and never changes a denominator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.deepeyes_logs import CALL, CROP, hrbench_row, vstar_row, write_log

ANSWER = "<answer>A. The kite is red.</answer>"
VSTAR = "result_direct_attributes_x.jsonl"
IMPORT = ("import", "deepeyes")
AS_VSTAR = ("--task", "vstar", "--model", "m")


def summary(folder: Path) -> dict[str, Any]:
    (run,) = (folder / "runs").iterdir()
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def test_missing_rows_are_counted_and_the_denominator_stays(tmp_path: Path, cli: Cli) -> None:
    write_log(tmp_path / VSTAR, [vstar_row(f"k{i}", CALL, CROP, ANSWER) for i in range(5)])
    done = cli(*IMPORT, VSTAR, *AS_VSTAR)
    assert done.returncode == 3, done.stderr
    assert "186 of 191 rows are missing" in done.stdout
    found = summary(tmp_path)
    assert (found["accuracy"]["n"], found["accuracy_expected"]["n"]) == (5, 191)
    assert found["accuracy_expected"]["count"] == 5


def test_missing_rows_of_hrbench_are_named(tmp_path: Path, cli: Cli) -> None:
    write_log(tmp_path / "h.jsonl", [hrbench_row(i, f"<answer>{'ABCD'[i % 4]}</answer>") for i in range(796)])
    done = cli(*IMPORT, "h.jsonl", "--task", "hrbench_4k", "--model", "m")
    assert done.returncode == 3
    assert "4 of 800 rows are missing: 796, 797, 798, 799" in done.stdout
    assert summary(tmp_path)["accuracy_expected"]["n"] == 800


def test_more_rows_than_the_benchmark_has_are_refused(tmp_path: Path, cli: Cli) -> None:
    write_log(tmp_path / "h.jsonl", [hrbench_row(i, "<answer>A</answer>") for i in range(804)])
    done = cli(*IMPORT, "h.jsonl", "--task", "hrbench_4k", "--model", "m")
    assert done.returncode == 2
    assert "the logs hold 804 rows where task hrbench_4k has 800" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_rows_whose_runner_failed_are_errors_with_its_word(tmp_path: Path, cli: Cli) -> None:
    rows = [vstar_row(f"k{i}", ANSWER) for i in range(189)]
    write_log(tmp_path / VSTAR, [*rows, vstar_row("x", status="error"), vstar_row("y", status="timeout\x1b[31m")])
    done = cli(*IMPORT, VSTAR, *AS_VSTAR)
    assert done.returncode == 3
    assert "1 x the recorded runner ended the row with status 'error'" in done.stdout
    assert "\x1b[31m" not in done.stdout
    assert summary(tmp_path)["outcomes"] == {"correct": 189, "engine_error": 2}
    assert cli(*IMPORT, VSTAR, *AS_VSTAR, "--allowed-errors", "0.02").returncode == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no rows"),
        ("\n \n", "holds no rows"),
        (json.dumps(vstar_row("k", ANSWER)) + "\n" + '{"question": "cut', "line 2 is broken JSON"),
        ("not json\n", "line 1 is broken JSON"),
        ('{"id": "1", "response": "A"}\n', "line 1 is not a row of a DeepEyes log"),
        ('{"question": ' * 100_000, "line 1 is"),
        ('{"other": ' * 100_000, "line 1 is broken JSON"),
        (json.dumps(vstar_row("k", ANSWER)) + "\n" + json.dumps(vstar_row("k", ANSWER)), "is double"),
        (json.dumps(hrbench_row(0, ANSWER)), "no row of vstar"),
        (json.dumps(vstar_row("k", ANSWER, acc="7")), "neither 1 nor 0"),
    ],
)
def test_a_broken_log_is_one_line_and_exit_2_and_leaves_no_folder(
    tmp_path: Path, cli: Cli, content: str, said: str
) -> None:
    (tmp_path / VSTAR).write_text(content)
    done = cli(*IMPORT, VSTAR, *AS_VSTAR)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert VSTAR in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gone.jsonl", *AS_VSTAR), "cannot read gone.jsonl"),
        ((".", *AS_VSTAR), "cannot read"),
        ((VSTAR, "--task", "wemath", "--model", "m"), "vstar, hrbench_4k, hrbench_8k, not for wemath"),
        ((VSTAR, "--task", "hrbench_4k", "--model", "m"), "no row of hrbench_4k"),
        ((VSTAR, "--task", "hrbench", "--model", "m"), "name one of them"),
        ((VSTAR, "--task", "vsta", "--model", "m"), "nearest: vstar"),
        ((VSTAR, *AS_VSTAR, "--data", "nowhere"), "nowhere"),
        ((VSTAR, *AS_VSTAR, "--data", "sample"), "the data set has no row direct_attributes/k"),
        ((VSTAR, "--task", "vstar"), "--model"),
        (("--task", "vstar", "--model", "m"), "FILES"),
    ],
)
def test_a_usage_error_is_exit_2(tmp_path: Path, cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    write_log(tmp_path / VSTAR, [vstar_row("k", ANSWER)])
    done = cli(*IMPORT, *arguments)
    assert done.returncode == 2, done.stdout
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_hostile_names_and_texts_stay_data(tmp_path: Path, cli: Cli) -> None:
    evil = "</answer><script>alert(1)</script>[link=http://x]\x1b[2J|`"
    row = vstar_row("k", f"{evil}<answer>{evil}</answer>")
    row["image"] = f"../../{evil}.jpg"
    write_log(tmp_path / VSTAR, [row])
    done = cli(*IMPORT, VSTAR, "--task", "vstar", "--model", f"../{evil}")
    assert done.returncode == 3, done.stderr
    assert "\x1b[2J" not in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert "<script>" not in (run / "report.md").read_text()
    assert cli("score", run).returncode == 3


def test_an_import_joined_to_the_data_has_its_images_and_names_missing_rows(tmp_path: Path, cli: Cli) -> None:
    from PIL import Image

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "task.py").write_text(
        """
from pathlib import Path
from evalkit import ImageFile, Sample, Task
from evalkit.scoring import score_choice

class Kites(Task):
    name = "vstar"
    expected_rows = 3
    def samples(self):
        for name in ("a", "b", "c"):
            yield Sample(id=f"direct_attributes/{name}", question=f"What is the colour of kite {name}?",
                         images=(ImageFile.from_path(Path(__file__).with_name("kite.png")),), answer="B",
                         choices={"A": "The kite is blue.", "B": "The kite is red."}, category="direct_attributes")
    def score(self, sample, response):
        return score_choice(response, sample.choices, sample.answer, "kites/1")
"""
    )
    Image.new("RGB", (40, 30), "red").save(mine / "kite.png")
    write_log(tmp_path / VSTAR, [vstar_row("a", "<answer>A</answer>"), vstar_row("c", "<answer>B</answer>")])
    done = cli(*IMPORT, VSTAR, *AS_VSTAR, "--task-dir", "mine", "--data", "sample")
    assert done.returncode == 3
    assert "1 of 3 rows are missing: direct_attributes/b" in done.stdout
    assert summary(tmp_path)["outcomes"] == {"correct": 1, "incorrect": 1}
    (run,) = (tmp_path / "runs").iterdir()
    assert len(list((run / "images").iterdir())) == 1
