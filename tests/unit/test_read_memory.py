"""Runs that have not changed are not read again, and a report from memory is the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evalkit.analysis.boards import make_boards
from evalkit.analysis.memory import Memory
from evalkit.records import Rule
from evalkit.runs.store import RunStore
from tests.run_folders import row, write_run


class Counting(Memory[Any, Any]):
    """Notes which folders are read in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.read_: list[list[str]] = []

    def read(self, jobs: Sequence[Any], read: Any) -> list[Any]:
        def counted(missing: Sequence[Any]) -> Any:
            self.read_.append([job.folder.name for job in missing])
            return read(missing)

        return super().read(jobs, counted)


def same(folders: list[Path], memory: Memory[Any, Any], **more: Any) -> None:
    remembered, fresh = make_boards(folders, **more, memory=memory), make_boards(folders, **more)
    assert msgspec.structs.replace(remembered[0], made="") == msgspec.structs.replace(fresh[0], made="")
    assert remembered[1] == fresh[1]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path / name, [row(i, i % 2 == 0) for i in range(6)], model=name) for name in "abc"]


def test_only_what_has_changed_is_read(tmp_path: Path, folders: list[Path]) -> None:
    memory = Counting()
    same(folders, memory)
    same(folders, memory)
    with RunStore(folders[1]) as store:
        store.append(row(7))
    same(folders, memory)
    new = write_run(tmp_path / "d", [row(1)], model="d")
    same([*folders[1:], new], memory)
    # what was left out once is read again
    same(folders, memory)
    assert memory.read_ == [["a", "b", "c"], [], ["b"], ["d"], ["a"]]


def test_another_rule_or_another_name_is_another_reading(tmp_path: Path, folders: list[Path]) -> None:
    memory = Counting()
    same(folders[:1], memory)
    same(folders[:1], memory, rule=Rule.OFFICIAL)
    other = write_run(tmp_path / "other" / "a", [row(1)])
    # two folders of one name are called by their paths
    same([folders[0], other], memory, rule=Rule.OFFICIAL)
    assert memory.read_ == [["a"], ["a"], ["a", "a"]]


def test_a_run_that_becomes_readable_is_read(tmp_path: Path, folders: list[Path]) -> None:
    memory = Counting()
    whole = (folders[0] / "run.json").read_bytes()
    (folders[0] / "run.json").write_text("{")
    same(folders, memory)
    (folders[0] / "run.json").write_bytes(whole)
    same(folders, memory)
    assert memory.read_ == [["a", "b", "c"], ["a"]]
