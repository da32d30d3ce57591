"""Tables are read as they were written, whatever their cells hold, and what is broken is a DataError."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.bridges.rows import Row, mark_of, read_rows, text_of
from evalkit.errors import DataError, EvalkitError
from evalkit.recorded import RecordedTask, number_of, recorded_outcome
from evalkit.records import StopReason, Trajectory, Verdict
from tests.run_folders import row as record

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), suffix=st.sampled_from([".csv", ".tsv"]))
def test_cells_come_back_as_they_were_written(rows: list[tuple[str, str]], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{suffix}"
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter="\t" if suffix == ".tsv" else ",", quoting=csv.QUOTE_ALL)
            writer.writerows([("id", "response"), *rows])
        assert [tuple(found.cells.values()) for found in read_rows(file)] == rows


@given(rows=st.lists(st.dictionaries(CELLS, CELLS | st.none() | st.integers(), max_size=3), min_size=1, max_size=4))
def test_a_list_of_objects_comes_back_as_it_was_written(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.json"
        file.write_text(json.dumps(rows), encoding="utf-8")
        assert [found.cells for found in read_rows(file)] == rows


@given(data=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".tsv", ".json", ".jsonl"]))
def test_what_is_no_table_is_a_data_error(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{suffix}"
        file.write_bytes(data)
        said = ""
        try:
            for found in read_rows(file):
                assert isinstance(found.cells, dict)
        except EvalkitError as error:
            said = str(error)
        assert "\n" not in said


@given(value=st.text(max_size=12) | st.floats() | st.integers() | st.booleans() | st.none() | st.lists(st.integers()))
def test_a_mark_is_a_number_nothing_or_an_error_and_never_a_guess(value: Any) -> None:
    try:
        found = mark_of(Row("a line 1", {"c": value}), "c", "--correct")
    except DataError:
        return
    assert found is None or (isinstance(found, float) and abs(found) < float("inf"))


@pytest.mark.parametrize(
    ("value", "mark"),
    [(True, 1.0), ("True", 1.0), ("no", 0.0), ("0.5", 0.5), (1, 1.0), ("", None), (None, None), (float("nan"), None)],
)
def test_marks(value: object, mark: float | None) -> None:
    assert mark_of(Row("x", {"c": value}), "c", "--correct") == mark


def test_a_tree_in_a_cell_is_its_json_and_a_missing_number_is_nothing() -> None:
    row = Row("x", {"a": ["1", "2"], "b": float("nan"), "c": 3})
    assert [text_of(row, name) for name in ("a", "b", "c", "d")] == ['["1","2"]', "", "3", ""]


def trajectory(stop: StopReason) -> Trajectory:
    return Trajectory(prompt="", stop=stop, error="gone" if stop is StopReason.ENGINE_ERROR else "")


@pytest.mark.parametrize(
    ("stop", "mark", "verdict"),
    [
        (StopReason.ENDED, 1, Verdict.CORRECT),
        (StopReason.ENDED, "C", Verdict.CORRECT),
        (StopReason.ENDED, "P", Verdict.INCORRECT),
        (StopReason.ENDED, 0.99, Verdict.INCORRECT),
        (StopReason.ENDED, "maybe", Verdict.JUDGE_ERROR),
        (StopReason.ENDED, None, Verdict.JUDGE_ERROR),
        (StopReason.ENGINE_ERROR, 1, Verdict.ENGINE_ERROR),
        (StopReason.LIMIT_TURNS, 1, Verdict.CORRECT),
        (StopReason.LIMIT_TURNS, 0, Verdict.LIMIT_TURNS),
        (StopReason.GAVE_UP, 0, Verdict.UNPARSED),
    ],
)
def test_a_recorded_verdict_is_the_recordings_word(stop: StopReason, mark: object, verdict: Verdict) -> None:
    found = recorded_outcome(trajectory(stop), {"m": mark}, "m", "p/1")
    assert found.verdict is verdict
    assert found.scores == {"m": mark}
    assert found.verdict.is_error == bool(found.error)


def test_the_means_of_a_recording_are_over_the_rows_that_have_a_number() -> None:
    import msgspec

    rows = [record(i) for i in range(3)]
    marks: list[dict[str, Any]] = [{"f1": 0.5, "note": "x"}, {"f1": 1}, {"length": 30}]
    scored = [
        msgspec.structs.replace(one, outcome=msgspec.structs.replace(one.outcome, scores=mark))
        for one, mark in zip(rows, marks, strict=True)
    ]
    found = {metric.name: metric for metric in RecordedTask.called("x").metrics(scored)}
    assert set(found) == {"mean.f1", "mean.length"}
    assert (found["mean.f1"].value, found["mean.f1"].n, found["mean.f1"].unit) == (0.75, 2, "share")
    assert found["mean.length"].unit == "value"
    assert number_of(float("nan")) is None
