"""Tables of any program, VLMEvalKit's among them, as run folders: verdicts as they are, or evalkit's own beside."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.faults.test_predictions import TASK, jsonl

ROWS = [
    {"id": 1, "question": "How many?", "answer": "2", "response": "two, so 2", "correct": 1, "category": "count"},
    {"id": 2, "question": "Colour?", "answer": "red", "response": "=HYPERLINK(1)", "correct": False},
    {"id": 3, "question": "Colour?", "answer": "blue", "response": "", "correct": 0.5},
    {"id": 4, "question": "Where?", "answer": "here", "response": None, "correct": 0},
]
TABLE = ("import", "table")


@pytest.fixture(autouse=True)
def task(tmp_path: Path) -> None:
    (tmp_path / "fruit").mkdir()
    (tmp_path / "fruit" / "task.py").write_text(TASK)


def records(folder: Path, model: str = "") -> dict[str, dict[str, Any]]:
    (run,) = (folder / "runs").glob(f"{model}*")
    lines = (run / "samples.jsonl").read_text().splitlines()
    return {record["sample"]["id"]: record for record in map(json.loads, lines)}


def verdicts(folder: Path, model: str = "") -> dict[str, str]:
    return {id: record["outcome"]["verdict"] for id, record in records(folder, model).items()}


def table(file: Path, rows: list[dict[str, Any]]) -> str:
    """The rows in the form that the name says."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    match file.suffix:
        case ".json":
            file.write_text(json.dumps(rows))
        case ".csv" | ".tsv":
            with file.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, names, delimiter="\t" if file.suffix == ".tsv" else ",")
                writer.writeheader()
                writer.writerows(rows)
        case ".xlsx":
            from openpyxl import Workbook

            book = Workbook()
            book.active.append(names)
            for row in rows:
                book.active.append([row.get(name) for name in names])
            book.save(file)
        case _:
            jsonl(file, rows)
    return file.name


def test_the_verdicts_of_a_table_count_as_they_are_and_say_whose_they_are(tmp_path: Path, cli: Cli) -> None:
    done = cli(*TABLE, table(tmp_path / "mine.jsonl", ROWS), "--allowed-errors", 0.5)
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert verdicts(tmp_path) == {"1": "correct", "2": "incorrect", "3": "incorrect", "4": "engine_error"}
    assert found["4"]["outcome"]["error"] == "no response in mine.jsonl"
    assert found["2"]["trajectory"]["turns"][0]["text"] == "=HYPERLINK(1)"
    assert {record["outcome"]["scorer"] for record in found.values()} == {"table/correct"}
    assert "evalkit has scored nothing here" in " ".join(done.stdout.split())
    assert "1 of 4 rows have a correct between 0 and 1" in " ".join(done.stdout.split())
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["config"]["task"]["name"] == "recorded:mine"


