"""The trajectories of one file: as many as there is room for, shared fairly."""

from __future__ import annotations

import base64
import gzip
import json
import random
from pathlib import Path

import msgspec
import pytest

from evalkit.analysis.boards import make_boards
from evalkit.analysis.row_index import RowIndex
from evalkit.errors import EvalkitError
from evalkit.reporting.page import one_file
from evalkit.reporting.page.room import held
from evalkit.reporting.report import make_report
from evalkit.reporting.trajectories import choose_together
from tests.run_folders import row, write_run


@pytest.fixture
def indexes(tmp_path: Path) -> tuple[RowIndex, ...]:
    """A short run, and two long ones with texts that cannot be packed much."""

    words = random.Random(7)
    sizes = {"short": 3, "long": 40, "longer": 80}
    for name, n in sizes.items():
        texts = ["".join(words.choices("abcdefghijklmnopqrstuvwxyz ", k=4000)) for _ in range(n)]
        write_run(tmp_path / name, [row(f"{name}{i}", i % 2 == 0, text=text) for i, text in enumerate(texts)])
    return make_boards([tmp_path / name for name in sizes], processes=1)[1]


def test_all_is_there_where_there_is_room(indexes: tuple[RowIndex, ...]) -> None:
    rows = choose_together(indexes, "all")
    found = held(indexes, rows, 10_000_000, "all")
    assert [len(one) for one in found.runs] == [len(index.ids) for index in indexes]


def test_the_room_is_kept_and_shared(indexes: tuple[RowIndex, ...]) -> None:
    rows = choose_together(indexes, 80)
    room = 100_000
    found = held(indexes, rows, room, 80)
    size = sum(len(data) for _, data in found.blobs)
    # what the short run leaves goes to the others
    assert 0.8 * room < size <= room + 3 * 400
    counts = {index.run: len(one) for index, one in zip(indexes, found.runs, strict=True)}
    assert counts["short"] == 3
    assert abs(counts["long"] - counts["longer"]) <= 2
    assert 8 < counts["long"] < 40
    # the most important ones are those that are there
    for chosen, one in zip(rows, found.runs, strict=True):
        assert set(one) == set(chosen[: len(one)])


@pytest.mark.parametrize("wanted", ["all", "failures"])
def test_what_was_asked_for_is_not_cut(indexes: tuple[RowIndex, ...], wanted: str) -> None:
    rows = choose_together(indexes, wanted)  # type: ignore[arg-type]
    with pytest.raises(EvalkitError, match="name a folder"):
        held(indexes, rows, 50_000, wanted)  # type: ignore[arg-type]


def test_without_room_there_are_the_tables(indexes: tuple[RowIndex, ...]) -> None:
    found = held(indexes, choose_together(indexes, 50), -5, 50)
    assert found.runs == [[], [], []]


def test_a_run_that_is_gone_since_is_said(indexes: tuple[RowIndex, ...], tmp_path: Path) -> None:
    (tmp_path / "short" / "samples.jsonl").unlink()
    found = held(indexes, choose_together(indexes, "all"), 10_000_000, "all")
    assert found.runs[0] == [0, 1, 2]
    (data,) = [data for name, data in found.blobs if name == "details/0"]
    made = json.loads(gzip.decompress(base64.b64decode(data)))
    assert made["rows"] == {}
    assert "samples.jsonl" in made["unreadable"]["1"]


def test_a_page_says_how_many_trajectories_it_has(indexes: tuple[RowIndex, ...]) -> None:
    folders = [Path(index.folder) for index in indexes]
    report = make_report(folders, processes=1)
    assert "93 of 123 trajectories are here in full: at most 50 of each run" in one_file(report)
    # page, styles and scripts are there whatever happens
    bare = len(one_file(msgspec.structs.replace(report, rows=tuple([] for _ in indexes))).encode())
    page = one_file(report, limit=bare + 250_000)
    assert len(page.encode()) < bare + 250_000
    assert "no more than one file has room for" in page
    assert "All 123 trajectories are here" in one_file(make_report(folders, trajectories="all", processes=1))
