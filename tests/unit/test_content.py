"""Tasks are found in the checkout, in a user's folder, and a broken one spoils only itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit import EvalkitError
from evalkit.content import content_dir, find_tasks, open_task, task_named

TASK = """
from evalkit import Outcome, Sample, Task, Verdict
from .helper import ANSWER

class Mine(Task):
    name = "mine"
    aliases = ("also_mine",)
    options = {"size": 3, "label": "x"}
    def samples(self):
        return [Sample(id="1", question="q", answer=ANSWER)]
    def score(self, sample, response):
        return Outcome(verdict=Verdict.CORRECT)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mine = tmp_path / "tasks" / "mine"
    mine.mkdir(parents=True)
    (mine / "task.py").write_text(TASK)
    (mine / "helper.py").write_text('ANSWER = "A"\n')
    return tmp_path / "tasks"


def test_built_in_tasks_load() -> None:
    found = find_tasks()
    assert {"wemath", "panel_probe"} <= set(found)
    assert not [entry.error for entry in found.values() if entry.error]
    assert (content_dir("reports") / "templates").is_dir()


@pytest.mark.parametrize("deep", [True, False])
def test_a_users_folder_has_the_same_rights(folder: Path, deep: bool) -> None:
    found = find_tasks([folder if deep else folder / "mine"])
    task = open_task(task_named("also_mine", found), options={"size": "7"})
    assert task.settings == {"size": 7, "label": "x"}
    assert [sample.answer for sample in task.samples()] == ["A"]


def test_a_broken_task_spoils_only_itself(folder: Path) -> None:
    broken = folder / "broken"
    broken.mkdir()
    (broken / "task.py").write_text("import no_such_module_anywhere\n")
    found = find_tasks([folder])
    assert task_named("mine", found).kind is not None
    with pytest.raises(EvalkitError, match=r"broken cannot be loaded .*no_such_module_anywhere"):
        task_named("broken", found)


def test_a_folder_without_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match=r"no task\.py"):
        find_tasks([tmp_path])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("hub", {}, "no hub data set"),
        ("no/such/folder", {}, "no such folder"),
        (None, {"sise": "1"}, "nearest: size"),
        (None, {"size": "big"}, "takes int"),
    ],
)
def test_wrong_data_and_options_are_named(
    folder: Path, data: str | None, options: dict[str, str], message: str
) -> None:
    entry = task_named("mine", find_tasks([folder]))
    with pytest.raises(EvalkitError, match=message):
        open_task(entry, data, options=options)


def test_unknown_tasks_have_neighbours() -> None:
    with pytest.raises(EvalkitError, match="nearest: wemath"):
        task_named("wemaht", find_tasks())
