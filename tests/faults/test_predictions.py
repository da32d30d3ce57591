"""Responses made elsewhere are scored as they are; what does not fit is named, and no row is dropped."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli

TASK = """
from evalkit import Sample, Task
from evalkit.scoring import score_choice

class Fruit(Task):
    name = "fruit"
    def samples(self):
        for i in range(10):
            yield Sample(id=f"f{i}", question="Which?", answer="A", choices={"A": "apple", "B": "pear"}, category="c")
    def score(self, sample, response):
        return score_choice(response, sample.choices, sample.answer, "fruit/1")
"""
RIGHT = "<answer>A</answer>"
SCORE = ("score", "--task-dir", "fruit", "--task", "fruit", "--predictions")


@pytest.fixture(autouse=True)
def task(tmp_path: Path) -> None:
    (tmp_path / "fruit").mkdir()
    (tmp_path / "fruit" / "task.py").write_text(TASK)


def jsonl(file: Path, rows: list[Any]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file.name


def whole(**changed: Any) -> list[dict[str, Any]]:
    return [{"id": f"f{i}", "response": changed.get(f"f{i}", RIGHT)} for i in range(10)]


def summary(folder: Path) -> dict[str, Any]:
    (run,) = (folder / "runs").iterdir()
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def test_a_complete_table_is_scored_and_says_nothing_of_tools_and_times(tmp_path: Path, cli: Cli) -> None:
    done = cli(*SCORE, jsonl(tmp_path / "mine.jsonl", whole(f3="<answer>B</answer>")))
    assert done.returncode == 0, done.stderr
    found = summary(tmp_path)
    assert found["model"] == "mine"
    assert found["outcomes"] == {"correct": 9, "incorrect": 1}
    rate = found["tools"]["tool_rate"]
    assert (rate["count"], rate["n"], rate["value"], rate["low"], rate["high"]) == (0, 0, None, None, None)
    assert found["tools"]["calls_mean"] is None
    assert all(spread["n"] == 0 for spread in found["latency"].values())
    lines = [line for line in done.stdout.splitlines() if "not available" in line]
    assert [line.split("│")[1].strip() for line in lines] == ["tool use", "latency, tokens"]
    (run,) = (tmp_path / "runs").iterdir()
    info = json.loads((run / "run.json").read_text())
    assert info["config"]["engine"] == "predictions"
    assert info["config"]["sampling"] is None
    again = cli("score", run, "--task-dir", "fruit")
    assert again.returncode == 0
    assert "0 of 10 verdicts changed" in again.stdout
    assert len((run / "samples.jsonl").read_bytes().splitlines()) == 10


def test_a_csv_with_columns_of_other_names_scores_the_same(tmp_path: Path, cli: Cli) -> None:
    with (tmp_path / "p.csv").open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream)
        writer.writerow(["n", "text", "note"])
        writer.writerows([f"f{i}", f'one\n"two", three\n{RIGHT}', "x"] for i in range(10))
    done = cli(*SCORE, "p.csv", "--id-column", "n", "--response-column", "text", "--model", "M", "--out", "there")
    assert done.returncode == 0, done.stderr
    assert "10 of 10 rows, 10 correct" in done.stdout
    assert (tmp_path / "there").is_dir()


def test_missing_ids_are_named_and_the_denominator_stays(tmp_path: Path, cli: Cli) -> None:
    done = cli(*SCORE, jsonl(tmp_path / "p.jsonl", whole()[:8]))
    assert done.returncode == 3
    assert "2 of 10 rows are missing: f8, f9" in done.stdout
    found = summary(tmp_path)
    assert (found["expected"], found["done"]) == (10, 8)
    assert (found["accuracy_expected"]["count"], found["accuracy_expected"]["n"]) == (8, 10)


def test_a_null_is_no_response_and_no_wrong_answer(tmp_path: Path, cli: Cli) -> None:
    file = jsonl(tmp_path / "p.jsonl", whole(f2=None, f4=""))
    done = cli(*SCORE, file, "--allowed-errors", "0.2")
    assert done.returncode == 0, done.stdout
    assert "1 x no response in p.jsonl" in done.stdout
    assert "1 of 10 responses are empty texts" in done.stdout
    found = summary(tmp_path)
    assert found["outcomes"] == {"correct": 8, "engine_error": 1, "unparsed": 1}
    assert found["accuracy"]["n"] == 9
    assert cli(*SCORE, file).returncode == 3


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*whole(), {"id": "g1", "response": RIGHT}], "1 of 11 ids are not in task fruit: g1 (ids there: f0"),
        ([{"id": f"g{i}", "response": RIGHT} for i in range(7)], "7 of 7 ids are not in task fruit: g0, g1, g2, g3"),
        ([*whole(), {"id": "f3", "response": RIGHT}], "line 11: id 'f3' is double, line 4 has it too"),
        (whole(f1=3), "line 2: response is a number, not text (id f1)"),
        (whole(f1=float("nan")), "line 2: response is a number, not text (id f1)"),
        (whole(f1=True), "not text"),
        (whole(f1=[RIGHT]), "response is a list, not text"),
        ([{"id": None, "response": RIGHT}], "line 1: id is 'None'"),
        ([{"id": 1.0, "response": RIGHT}], "neither a text nor a whole number"),
        ([{"id": "f0", "answer": RIGHT}], "has no column 'response' (it has: id, answer); name it with --response-col"),
        (["f0"], "is not an object with an id and a response"),
        ([], "holds no rows"),
    ],
)
def test_what_does_not_fit_is_one_line_and_exit_2_and_leaves_no_folder(
    tmp_path: Path, cli: Cli, rows: list[Any], said: str
) -> None:
    done = cli(*SCORE, jsonl(tmp_path / "p.jsonl", rows))
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "p.jsonl" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.jsonl", b'{"id": "f0", "response": "cut', "line 1 is broken JSON"),
        ("p.jsonl", b'{"id": "f0", "response": "\xff"}', "line 1 is broken JSON"),
        ("p.csv", b"id,response\nf0,A\nf1,A,B\n", "line 3: 3 cells, not 2"),
        ("p.csv", b'id,response\nf0,"one\ntwo"\nf1\n', "line 4: 1 cells, not 2"),
        ("p.csv", b'id,response\nf0,"never closed\n', "broken CSV"),
        ("p.csv", b"id,id\nf0,A\n", "more than once in its header"),
        ("p.csv", b"id,response\n\xff\xfe,A\n", "is not UTF-8 text"),
        ("p.csv", b"id,answer\nf0,A\n", "no column 'response'"),
        ("p.csv", b"", "holds no rows"),
        ("p.csv", b'id,response\nf0,"' + b"x" * (1 << 24) + b'x"\n', "broken CSV (field larger than field limit"),
        ("p.parquet", b"PAR1", "must end in one of .jsonl, .ndjson, .csv"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, cli: Cli, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    done = cli(*SCORE, name)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert name in done.stderr
    assert not (tmp_path / "runs").exists()


def test_whole_numbers_are_ids_as_well(tmp_path: Path, cli: Cli) -> None:
    source = (tmp_path / "fruit" / "task.py").read_text()
    (tmp_path / "fruit" / "task.py").write_text(source.replace('f"f{i}"', "str(i)"))
    done = cli(*SCORE, jsonl(tmp_path / "p.jsonl", [{"id": i, "response": RIGHT} for i in range(10)]))
    assert done.returncode == 0, done.stderr


def test_hostile_responses_stay_data(tmp_path: Path, cli: Cli) -> None:
    evil = "\x1b[2J[red]<script>alert(1)</script>`__import__('os')` \ud83d <answer>[link=x]B</answer>"
    done = cli(*SCORE, jsonl(tmp_path / "p.jsonl", whole(f0=evil, f1="A" * 1_000_000)))
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    changed = (run / "samples.jsonl").read_text().replace('"verdict":"unparsed"', '"verdict":"incorrect"')
    (run / "samples.jsonl").write_text(changed)
    shown = cli("score", run, "--task-dir", "fruit", "--diff").stdout
    assert "incorrect" in shown
    assert "\x1b[2J" not in done.stdout + shown


def test_diff_shows_what_would_change_and_writes_nothing(tmp_path: Path, cli: Cli) -> None:
    cli(*SCORE, jsonl(tmp_path / "p.jsonl", whole(f3="<answer>B</answer>")))
    (run,) = (tmp_path / "runs").iterdir()
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in lines[:4]:
        line["outcome"] = {"verdict": "unparsed", "reason": "none", "scorer": "fruit/0"}
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = {file: file.read_bytes() for file in run.iterdir() if file.is_file()}
    done = cli("score", run, "--task-dir", "fruit", "--diff")
    assert done.returncode == 0
    assert "4 of 10 verdicts would change; nothing is written" in done.stdout
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert cells == [["unparsed", "correct", "3"], ["unparsed", "incorrect", "1"]]
    assert "f3: no answer (none) -> 'B' (answer_tag)" in done.stdout
    assert "right: A; response ends: '<answer>B</answer>'" in done.stdout
    assert "accuracy, of scored rows: 60.0% (6 of 10) -> 90.0% (9 of 10)" in done.stdout
    assert {file: file.read_bytes() for file in run.iterdir() if file.is_file()} == before
    written = cli("score", run, "--task-dir", "fruit")
    assert "4 of 10 verdicts changed" in written.stdout
    assert len((run / "samples.jsonl").read_bytes().splitlines()) == 14
    assert "0 of 10 verdicts would change\n" in cli("score", run, "--task-dir", "fruit", "--diff").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("score",), "neither is given"),
        (("score", "run", "--predictions", "p.jsonl"), "both are given"),
        (("score", "--predictions", "p.jsonl"), "--predictions needs --task NAME"),
        ((*SCORE, "p.jsonl", "--diff"), "responses have none yet"),
        ((*SCORE, "p.jsonl", "--rule", "official"), "task fruit has no official rule"),
        ((*SCORE, "p.jsonl", "--rule", "lenient"), "'lenient' is not one of"),
        ((*SCORE, "p.jsonl", "-T", "seed"), "name=value"),
        ((*SCORE, "gone.jsonl"), "cannot read gone.jsonl"),
        ((*SCORE, "fruit"), "must end in one of"),
        (("score", "run", "--task", "fruit", "--out", "x"), "--task, --out goes with --predictions"),
        (("score", "run", "--diff"), "not a run folder"),
    ],
)
def test_a_usage_error_is_exit_2(tmp_path: Path, cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    jsonl(tmp_path / "p.jsonl", whole())
    done = cli(*arguments)
    assert done.returncode == 2, done.stdout
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
