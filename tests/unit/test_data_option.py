"""What `--data` and a task's name may be, and what a user is told about the rest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import pytest

from evalkit import EvalkitError, HubDataset, Outcome, Sample, Task, Verdict
from evalkit.content import TaskEntry, open_task, task_named, tasks_named


class _Near(Task):
    name: ClassVar[str] = "near"
    group = "signs"
    hub = HubDataset(id="authors/signs", split="test", revision="abc")
    mirrors = (HubDataset(id="others/signs-copy", split="train"),)
    reads = ("hub", "folder", "tsv", "sample")
    aliases = ("Signs_Near",)

    def samples(self) -> Iterable[Sample]:
        return ()

    def score(self, sample: Sample, response: str) -> Outcome:
        return Outcome(verdict=Verdict.INCORRECT)


class _Far(_Near):
    name: ClassVar[str] = "far"
    hub = None
    mirrors = ()
    reads = ("folder",)
    aliases = ()


TASKS = {kind.name: TaskEntry(name=kind.name, kind=kind, folder=Path(), origin="test") for kind in (_Far, _Near)}


def test_a_group_is_all_its_tasks_and_an_alias_is_one_in_any_case() -> None:
    assert [entry.name for entry in tasks_named("signs", TASKS)] == ["far", "near"]
    assert [entry.name for entry in tasks_named("near", TASKS)] == ["near"]
    assert task_named("signs_near", TASKS).name == "near"
    with pytest.raises(EvalkitError, match="unknown task 'signs_nea'"):
        tasks_named("signs_nea", TASKS)


def test_hub_data_by_default_by_id_and_by_revision() -> None:
    hub = open_task(TASKS["near"]).source.hub
    assert hub is not None
    assert (hub.id, hub.revision) == ("authors/signs", "abc")
    mirror = open_task(TASKS["near"], "others/signs-copy", "v2").source.hub
    assert mirror is not None
    assert (mirror.id, mirror.split, mirror.revision) == ("others/signs-copy", "train", "v2")


def test_folders_and_tables(tmp_path: Path) -> None:
    table = tmp_path / "Signs.TSV"
    table.touch()
    assert open_task(TASKS["near"], str(tmp_path)).source.kind == "folder"
    source = open_task(TASKS["near"], str(table)).source
    assert (source.kind, source.path) == ("tsv", table)


@pytest.mark.parametrize(
    ("task", "data", "revision", "message"),
    [
        ("near", "nowhere", None, r"--data nowhere: no such folder or .tsv file .other sources: hub, sample, others/"),
        ("near", "others/other", None, "no such folder"),
        ("near", "sample", "v2", "--revision goes with hub data"),
        ("near", "generated", None, "task near takes no rows from generated; it reads: hub, folder, tsv, sample"),
        ("far", "hub", None, "task far has no hub data set"),
        ("far", "table.tsv", None, "task far takes no rows from .*table.tsv; it reads: folder"),
        ("near", "table.csv", None, "is neither a folder nor a .tsv file"),
    ],
)
def test_other_data_is_refused(
    task: str, data: str, revision: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table.tsv").touch()
    Path("table.csv").touch()
    with pytest.raises(EvalkitError, match=message):
        open_task(TASKS[task], data, revision)
