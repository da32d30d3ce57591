"""What stands beside a comparison without a test: the benchmark's own figures, and which runs no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from evalkit.analysis.comparison import Comparison
from evalkit.analysis.light import decode_light
from evalkit.analysis.own_figures import own_figures
from evalkit.analysis.pareto import cost_point, pareto_front
from evalkit.content import find_tasks, reopen_task, task_named
from evalkit.errors import EvalkitError, one_line
from evalkit.runs.folder import read_info
from evalkit.runs.run_records import RunRecords


def with_own(comparison: Comparison, folders: Sequence[Path], task_dirs: Sequence[Path]) -> Comparison:
    """The comparison with the benchmark's figures of each run; where it cannot be asked, with the reason.

    Raises:
        EvalkitError: a folder of the user's holds no task.
    """
    found = find_tasks(task_dirs)
    try:
        asked = [read_info(folder).config["task"] for folder in folders]
        tasks = [reopen_task(task_named(part["name"], found), part) for part in asked]
    except Exception as error:
        # a task's own code may fail in any way, and the pairs do not need it
        why = str(error) if isinstance(error, EvalkitError) else f"{type(error).__name__}: {error}"
        return msgspec.structs.replace(comparison, own_why=one_line(why))
    return msgspec.structs.replace(comparison, own=tuple(own_figures(tasks, folders, comparison.rule)))


def with_fronts(comparison: Comparison, folders: Sequence[Path]) -> Comparison:
    """The comparison with its Pareto fronts. Seconds make none: they are the machine's as much as the agent's."""
    points = [
        cost_point(run.label, RunRecords(folder).decoded(decode_light), comparison.rule)
        for run, folder in zip(comparison.runs, folders, strict=True)
    ]
    fronts = (pareto_front(points, "calls"), pareto_front(points, "tokens"))
    return msgspec.structs.replace(comparison, fronts=fronts)