@pytest.mark.parametrize("kind", ["json", "csv", "tsv", "xlsx"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, cli: Cli, kind: str) -> None:
    if kind == "xlsx":
        pytest.importorskip("openpyxl")
    done = cli(*TABLE, table(tmp_path / f"mine.{kind}", ROWS[:3]))
    assert done.returncode == 0, done.stderr + done.stdout
    assert verdicts(tmp_path) == {"1": "correct", "2": "incorrect", "3": "incorrect"}
    assert records(tmp_path)["2"]["trajectory"]["turns"][0]["text"] == "=HYPERLINK(1)"


def test_two_tables_of_one_benchmark_are_compared_reported_and_gated(tmp_path: Path, cli: Cli) -> None:
    better = [{**row, "correct": 1} for row in ROWS[:3]]
    for model, rows in (("old", ROWS[:3]), ("new", better)):
        cli(*TABLE, table(tmp_path / f"{model}.jsonl", rows), "--benchmark", "demo", "-m", model)
    old, new = (next((tmp_path / "runs").glob(f"{model}__*")) for model in ("old", "new"))
    compared = cli("compare", old, new)
    assert compared.returncode == 0, compared.stderr
    assert "2 wrong -> right" in compared.stdout
    gated = cli("gate", old, "--baseline", new, "--fail", "accuracy:noninferior:1pt")
    assert gated.returncode in (1, 4), gated.stderr + gated.stdout
    report = cli("report", "runs", "--md", "-")
    assert report.returncode == 0, report.stderr
    assert "recorded:demo" in report.stdout
    assert "imported from another program's log" in report.stdout


def test_verdicts_of_different_columns_are_told_apart(tmp_path: Path, cli: Cli) -> None:
    rows = [{**row, "judge": 1} for row in ROWS[:3]]
    for model, column in (("old", "correct"), ("new", "judge")):
        name = table(tmp_path / f"{model}.jsonl", rows)
        assert cli(*TABLE, name, "--benchmark", "demo", "--correct", column).returncode == 0
    old, new = (next((tmp_path / "runs").glob(f"{model}__*")) for model in ("old", "new"))
    said = " ".join(cli("compare", old, new).stdout.split())
    assert "scored by different rules (table/correct; table/judge): their figures are not of one kind" in said
    gated = cli("gate", new, "--baseline", old, "--fail", "accuracy:noninferior:1pt")
    assert gated.returncode not in (0, 1)
    assert "scored by different rules (table/judge; table/correct)" in " ".join((gated.stdout + gated.stderr).split())


def test_a_recorded_benchmark_cannot_be_scored_again_or_run(tmp_path: Path, cli: Cli) -> None:
    cli(*TABLE, table(tmp_path / "mine.jsonl", ROWS[:2]))
    (run,) = (tmp_path / "runs").iterdir()
    before = (run / "samples.jsonl").read_bytes()
    done = cli("score", run)
    assert done.returncode == 2
    assert "evalkit has no rule to score it by" in done.stderr
    assert (run / "samples.jsonl").read_bytes() == before
    ran = cli("run", "--tasks", "recorded:mine", "--engine", "scripted", "--script", "x")
    assert ran.returncode == 2


def test_a_task_of_evalkits_scores_the_responses_and_keeps_the_verdicts_beside(tmp_path: Path, cli: Cli) -> None:
    rows = [{"id": f"f{i}", "response": "<answer>A</answer>", "correct": i > 1, "answer": "B"} for i in range(10)]
    done = cli(*TABLE, table(tmp_path / "mine.jsonl", rows), "--task", "fruit", "--task-dir", "fruit")
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert {record["outcome"]["verdict"] for record in found.values()} == {"correct"}
    assert [record["outcome"]["recorded"] for record in found.values()] == [i > 1 for i in range(10)]
    assert "in 10 of 10 rows the recording has another reference answer" in " ".join(done.stdout.split())
    scored = cli("score", next((tmp_path / "runs").iterdir()), "--task-dir", "fruit")
    assert "0 of 10 verdicts changed" in scored.stdout


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"id": 1, "response": "x"}], (), "has no column 'correct' (it has: id, response): name the column"),
        ([{"id": 1, "text": "x", "correct": 1}], (), "has no column 'response'"),
        ([{"id": 1, "response": "x", "correct": "perhaps"}], (), "neither a number nor true or false"),
        ([{"id": 1, "response": "x", "correct": 85}], (), "correct is '85'; a verdict lies between 0 and 1"),
        ([{"id": 1, "response": "x", "correct": 1}], ("--question", "q"), "has no column 'q'"),
        ([{"id": 1, "response": 7, "correct": 1}], (), "response is a number, not text"),
        ([{"id": 1, "response": "x", "correct": 1}] * 2, (), "the recording has row '1' twice"),
        ([{"id": 1, "response": "x", "correct": 1}], ("--data", "sample"), "--data goes with --task"),
        ([{"id": "x", "response": "x"}], ("-t", "fruit", "--task-dir", "fruit"), "row 'x' is not in task fruit"),
        ([], (), "the recording holds no row"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_no_folder(
    tmp_path: Path, cli: Cli, rows: list[dict[str, Any]], options: tuple[str, ...], said: str
) -> None:
    done = cli(*TABLE, table(tmp_path / "mine.jsonl", rows), *options)
    assert done.returncode in (2, 5), done.stdout
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "runs").glob("*"))


