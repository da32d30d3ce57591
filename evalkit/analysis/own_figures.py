"""The benchmark's own figures of several runs, side by side: no test, as they need not be means over rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from evalkit.errors import one_line
from evalkit.records import AGENT, Record, Rule
from evalkit.runs.run_records import RunRecords
from evalkit.task import Metric, Task

_OFFICIAL = "official."


class OwnFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, as the benchmark defines it, over each run's own rows.

    Attributes:
        name: the benchmark's.
        unit: "share" (0..1) or "count".
        values: one per run; None where it is not available.
        n: sizes of the denominators.
        notes: what a reader must know, or why it is not available.
    """

    name: str
    unit: str
    values: tuple[float | None, ...]
    n: tuple[int, ...]
    notes: tuple[str, ...]


def own_figures(tasks: Sequence[Task], folders: Sequence[Path], rule: Rule) -> list[OwnFigure]:
    """The figures that any of the runs has, in the benchmark's order.

    Args:
        tasks: the benchmark as each run had it.
        folders: the runs.
        rule: where the benchmark has figures by rule, only those of this one.
    """
    found = [
        {metric.name: metric for metric in task_metrics(task, RunRecords(folder), rule)}
        for task, folder in zip(tasks, folders, strict=True)
    ]
    names = dict.fromkeys(name for metrics in found for name in metrics)
    none = Metric(name="", value=None, n=0, note="this run has no such figure")
    rows = []
    for name in names:
        mine = [metrics.get(name, none) for metrics in found]
        rows.append(
            OwnFigure(
                name=name,
                unit=next(metrics[name].unit for metrics in found if name in metrics),
                values=tuple(metric.value for metric in mine),
                n=tuple(metric.n for metric in mine),
                notes=tuple(metric.note for metric in mine),
            )
        )
    return rows


def first_tries(records: Sequence[Record] | RunRecords) -> Sequence[Record]:
    """The agent's, one per sample, for a benchmark to make its figures of."""
    if isinstance(records, RunRecords):
        # they have the attributes of records
        return cast("Sequence[Record]", records.first_tries)
    return [record for record in records if record.arm == AGENT and record.repeat == 0]


def task_metrics(task: Task, records: Sequence[Record] | RunRecords, rule: Rule) -> tuple[Metric, ...]:
    """The benchmark's figures of one run, from the agent's first tries; one that says so where it fails."""
    try:
        metrics = tuple(task.metrics(first_tries(records)))
    except Exception as error:
        # a task's own figures may fail in any way; the others must not go with them
        why = f"task {task.name} failed: {type(error).__name__}: {one_line(error)}"
        metrics = (Metric(name="the task's own figures", value=None, n=0, note=why),)
    if any(metric.name.startswith(_OFFICIAL) for metric in metrics):
        metrics = tuple(m for m in metrics if m.name.startswith(_OFFICIAL) == (rule is Rule.OFFICIAL))
    return metrics
