"""Runs that cannot be read, and runs that are odd: what can be said of the others is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from evalkit import Verdict
from evalkit.analysis.board import Boards
from evalkit.analysis.boards import make_boards
from evalkit.analysis.task_opener import TaskOpener
from evalkit.records import RECORD_VERSION
from evalkit.runs.folder import INFO, SAMPLES
from tests.run_folders import row, write_run


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_run(tmp_path / "good", [row(i, i > 0) for i in range(4)])


def with_good(good: Path, other: Path, **options: Any) -> tuple[Boards, str]:
    """The boards of two runs, of which the other cannot be read, and why that is."""
    boards, indexes = make_boards([other, good], **options)
    assert [entry.run for board in boards.boards for entry in board.entries] == ["good"]
    assert [index.run for index in indexes] == ["good"]
    (left_out,) = boards.unreadable
    assert left_out.folder == str(other)
    assert "\n" not in left_out.why
    return boards, left_out.why


def damaged(tmp_path: Path, line: int, data: bytes) -> Path:
    folder = write_run(tmp_path / "bad", [row(i) for i in range(3)])
    file = folder / SAMPLES
    lines = file.read_bytes().splitlines(keepends=True)
    lines[line] = data
    file.write_bytes(b"".join(lines))
    return folder


def test_no_run_folder(tmp_path: Path, good: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert with_good(good, tmp_path / "empty")[1].endswith(f"is not a run folder: it has no {INFO}")
    assert with_good(good, tmp_path / "not there")[1].endswith(f"is not a run folder: it has no {INFO}")
    assert "cannot read" in with_good(good, good / INFO)[1]


def test_a_damaged_info(tmp_path: Path, good: Path) -> None:
    other = write_run(tmp_path / "bad", [row(0)])
    (other / INFO).write_text('{"evalkit": "0.1.0", "created"')
    assert "cannot read" in with_good(good, other)[1]
    (other / INFO).write_text("[]")
    assert "cannot read" in with_good(good, other)[1]


def test_a_damaged_line(tmp_path: Path, good: Path) -> None:
    why = with_good(good, damaged(tmp_path, 1, b'{"version": 1, \xff\x00\n'))[1]
    assert "line 2 is corrupt" in why
    assert "delete that line to have its sample run again" in why


def test_a_line_of_the_wrong_shape(tmp_path: Path, good: Path) -> None:
    why = with_good(good, damaged(tmp_path, 2, b'{"version": 1, "sample": []}\n'))[1]
    assert "line 3 is corrupt" in why


def test_a_line_of_a_newer_version(tmp_path: Path, good: Path) -> None:
    other = write_run(tmp_path / "bad", [row(0)])
    text = (other / SAMPLES).read_text()
    (other / SAMPLES).write_text(text.replace(f'"version":{RECORD_VERSION}', f'"version":{RECORD_VERSION + 1}'))
    assert f"line 1 is of record version {RECORD_VERSION + 1}" in with_good(good, other)[1]


def test_a_line_of_an_older_version_is_read(tmp_path: Path, good: Path) -> None:
    other = write_run(tmp_path / "old", [row(0)])
    text = (other / SAMPLES).read_text()
    (other / SAMPLES).write_text(text.replace(f'"version":{RECORD_VERSION}', '"version":0'))
    boards, _ = make_boards([other, good])
    assert [entry.run for entry in boards.boards[0].entries] == ["old", "good"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path, good: Path) -> None:
    other = write_run(tmp_path / "bad", [row(0)])
    (other / SAMPLES).chmod(0)
    assert "Permission denied" in with_good(good, other)[1]


def test_samples_that_are_a_folder(tmp_path: Path, good: Path) -> None:
    other = write_run(tmp_path / "bad", [])
    (other / SAMPLES).unlink()
    (other / SAMPLES).mkdir()
    assert "Is a directory" in with_good(good, other)[1]


def test_nothing_can_be_read(tmp_path: Path) -> None:
    boards, indexes = make_boards([tmp_path / "a", tmp_path / "b"])
    assert (boards.boards, indexes) == ((), ())
    assert [left_out.folder for left_out in boards.unreadable] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert make_boards([])[0].boards == ()


def test_one_folder_twice(good: Path) -> None:
    boards, indexes = make_boards([good, good.parent / "." / "x" / ".." / "good"])
    assert (len(indexes), len(boards.boards[0].entries)) == (1, 1)
    (left_out,) = boards.unreadable
    assert left_out.why == "it is named twice and stands in the report once"


def test_a_run_without_a_row(tmp_path: Path, good: Path) -> None:
    folder = write_run(tmp_path / "empty", [], expected=10, model="empty")
    unborn = write_run(tmp_path / "unborn", [], expected=10, model="unborn")
    (unborn / SAMPLES).unlink()
    boards, indexes = make_boards([folder, unborn, good])
    assert [len(index.ids) for index in indexes] == [4, 0, 0]
    for entry in boards.boards[0].entries[1:]:
        assert (entry.live, entry.done, entry.accuracy.value, entry.accuracy.why) == (True, 0, None, "there is no row")
        assert (entry.accuracy_expected.count, entry.accuracy_expected.n) == (0, 10)
        assert entry.tool_rate.why == entry.p50.why == entry.tokens_in.why == "there is no row"
        assert [mark.text for mark in entry.marks] == ["0 of 10 rows are done"]
    assert "m has 75.0%" in boards.boards[0].headlines[0].text


def test_a_run_with_errors_alone(tmp_path: Path) -> None:
    boards, _ = make_boards([write_run(tmp_path / "r", [row(0, Verdict.ENGINE_ERROR)])])
    (entry,) = boards.boards[0].entries
    assert (entry.accuracy.why, entry.accuracy_expected.value) == ("no row has a score", 0.0)
    assert [mark.kind for mark in entry.marks] == ["errors"]
    assert boards.boards[0].headlines[0].text == "Nothing can be said of accuracy: no row has a score."


def test_a_run_that_is_being_written(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", [row(0), row(1)], expected=5)
    with (folder / SAMPLES).open("ab") as file:
        file.write(b'{"version": 1, "sample": {"id": "2"')
    boards, _ = make_boards([folder])
    (entry,) = boards.boards[0].entries
    assert (entry.live, entry.done, entry.expected) == (True, 2, 5)


def test_an_unknown_benchmark(good: Path) -> None:
    boards, _ = make_boards([good], task_of=TaskOpener())
    (entry,) = boards.boards[0].entries
    assert entry.accuracy.value == 0.75
    assert entry.own == ()
    assert entry.own_why.startswith("unknown task 'numbers'")


def test_a_benchmark_that_fails(tmp_path: Path, good: Path) -> None:
    folder = tmp_path / "tasks" / "numbers"
    folder.mkdir(parents=True)
    (folder / "task.py").write_text("1 / 0\n")
    boards, _ = make_boards([good], task_of=TaskOpener((tmp_path / "tasks",)))
    assert boards.boards[0].entries[0].accuracy.value == 0.75
    assert boards.boards[0].entries[0].own_why

    def broken(_: object) -> Any:
        raise RuntimeError("no\nway")

    boards, _ = make_boards([good], task_of=broken)
    assert boards.boards[0].entries[0].own_why == "RuntimeError: no way"


def test_hostile_texts_stay_one_line(tmp_path: Path) -> None:
    nasty = "<script>\x1b[31m\n\u202e=cmd()"
    folder = write_run(tmp_path / "r", [row(nasty, category=nasty)], model=nasty, task={"name": nasty}, expected=2)
    boards, _ = make_boards([folder])
    for headline in boards.boards[0].headlines:
        assert headline.text.isprintable()
    for mark in boards.boards[0].entries[0].marks:
        assert mark.text.isprintable()


def test_times_and_tokens_beyond_measure(tmp_path: Path) -> None:
    rows = [row(0, seconds=1e200), row(1, seconds=2.0), row(2, tokens=2**62)]
    boards, _ = make_boards([write_run(tmp_path / "r", rows)])
    (entry,) = boards.boards[0].entries
    assert (entry.p50.value, entry.p50.n) == (1.5, 2)
    assert entry.tokens_in.n == 3