def test_a_name_of_another_kind_and_a_broken_spreadsheet_are_said(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "mine.pkl").write_bytes(b"cos\nsystem\n")
    assert "must end in one of .jsonl" in cli(*TABLE, "mine.pkl").stderr
    assert "cannot read gone.csv" in cli(*TABLE, "gone.csv").stderr
    pytest.importorskip("openpyxl")
    (tmp_path / "mine.xlsx").write_bytes(b"PK\x03\x04 nothing")
    assert "is no readable spreadsheet" in cli(*TABLE, "mine.xlsx").stderr


VLM = [
    {"index": 0, "question": "What?", "A": "cat", "B": "dog", "answer": "A", "category": "x",
     "prediction": "=A", "hit": 1},
    {"index": 1, "question": "Who?", "A": "he", "B": "she", "answer": "B", "category": "y",
     "prediction": "A", "hit": 0},
    {"index": 2, "question": "3?", "A": "1", "B": "2", "answer": "B", "category": "y",
     "prediction": "Failed to obtain answer via API. ", "hit": 0},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["xlsx", "tsv", "json"])
def test_a_result_file_of_vlmevalkit_tells_model_benchmark_options_and_failures(
    tmp_path: Path, cli: Cli, kind: str
) -> None:
    if kind == "xlsx":
        pytest.importorskip("openpyxl")
    folder = tmp_path / "outputs" / "llava_v1.5_7b" / "T20260101-000000"
    folder.mkdir(parents=True)
    table(folder / f"llava_v1.5_7b_VStarBench_exact_matching_result.{kind}", VLM)
    file = folder / f"llava_v1.5_7b_VStarBench_exact_matching_result.{kind}"
    done = cli("import", "vlmevalkit", file, "--allowed-errors", 0.4)
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    # a request that failed is no wrong answer, whatever the file says
    assert verdicts(tmp_path) == {"0": "correct", "1": "incorrect", "2": "engine_error"}
    assert found["0"]["sample"]["choices"] == {"A": "cat", "B": "dog"}
    assert found["0"]["trajectory"]["turns"][0]["text"] == "=A"
    (run,) = (tmp_path / "runs").iterdir()
    config = json.loads((run / "run.json").read_text())["config"]
    assert (config["model"]["name"], config["task"]["name"]) == ("llava_v1.5_7b", "recorded:VStarBench")


def test_vlmevalkits_predictions_without_verdicts_need_a_task(tmp_path: Path, cli: Cli) -> None:
    rows = [{name: value for name, value in row.items() if name != "hit"} for row in VLM]
    name = table(tmp_path / "m_VStarBench.tsv", rows)
    assert "Name it with --model" in cli("import", "vlmevalkit", name).stderr
    assert "predictions without verdicts" in cli("import", "vlmevalkit", name, "-m", "m").stderr
    fruit = [{"index": f"f{i}", "question": "", "answer": "A", "prediction": "A"} for i in range(10)]
    name = table(tmp_path / "m_fruit.tsv", fruit)
    done = cli("import", "vlmevalkit", name, "-m", "m", "--task", "fruit", "--task-dir", "fruit")
    assert done.returncode == 0, done.stderr
    assert set(verdicts(tmp_path).values()) == {"correct"}


def test_a_cell_that_its_program_has_cut_is_said(tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("openpyxl")
    name = table(tmp_path / "m_b.xlsx", [{**VLM[0], "prediction": "x" * 40_000}])
    done = cli("import", "vlmevalkit", name, "-m", "m")
    assert done.returncode == 0, done.stderr
    assert "1 responses are 32767 characters long" in " ".join(done.stdout.split())
