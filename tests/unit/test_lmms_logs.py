"""lmms-eval's sample logs: written from runs, and read as recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from evalkit import DataSource, EvalkitError, Outcome, Record, StopReason, Verdict
from evalkit.bridges.imported import write_imported
from evalkit.bridges.lmms.logs import read_samples, write_samples
from evalkit.bridges.lmms.task import LmmsTask
from evalkit.errors import DataError, NothingEvaluatedError
from tests.run_folders import row, write_run


def scored(record: Record, **scores: Any) -> Record:
    return replace(record, outcome=replace(record.outcome, scores=scores))


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_run_of_an_lmms_task_keeps_its_numbers_and_metrics(tmp_path: Path) -> None:
    rows = [
        scored(row(7, text="<answer>B</answer>"), acc={"score": 1.0, "id": 7}, other=0.5),
        scored(row(2, False, text="red"), acc={"score": 0.0, "id": 2}, score=17.0),
        row(4, Verdict.ENGINE_ERROR),
    ]
    run = write_run(tmp_path / "run", rows, task={"name": "lmms:colours"})
    file = tmp_path / "log.jsonl"
    write_samples(run, file)
    first, second = lines_of(file)
    assert [first["doc_id"], second["doc_id"]] == [2, 7]
    assert (first["score"], first["filtered_resps"], first["acc"]) == (0.0, "red", {"score": 0.0, "id": 2})
    assert (second["filtered_resps"], second["resps"], second["other"]) == ("B", ["<answer>B</answer>"], 0.5)
    assert second["token_counts"] == [{"input_tokens": 10, "output_tokens": 10}]
    # lmms-eval's --baseline takes the first key that has "score" in its name
    assert [key for key in second if "score" in key] == ["score"]


def test_a_run_of_evalkits_own_task_is_numbered_by_place(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [row("a/1"), row("a/2", False)])
    file = tmp_path / "log.jsonl"
    write_samples(run, file)
    assert [(line["doc_id"], line["id"], line["score"]) for line in lines_of(file)] == [
        (0, "a/1", 1.0),
        (1, "a/2", 0.0),
    ]


def test_a_run_without_scores_is_no_log(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [row(1, Verdict.ENGINE_ERROR)])
    with pytest.raises(NothingEvaluatedError, match="no row has a score"):
        write_samples(run, tmp_path / "log.jsonl")


def test_there_and_back(tmp_path: Path) -> None:
    rows = [row("x", text="<answer>A</answer>"), row("y", False, text="none"), row("z", text="")]
    file = tmp_path / "samples_numbers.jsonl"
    write_samples(write_run(tmp_path / "run", rows), file)
    folder, _, task = write_imported(tmp_path / "runs", read_samples(file), [file], model="m")
    from evalkit.runs.store import latest_records

    found = {id: record for (id, _, _), record in latest_records(folder).items()}
    assert {id: record.outcome.right() for id, record in found.items()} == {"x": True, "y": False, "z": True}
    assert [record.trajectory.response for record in found.values()] == ["<answer>A</answer>", "none", ""]
    assert task.name == "recorded:numbers"


def log(folder: Path, *rows: object, results: object = None) -> Path:
    file = folder / "20260102_030405_samples_colours.jsonl"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in rows), "utf-8")
    if results is not None:
        (folder / "20260102_030405_results.json").write_text(json.dumps(results), "utf-8")
    return file


def test_the_metric_with_most_numbers_decides(tmp_path: Path) -> None:
    mark = {"score": 1.0}
    file = log(
        tmp_path,
        {"doc_id": 0, "target": "A", "filtered_resps": "A", "math": mark, "average": mark, "input": "Q"},
        {"doc_id": 1, "target": "B", "filtered_resps": "A", "art": {"score": 0}, "average": {"score": 0}},
        results={"model_name": "", "model_source": "someone"},
    )
    found = read_samples(file)
    records = list(found.records)
    assert (found.score, found.model, found.task) == ("average", "someone", "colours")
    assert [record.outcome.verdict for record in records] == [Verdict.CORRECT, Verdict.INCORRECT]
    assert records[0].trajectory.prompt == "Q"
    assert records[0].trajectory.partial


def test_rows_with_halves_of_the_metrics_each_count_by_their_own(tmp_path: Path) -> None:
    rows = [{"doc_id": i, "filtered_resps": "x", ("a", "b", "a")[i]: {"score": float(i == 1)}} for i in range(3)]
    assert [record.outcome.right() for record in read_samples(log(tmp_path, *rows)).records] == [False, True, False]


def test_a_log_without_numbers_says_so_in_each_row(tmp_path: Path) -> None:
    (record,) = read_samples(log(tmp_path, {"doc_id": 0, "filtered_resps": "x", "acc": {"answer": "B"}})).records
    assert record.outcome.verdict is Verdict.JUDGE_ERROR


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "holds no rows"),
        ([{"filtered_resps": "x"}], "line 1 has no doc_id"),
        ([{"doc_id": 0, "acc": 1, "filtered_resps": ["a", "b"]}], "line 1 has 2 responses to one document"),
        ([{"doc_id": 0, "acc": 1, "filtered_resps": [1.5, True]}], "line 1 has 2 responses"),
        ([{"doc_id": 0, "acc": 1, "filtered_resps": 3}], "its response is no text but int"),
        ([{"doc_id": 0, "acc": 1}], "its response is no text but NoneType"),
    ],
)
def test_a_broken_log_is_named_with_its_line(tmp_path: Path, rows: list[object], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        list(read_samples(log(tmp_path, *rows)).records)


def test_a_file_of_another_name_names_the_task(tmp_path: Path) -> None:
    file = log(tmp_path, {"doc_id": 0, "acc": 1, "filtered_resps": "x"})
    assert read_samples(file.rename(tmp_path / "mine.jsonl")).task == "mine"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["target", "resps", "filtered_resps", "token_counts", "input", "acc", "id"]), _JSON)
)
def test_any_row_is_read_or_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    file = log(tmp_path, {"doc_id": 0, **fields})
    try:
        (record,) = read_samples(file).records
    except DataError:
        return
    assert record.sample.id


def test_figures_without_lmms_eval_are_means_that_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_LMMS_PYTHON", "/nowhere/python")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    task = LmmsTask.kind("lmms:colours")(DataSource(kind="hub"), Path(), {"lmms_eval": "0.7.3"})
    rows = [scored(row(0), acc=1.0, tree={"id": 0}), scored(row(1, False), acc=0.0, tree={"id": 1}),
            row(2, Verdict.JUDGE_ERROR)]  # fmt: skip
    acc, tree = task.metrics(rows)
    assert (acc.name, acc.value, acc.n) == ("acc", 0.5, 2)
    assert "cannot be started" in acc.note
    assert "1 rows without a score are left out" in acc.note
    assert tree.value is None


def test_a_limit_counts_as_an_empty_answer() -> None:
    from evalkit.bridges.lmms.task import _response

    record = row(0, text="<answer>B</answer>")
    assert _response(record) == "B"
    cut = replace(record, trajectory=replace(record.trajectory, stop=StopReason.LIMIT_TURNS))
    assert _response(cut) == ""


def test_an_error_of_the_scorer_is_no_verdict() -> None:
    from evalkit.bridges.lmms.child import Scored
    from evalkit.bridges.lmms.task import _outcome

    right: Outcome = _outcome(Scored({"acc": 1.0}, "acc", 1.0), "B", "whole", "lmms:x/0.7.3")
    assert (right.verdict, right.answer, right.scores) == (Verdict.CORRECT, "B", {"acc": 1.0})
    assert _outcome(Scored({"acc": 0.7}, "acc", 0.7), "B", "whole", "s").verdict is Verdict.INCORRECT
    assert _outcome(Scored({"acc": 0.0}, "acc", 0.0), " ", "whole", "s").verdict is Verdict.UNPARSED
    guess = _outcome(Scored({"acc": 1.0}, "acc", 1.0, guessed=True), "B", "whole", "s")
    assert (guess.verdict, guess.reason) == (Verdict.UNPARSED, "guessed")
    for value in (None, 1.5, -1.0):
        with pytest.raises(EvalkitError):
            _outcome(Scored({}, "acc", value), "B", "whole", "s")
