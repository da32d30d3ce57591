"""A folder of runs as a page that asks the server for its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.analysis.board import Board
from evalkit.analysis.boards import TaskOf, make_boards
from evalkit.analysis.memory import Memory
from evalkit.analysis.row_index import RowIndex
from evalkit.records import Rule
from evalkit.reporting.charts import Chart, charts_of
from evalkit.reporting.page import Composer, Reach
from evalkit.reporting.page import Source as Place
from evalkit.reporting.page.blobs import as_json, for_page
from evalkit.reporting.page.room import readable
from evalkit.reporting.report import Report
from evalkit.reporting.trajectories import Album
from evalkit.viewer.shelf import Render
from evalkit.viewer.source import Gone, Page

_SCRIPTS = ("live.js",)
_NOTE = "All {:,} trajectories are in reach; they are read from the run folders one by one."


class Rendered:
    """A page and the data of its runs. Trajectories are read when they are asked for.

    Args:
        report: what is shown.
        version: of the runs.
    """

    def __init__(self, report: Report, version: str) -> None:
        rows = sum(len(index.ids) for index in report.indexes)
        reach = Reach([None] * len(report.indexes), _NOTE.format(rows))
        made = Composer(report).page(Place.SERVER, reach, version=version, more=_SCRIPTS)
        self.page = Page(version, made.html, made.policy)
        self._boards = report.boards
        self._indexes = {index.run: index for index in report.indexes}

    def data(self, kind: str, run: str, row: int) -> bytes:
        """A part as JSON, see `Source.data`."""
        if kind == "boards":
            return as_json(self._boards)
        index = self._index(run)
        if kind == "rows":
            return as_json(for_page(index))
        if row >= len(index.ids):
            raise Gone(f"{run} has no row {row}")
        return as_json(readable(index, [row], None, Album()))

    def _index(self, run: str) -> RowIndex:
        try:
            return self._indexes[run]
        except KeyError:
            raise Gone(f"there is no run {run} any more") from None


def renderer(rule: Rule, task_of: TaskOf | None) -> Render:
    """What makes the pages of a `Shelf`: runs that have not changed are not read, and their charts not drawn, again.

    Args:
        rule: whose verdicts the figures rest on.
        task_of: opens a run's benchmark, see `make_boards`.
    """
    memory: Memory[Any, Any] = Memory()
    drawn: dict[str, tuple[Board, tuple[Chart, ...]]] = {}

    def render(folders: Sequence[Path], version: str) -> Rendered:
        boards, indexes = make_boards(folders, rule, task_of=task_of, memory=memory)
        for board in boards.boards:
            if board.task not in drawn or drawn[board.task][0] != board:
                drawn[board.task] = (board, charts_of(board))
        charts = {board.task: drawn[board.task][1] for board in boards.boards}
        return Rendered(Report(boards=boards, indexes=indexes, charts=charts), version)

    return render
