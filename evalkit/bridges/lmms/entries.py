"""lmms-eval's tasks by the names that `--tasks` takes."""

from __future__ import annotations

from pathlib import Path

from evalkit.bridges.lmms.install import installed
from evalkit.bridges.lmms.listing import Listed, listing
from evalkit.bridges.lmms.task import HERE, PREFIX, LmmsTask, check
from evalkit.content import TaskEntry
from evalkit.task import HubDataset


def entry(name: str, hub: HubDataset | None = None) -> TaskEntry:
    """The task called `name`, whether or not there is an lmms-eval: a report of its runs needs none."""
    return TaskEntry(name=name, kind=LmmsTask.kind(name, hub), folder=Path(), origin="lmms-eval")


def entries(name: str) -> list[TaskEntry]:
    """The task called `name`, or those of the group or tag of lmms-eval's called so.

    Raises:
        EvalkitError: there is no lmms-eval, it has no such task, or evalkit cannot run it.
    """
    bare = name.removeprefix(PREFIX)
    if here := HERE.get(bare):
        return [entry(name, here.hub)]
    members = listing(installed()).members(bare)
    fit = [task for task in members if not task.refusal]
    if not fit:
        check(members[0])
    return [entry(f"{PREFIX}{task.name}", _hub(task)) for task in fit]


def _hub(task: Listed) -> HubDataset:
    return HubDataset(id=task.dataset, split=task.split, config=task.config)
