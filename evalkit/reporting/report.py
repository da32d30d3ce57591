"""A report of several runs: all that its page, its Markdown and its exports are made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from evalkit.analysis.board import Boards
from evalkit.analysis.boards import TaskOf, make_boards
from evalkit.analysis.row_index import RowIndex
from evalkit.records import Rule
from evalkit.reporting.charts import Chart, charts_of
from evalkit.reporting.trajectories import Wanted, choose_together

TRAJECTORIES = 50
"""Of each run, in full, where nobody asks for another number."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a report shows. Trajectories are read from the run folders when it is written.

    Attributes:
        boards: the figures.
        indexes: the rows of each run, in the order of the boards' entries.
        charts: by benchmark.
        trajectories: which were asked for.
        rows: these, as row numbers of each run, in order of importance.
    """

    boards: Boards
    indexes: tuple[RowIndex, ...] = ()
    charts: dict[str, tuple[Chart, ...]] = {}
    trajectories: Wanted = TRAJECTORIES
    rows: tuple[list[int], ...] = ()


def make_report(
    folders: Sequence[Path],
    rule: Rule = Rule.STRICT,
    *,
    trajectories: Wanted = TRAJECTORIES,
    allowed_errors: float = 0.01,
    task_of: TaskOf | None = None,
    processes: int | None = None,
) -> Report:
    """Read runs and draw their charts. What cannot be read is named in `Boards.unreadable`, and the rest is shown.

    Args:
        folders: run folders.
        rule: whose verdicts the figures rest on.
        trajectories: "all", "failures" or how many of each run are shown in full.
        allowed_errors: share of error rows above which a run is marked.
        task_of: opens a run's benchmark to ask its own figures; see `make_boards`.
        processes: readers; None for one per processor.
    """
    boards, indexes = make_boards(folders, rule, allowed_errors=allowed_errors, task_of=task_of, processes=processes)
    return Report(
        boards=boards,
        indexes=indexes,
        charts={board.task: charts_of(board) for board in boards.boards},
        trajectories=trajectories,
        rows=choose_together(indexes, trajectories),
    )
