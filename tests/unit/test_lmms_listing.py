"""lmms-eval's tasks as its YAML files describe them, and how one is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit import EvalkitError
from evalkit.bridges.lmms import install as install_module
from evalkit.bridges.lmms.install import INCLUDE, PYTHON, Install, installed
from evalkit.bridges.lmms.listing import listing
from evalkit.content import task_named, tasks_named
from tests.conftest import Cli

_TEMPLATE = """
dataset_path: owner/pictures
test_split: val
output_type: generate_until
process_results: !function utils.process_results
"""
FILES = {
    "colours/_template": _TEMPLATE,
    "colours/colours.yaml": "include: _template\ntask: colours\ntag: [pictures]\n",
    "colours/colours_hard.yaml": "include: _template\ntask: colours_hard\ndataset_name: hard\ntag: pictures\n",
    "colours/twice.yaml": "include: _template\ntask: twice\nrepeats: 4\n",
    "likely/likely.yaml": "task: likely\noutput_type: multiple_choice\ndataset_path: owner/likely\n",
    "plain/plain.yaml": "task: plain\ndataset_path: owner/plain\nvalidation_split: dev\n",
    "groups/both.yaml": "group: both\ntask: [pictures, plain]\n",
    "groups/changed.yaml": "group: changed\ntask:\n  - task: plain\n    num_fewshot: 3\n",
    "broken/broken.yaml": "task: [unclosed\n",
    "broken/list.yaml": "- a\n- b\n",
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A package with a few tasks, in the place of the installed one."""
    for name, text in FILES.items():
        file = tmp_path / "package" / "tasks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(install_module, "_own", lambda: ("0.7.3", str(tmp_path / "package")))
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.delenv(INCLUDE, raising=False)
    return installed()


def test_tasks_are_read_with_what_they_include(made: Install) -> None:
    found = listing(made)
    hard = found.tasks["colours_hard"]
    assert (hard.dataset, hard.config, hard.split, hard.kind) == ("owner/pictures", "hard", "val", "generate_until")
    plain = found.tasks["plain"]
    assert (plain.split, plain.kind, plain.refusal) == ("dev", "generate_until", "")
    assert set(found.tasks) == {"colours", "colours_hard", "twice", "likely", "plain"}


def test_groups_and_tags_stand_for_their_tasks(made: Install) -> None:
    assert {entry.name for entry in tasks_named("lmms:pictures", {})} == {"lmms:colours", "lmms:colours_hard"}
    assert len(tasks_named("lmms:both", {})) == 3
    with pytest.raises(EvalkitError, match="holds a task with settings of its own; name its tasks one by one"):
        tasks_named("lmms:changed", {})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("likely", "task lmms:likely: it is of kind multiple_choice, and evalkit runs generate_until tasks alone"),
        ("twice", "task lmms:twice: it asks each question 4 times; evalkit has --repeats"),
        ("color", "unknown lmms-eval task 'color'; nearest: colours"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(made: Install, name: str, problem: str) -> None:
    with pytest.raises(EvalkitError) as failed:
        tasks_named(f"lmms:{name}", {})
    assert problem in str(failed.value)


def test_a_users_folder_adds_tasks_and_hides_none(
    made: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.yaml").write_text("task: mine\ndataset_path: me/mine\n")
    (own / "b.yaml").write_text("task: plain\ndataset_path: me/plain\n")
    monkeypatch.setenv(INCLUDE, str(own))
    found = listing(installed())
    assert found.tasks["mine"].dataset == "me/mine"
    assert found.tasks["plain"].dataset == "owner/plain"
    monkeypatch.setenv(INCLUDE, str(tmp_path / "nowhere"))
    with pytest.raises(EvalkitError, match="which is no folder"):
        installed()


@pytest.mark.parametrize(("version", "known"), [("0.7.3", True), ("0.7.9", True), ("0.8.0", False), ("1.7.0", False)])
def test_another_version_is_refused(made: Install, monkeypatch: pytest.MonkeyPatch, version: str, known: bool) -> None:
    monkeypatch.setattr(install_module, "_own", lambda: (version, "folder"))
    if known:
        assert installed().version == version
        return
    with pytest.raises(EvalkitError, match=rf"lmms-eval {version} is installed; evalkit speaks 0.7: pip install"):
        installed()


def test_without_lmms_eval_a_run_says_how_to_get_it(cli: Cli) -> None:
    # a Python of its own, so that it does not matter what this one has
    done = cli("run", "--tasks", "lmms:mmstar", "--engine", "scripted", EVALKIT_LMMS_PYTHON="/bin/false")
    assert done.returncode == 2
    assert "EVALKIT_LMMS_PYTHON=/bin/false is no Python" in done.stderr
    done = cli("tasks", "--source", "lmms", EVALKIT_LMMS_PYTHON="/nowhere/python")
    assert "EVALKIT_LMMS_PYTHON=/nowhere/python cannot be started" in done.stderr


def test_an_interpreter_without_it_is_named(made: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_module, "_own", lambda: None)
    with pytest.raises(EvalkitError, match="lmms-eval is not installed: pip install"):
        installed()


def test_a_run_of_such_a_task_opens_without_lmms_eval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_module, "_own", lambda: None)
    entry = task_named("lmms:whatever", {})
    assert entry.kind is not None
    assert entry.kind.name == "lmms:whatever"
