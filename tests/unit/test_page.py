"""What stands in a report's page, without a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.board import Boards, Entry, Headline
from evalkit.analysis.figure import Figure
from evalkit.content import content_dir
from evalkit.errors import EvalkitError
from evalkit.reporting.page import Source, one_file, write_html, write_site
from evalkit.reporting.page.assets import assets
from evalkit.reporting.page.bars import Axis, axis_of, interval_bar, outcome_bar
from evalkit.reporting.page.blobs import in_page, packed, rows_of
from evalkit.reporting.page.columns import COLUMNS
from evalkit.reporting.page.differences import differences
from evalkit.reporting.page.overview import overview
from evalkit.reporting.page.published import published_rows
from evalkit.reporting.page.view import view_of
from evalkit.reporting.report import Report, make_report
from tests import made_boards
from tests.report_runs import report_runs

CELLS = {column.key: column.cell for column in COLUMNS}


def blobs(page: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/octet-stream" data-name="([^"]+)">([^<]*)</script>', page)
    return {name: json.loads(gzip.decompress(base64.b64decode(data))) for name, data in found}


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return make_report(report_runs(tmp_path), processes=1)


def test_a_file_holds_its_boards_rows_and_trajectories(report: Report) -> None:
    found = blobs(one_file(report))
    assert found["boards"] == json.loads(msgspec.json.encode(report.boards))
    assert len(report.indexes) == 4
    assert "ids" not in found["rows/1"]
    for number, index in enumerate(report.indexes):
        columns = found[f"rows/{number}"]
        assert {**found[f"rows/{columns.get('like', number)}"], **columns}["ids"] == index.ids
        assert found[f"details/{number}"]["rows"].keys() == {str(row) for row in range(len(index.ids))}


def test_a_page_can_tell_whether_two_runs_have_the_same_question(report: Report) -> None:
    one, two = report.indexes[:2]
    changed = msgspec.structs.replace(two, questions=[7, *two.questions[1:]])
    first, second = (columns["questions"] for _, columns in rows_of([one, changed]))
    assert [a == b for a, b in zip(first, second, strict=True)] == [False] + [True] * (len(one.ids) - 1)


def test_equal_reports_give_equal_files(report: Report) -> None:
    assert one_file(report) == one_file(report)


def test_nothing_of_the_page_points_elsewhere(report: Report) -> None:
    page = one_file(report)
    assert re.findall(r'\s(?:src|href|action)="(?!#|data:,")([^"]*)"', page) == []
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", page)
    assert not re.search(r"@import|\sstyle=", page)


@pytest.mark.parametrize("source", list(Source))
def test_the_policy_lets_run_what_stands_in_the_page_and_nothing_else(source: Source) -> None:
    made = assets(source)
    rules = dict(rule.split(" ", 1) for rule in made.policy.split("; "))
    for name, texts in {"script-src": made.scripts, "style-src": made.styles}.items():
        digests = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts}
        assert set(rules[name].split()) - {"'self'"} == digests
    assert "unsafe" not in made.policy
    assert rules["default-src"] == "'none'"
    assert ("'self'" in rules["script-src"]) == (source is Source.SITE)
    assert (rules["connect-src"] == "'self'") == (source is Source.SERVER)


def test_no_script_or_style_ends_its_element() -> None:
    for file in (content_dir("reports") / "static").iterdir():
        text = file.read_text("utf-8")
        assert "</script" not in text.lower()
        assert "</style" not in text.lower()
        assert "<!--" not in text
        assert "innerHTML" not in text


@given(st.recursive(st.text() | st.integers(-9, 9), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_data_comes_back_and_ends_no_element(value: Any) -> None:
    try:
        assert json.loads(gzip.decompress(base64.b64decode(packed(value)))) == value
        text = in_page(value)
    except UnicodeEncodeError:
        pytest.fail("text that is no Unicode is not written")
    assert json.loads(text) == value
    assert not set("<>&") & set(text)


def test_half_of_a_surrogate_pair_comes_back() -> None:
    assert json.loads(in_page(["\ud800"])) == ["\ud800"]
    assert json.loads(gzip.decompress(base64.b64decode(packed(made_boards.entry("\udcff")))))["run"] == "\udcff"


def test_a_folder_holds_data_files_that_deliver(report: Report, tmp_path: Path) -> None:
    whole = msgspec.structs.replace(report, trajectories="all")
    write_site(whole, tmp_path / "site")
    files = sorted(str(file.relative_to(tmp_path / "site")) for file in (tmp_path / "site").rglob("*.*"))
    assert files[:3] == ["data/boards.js", "data/details/0/0.js", "data/details/1/0.js"]
    text = (tmp_path / "site" / "data" / "rows" / "0.js").read_text()
    call = re.fullmatch(r'evalkit\.deliver\("rows/0","([A-Za-z0-9+/=]+)"\)\n', text)
    assert call is not None
    assert json.loads(gzip.decompress(base64.b64decode(call[1])))["ids"] == report.indexes[0].ids
    # again, over an own report
    write_site(whole, tmp_path / "site")


def test_a_page_that_is_no_report_is_not_written_over(report: Report, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(EvalkitError, match="did not make; name another folder"):
        write_site(report, tmp_path)
    assert (tmp_path / "index.html").read_text() == "<h1>mine</h1>"


def test_a_folder_that_cannot_be_made_is_said(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvalkitError, match="cannot be written"):
        write_site(report, tmp_path / "file" / "site")
    with pytest.raises(EvalkitError, match=r"no/report\.html: cannot be written: No such file"):
        write_html(report, tmp_path / "no" / "report.html")


def test_bad_cells_say_why() -> None:
    entry = msgspec.structs.replace(made_boards.entry("a"), accuracy=Figure(why="no row has a score"))
    cell = CELLS["accuracy"](entry, Axis(0, 1))
    assert (cell.text, cell.sort, cell.bar) == ("–", None, None)
    assert cell.title == "not available, because no row has a score"
    assert "--counterfactual" in CELLS["redundant"](entry, Axis(0, 1)).title


def test_redundant_is_corrected_and_the_count_is_told() -> None:
    need = made_boards.need()
    entry = made_boards.entry("a", need=need, redundant=need.need[0].redundant_rate)
    cell = CELLS["redundant"](entry, Axis(0, 1))
    corrected = need.need[0].redundant_rate.corrected.value
    assert corrected is not None
    assert cell.sort == corrected
    assert cell.text == f"{100 * corrected:.1f}"
    assert "As counted: 60.0 %" in cell.title


def test_an_outcome_bar_has_every_row_and_says_so() -> None:
    entry = msgspec.structs.replace(
        made_boards.entry("a"), outcomes={"correct": 60, "incorrect": 20, "limit_time": 5, "engine_error": 5}
    )
    bar = outcome_bar(entry)
    assert bar.words == "60 right, 20 wrong, 5 out of time, 5 engine errors, 10 not run"
    assert [part.kind for part in bar.parts] == ["right", "wrong", "none", "error", "missing"]
    assert sum(part.width for part in bar.parts) == pytest.approx(100)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_an_interval_bar_stays_on_its_axis(one: float, two: float, three: float) -> None:
    low, value, high = sorted((one, two, three))
    entry = msgspec.structs.replace(made_boards.entry("a"), accuracy=Figure(value=value, low=low, high=high, n=9))
    axis = axis_of(made_boards.board(entry, published=()))
    bar = interval_bar(entry.accuracy, axis)
    assert bar is not None
    assert bar.low is not None
    assert bar.high is not None
    assert 0 <= bar.low <= bar.points[0] <= bar.high <= 100
    assert axis.high - axis.low >= 0.099
    assert all(0 < tick < 100 for tick in axis.ticks)


def test_sources_that_disagree_stand_apart() -> None:
    board = made_boards.board(made_boards.entry("a"))
    row = published_rows(board, Axis(0, 1), {})[0]
    assert row.cells["accuracy"].text == "84.1 – 86.4"
    assert row.cells["accuracy"].below == "sources differ"
    assert [figure.value for figure in row.figures] == ["86.4 %", "84.1 %"]


def test_a_figure_of_another_benchmark_is_no_accuracy_of_this_one() -> None:
    board = made_boards.board(made_boards.entry("a"), published=(made_boards.published(task="group"),))
    row = published_rows(board, Axis(0, 1), {})[0]
    assert row.cells["accuracy"].text == ""
    assert row.figures[0].what == "accuracy on group"


def test_equal_settings_of_many_runs_share_a_line() -> None:
    runs: list[Entry] = [made_boards.entry(f"r{i}") for i in range(9)]
    board = made_boards.board(*runs)
    config = (msgspec.structs.replace(board.config[0], values=(0.0, *[1.0] * 8)),)
    found = differences(msgspec.structs.replace(board, config=config)).matter[0]
    assert [value.value for value in found.values] == ["0.0", "1.0"]
    assert found.values[1].runs == "r1, r2, r3, r4, r5, r6 and 2 more"


def test_the_overview_has_every_run_of_every_benchmark() -> None:
    one = made_boards.board(made_boards.entry("a", 90), made_boards.entry("b", 80), task="one")
    two = made_boards.board(made_boards.entry("b2", 70, model="b"), made_boards.entry("b3", 60, model="b"), task="two")
    table = overview(made_boards.boards(one, two), [Axis(0, 1), Axis(0, 1)])
    assert [model for model, _ in table.rows] == ["a", "b"]
    assert [[score.run for score in cell] for cell in table.rows[1][1]] == [["b"], ["b2", "b3"]]
    assert table.rows[0][1][0][0].first
    assert not table.rows[1][1][0][0].first


def test_names_are_bold_where_they_stand_as_whole_words() -> None:
    runs = [made_boards.entry(name) for name in ("err", "v1", "a")]
    line = Headline(kind="caution", text="a and err (v1): 2 errors of v1.5, a-b. See err.", runs=("err", "v1", "a"))
    board = made_boards.board(*runs, headlines=(line,))
    view = view_of(Boards(schema=1, evalkit="0", made="2026-01-01", boards=(board,)), (), {}, {})
    (shown,) = view.boards[0].headlines
    assert [text for text, strong in shown.pieces if strong] == ["a", "err", "v1", "err"]
    assert "".join(text for text, _ in shown.pieces) == line.text
