"""The index of a run's rows: its columns, and that its offsets find the lines again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import Record, Verdict
from evalkit.analysis.boards import make_boards
from evalkit.analysis.row_index import NOWHERE, RowIndex
from evalkit.records import AGAIN, DIRECT, Rule
from evalkit.runs.folder import SAMPLES
from evalkit.runs.store import RunStore, record_decoder
from tests.run_folders import row, write_run


def index_of(folder: Path, rule: Rule = Rule.STRICT) -> RowIndex:
    _, (found,) = make_boards([folder], rule)
    return found


def record_at(folder: Path, offset: int) -> Record:
    with (folder / SAMPLES).open("rb") as file:
        file.seek(offset)
        return record_decoder(folder)(file.readline())


def test_every_column(tmp_path: Path) -> None:
    rows = [
        row("a", calls=2, seconds=1.23456, category="near", cluster="photo 1"),
        row("a", False, arm=DIRECT),
        row("b", False, seconds=None, category="far"),
        row("b", True, arm=DIRECT),
        row("c", Verdict.ENGINE_ERROR),
        row("c", True, arm=DIRECT),
        row("d", partial=True),
        row("d", True, arm=DIRECT),
        row("e"),
        row("e", Verdict.JUDGE_ERROR, arm=DIRECT),
        row("e", False, repeat=1),
        row("f"),
        row("f", False, arm=AGAIN),
    ]
    found = index_of(write_run(tmp_path / "r", rows))
    assert (found.run, found.task, found.folder) == ("r", "numbers", str(tmp_path / "r"))
    assert found.ids == ["a", "b", "c", "d", "e", "f"]
    assert found.categories == ["near", "far", "", "", "", ""]
    assert found.clusters == ["photo 1", "b", "c", "d", "e", "f"]
    assert found.verdicts == ["correct", "incorrect", "engine_error", "correct", "correct", "correct"]
    assert found.right == [True, False, None, True, True, True]
    assert found.calls == [2, 0, 0, None, 0, 0]
    assert found.seconds == [1.235, None, 1.0, 1.0, 1.0, 1.0]
    # no pair: an error with tools, unknown calls, an error without, no trajectory without
    assert found.without == [False, True, None, None, None, None]
    assert [offset == NOWHERE for offset in found.direct_offsets] == [False, False, False, False, False, True]


def test_the_official_rule_decides_what_is_right(tmp_path: Path) -> None:
    rows = [row(1, True, official=False), row(2, False, official=True), row(2, False, official=True, arm=DIRECT)]
    found = index_of(write_run(tmp_path / "r", rows), Rule.OFFICIAL)
    assert (found.right, found.without) == ([False, True], [None, True])


def test_offsets_find_the_valid_line(tmp_path: Path) -> None:
    rows = [row("ä", text="schön\n" * 9), row("ä", arm=DIRECT), row("b"), row("b", arm=DIRECT)]
    folder = write_run(tmp_path / "r", rows)
    with RunStore(folder) as store:
        store.append(row("ä", False))
        store.append(row("b", False, arm=DIRECT))
    with (folder / SAMPLES).open("ab") as file:
        file.write(b'{"torn": ')
    found = index_of(folder)
    assert found.ids == ["ä", "b"]
    assert found.right == [False, True]
    for id, right, offset in zip(found.ids, found.right, found.offsets, strict=True):
        record = record_at(folder, offset)
        assert (record.sample.id, record.arm, record.outcome.right()) == (id, "agent", right)
    for id, right, offset in zip(found.ids, found.without, found.direct_offsets, strict=True):
        record = record_at(folder, offset)
        assert (record.sample.id, record.arm, record.outcome.right()) == (id, DIRECT, right)


def test_it_is_json(tmp_path: Path) -> None:
    found = index_of(write_run(tmp_path / "r", [row("a"), row("b", False, seconds=None)]))
    assert msgspec.json.decode(msgspec.json.encode(found), type=RowIndex) == found


def test_a_row_is_known_by_question_options_and_answer(tmp_path: Path) -> None:
    given = {"question": "Which?", "choices": {"A": "red", "B": "blue"}, "answer": "A"}
    changes: list[dict[str, Any]] = [
        {},
        {"question": "What?"},
        {"choices": {"A": "blue", "B": "red"}},
        {"answer": "B"},
        {"category": "x"},
    ]
    sums = [
        index_of(write_run(tmp_path / str(i), [row("a", **{**given, **change})])).questions[0]
        for i, change in enumerate(changes)
    ]
    assert len(set(sums[:4])) == 4
    assert sums[4] == sums[0]


@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=8), extra=st.data())
def test_offsets_whatever_the_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], extra: st.DataObject
) -> None:
    folder = write_run(tmp_path_factory.mktemp("runs") / "r", [row(i, text=text) for i, text in enumerate(texts)])
    again = extra.draw(st.lists(st.integers(0, len(texts) - 1), max_size=4))
    with RunStore(folder) as store:
        for i in again:
            store.append(row(i, False, text=texts[i]))
    found = index_of(folder)
    for i, offset in enumerate(found.offsets):
        record = record_at(folder, offset)
        assert record.sample.id == str(i) == found.ids[i]
        assert record.outcome.right() == (i not in again)
