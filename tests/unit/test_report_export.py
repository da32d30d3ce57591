"""What a notebook reads of a report: the same figures as CSV and as JSON, and no formula."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.board import Boards, Unreadable
from evalkit.analysis.figure import Figure
from evalkit.reporting.cells import cell, comment_cell, csv_cell
from evalkit.reporting.export import COLUMNS, boards_csv, boards_json
from evalkit.task import Metric
from tests.made_boards import board, boards, entry, need, published, share


def table(found: Boards) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(boards_csv(found)), dtype={"part": str}, keep_default_na=False, na_values=[""])


def one(frame: pd.DataFrame, figure: str, run: str = "a", part: str = "") -> pd.Series[Any]:
    rows = frame[(frame["figure"] == figure) & (frame["run"] == run) & (frame["part"].fillna("") == part)]
    assert len(rows) == 1, (figure, run, part, len(rows))
    return rows.iloc[0]


def test_csv_and_json_have_equal_figures() -> None:
    found = boards()
    frame, tree = table(found), json.loads(boards_json(found))
    assert list(frame.columns) == list(COLUMNS)
    for measured in tree["boards"][0]["entries"]:
        run = measured["run"]
        for name in ("accuracy", "accuracy_expected", "tool_rate", "calls", "p50", "p95", "tokens_out"):
            row = one(frame, name, run)
            for key in ("value", "low", "high", "n"):
                expected = measured[name].get(key)
                assert pd.isna(row[key]) if expected is None else row[key] == expected, (run, name, key)
        for verdict, count in measured["outcomes"].items():
            assert one(frame, "outcome", run, verdict)["value"] == count
        assert one(frame, "accuracy", run, "easy")["value"] == measured["categories"]["easy"]["value"]
    table_of_a = tree["boards"][0]["entries"][0]["need"]
    assert one(frame, "pairs.called", "a", "kept")["value"] == table_of_a["called"]["kept"]
    first = table_of_a["need"][0]
    both = first["redundant_rate"]
    assert one(frame, "redundant_rate", "a", first["counting"])["value"] == both["raw"]["value"] == 0.6
    assert one(frame, "redundant_rate.corrected", "a", first["counting"])["low"] == both["corrected"]["low"]
    # the JSON is the structs' own form
    assert msgspec.json.decode(boards_json(found), type=Boards) == found
    assert len(pd.json_normalize(tree, ["boards", "entries"])) == 2


def test_each_row_of_a_run_is_named_by_figure_and_part() -> None:
    measured = entry(
        "a",
        need=need(),
        call_counts={0: 60, 2: 40},
        latency_parts={"model": 1.5, "judge": None},
        own=(Metric.share("score", [True, False]),),
        cost=Figure(value=0.002, n=100),
        other_rule=share(70, 98),
    )
    frame = table(boards(board(measured)))
    mine = frame[frame["kind"] == "measured"].fillna({"part": ""})
    assert not mine.duplicated(["task", "run", "figure", "part"]).any()
    assert one(frame, "rows_by_calls", part="2")["value"] == 40
    assert pd.isna(one(frame, "seconds_mean", part="judge")["value"])
    assert one(frame, "own.score")["value"] == 0.5
    assert one(frame, "cost")["unit"] == "currency"


def test_published_figures_are_told_apart_and_compare_with_measured_ones() -> None:
    given = (
        published(value=86.4),
        published(value=84.1, source="blog"),
        published("Slow-1", 3.5, metric="latency", unit="s"),
        published("Parts-1", 70.7, metric="accuracy.single"),
    )
    frame = table(boards(board(entry("a"), published=given)))
    theirs = frame[frame["kind"] == "published"].set_index(["model", "figure", "source"])
    # sources that disagree are both there
    assert theirs.loc[("Other-7B", "accuracy", "paper"), "value"] == 0.864
    assert theirs.loc[("Other-7B", "accuracy", "blog"), "value"] == 0.841
    slow = theirs.loc[("Slow-1", "latency", "paper")]
    assert (slow["value"], slow["unit"]) == (3.5, "s")
    assert theirs.loc[("Parts-1", "accuracy", "paper"), "part"] == "single"
    assert theirs["run"].isna().all()
    assert theirs["low"].isna().all()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_text_is_a_formula(start: str) -> None:
    name = f'{start}HYPERLINK("http://x","a,b")'
    frame = table(boards(board(entry(name, model=name, outcomes={"correct": 1}, categories={name: share(1, 2)}))))
    for column in ("run", "model", "part"):
        texts = frame[column].dropna().astype(str)
        assert not texts.str.match(r"[=+\-@\t\r\n＝]").any()
        assert texts.str.startswith("'" + start.replace("\r", "\n")).any()
    # a negative number is no text
    assert csv_cell(-0.5) == -0.5


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40))
def test_any_text_survives(text: str) -> None:
    name = f"run {text}"
    found = boards(board(entry(name, model=text)), unreadable=(Unreadable(folder=text, why=text),))
    tree = json.loads(boards_json(found))
    assert tree["boards"][0]["entries"][0]["model"] == text
    assert tree["unreadable"][0]["folder"] == text
    assert boards_csv(found).encode("utf-8", "backslashreplace")


@given(st.text(max_size=60))
def test_a_cell_is_inert(text: str) -> None:
    for shown in (cell(text), comment_cell(text)):
        assert "\n" not in shown
        assert "\r" not in shown
        bare = shown.replace("\\\\", "")
        for mark in "`*_[]<>|":
            assert mark not in bare.replace(f"\\{mark}", "")
    assert not any(f"{mark}{letter}" in comment_cell(text) for mark in "@#" for letter in "abc123")
