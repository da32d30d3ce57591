"""All charts of a benchmark, for a page or as files."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from evalkit.analysis.board import Board, Boards
from evalkit.errors import InfrastructureError, one_line
from evalkit.reporting.charts.arbitration import arbitration_chart
from evalkit.reporting.charts.budgets import budget_chart
from evalkit.reporting.charts.calls import call_chart
from evalkit.reporting.charts.categories import category_chart
from evalkit.reporting.charts.chart import Chart
from evalkit.reporting.charts.cost import cost_charts
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.hrbench import cycle_chart
from evalkit.reporting.charts.latency import latency_chart
from evalkit.reporting.charts.outcomes import outcome_chart
from evalkit.reporting.charts.runs import Runs
from evalkit.reporting.charts.style import drawing_rules
from evalkit.reporting.charts.svg import file_svg, page_svg
from evalkit.reporting.charts.tool_rate import tool_rate_chart
from evalkit.reporting.charts.wemath import wemath_chart

_NO_DATES = {"CreationDate": None, "Creator": None, "Producer": None}
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def charts_of(board: Board) -> tuple[Chart, ...]:
    """The charts that the benchmark has data for; their bytes depend on nothing else."""
    with drawing_rules():
        return tuple(
            Chart(
                name=one.name,
                title=one.title,
                caption=one.caption,
                alt=one.alt,
                svg=page_svg(one.drawing, _prefix(board, one), one.title, one.alt),
                data=one.data,
            )
            for one in _drawn(board)
        )


def save_figures(boards: Boards, folder: Path) -> list[Path]:
    """Writes every chart as SVG and as PDF, named by benchmark and chart: light colours, no dates.

    Args:
        boards: what to draw.
        folder: made where it is not there; files of the same names are replaced.

    Returns:
        The files, in the order of the boards.

    Raises:
        InfrastructureError: the folder or a file in it cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with drawing_rules():
            for board in boards.boards:
                for one in _drawn(board):
                    stem = folder / _prefix(board, one)
                    svg, pdf = stem.with_suffix(".svg"), stem.with_suffix(".pdf")
                    svg.write_text(file_svg(one.drawing, stem.name, one.title, one.alt), "utf-8")
                    one.drawing.figure.savefig(pdf, format="pdf", metadata=_NO_DATES)
                    written += [svg, pdf]
    except OSError as error:
        where, why = one_line(error.filename or folder), error.strerror or type(error).__name__
        raise InfrastructureError(
            f"figures: cannot write {where}: {one_line(why)}; name a folder you may write to"
        ) from error
    return written


def _prefix(board: Board, one: Drawn) -> str:
    """Name of the file, and start of the ids; no other board of a report has it."""
    task = _UNSAFE.sub("_", board.task)
    if task != board.task:
        task += f"_{zlib.crc32(board.task.encode('utf-8', 'replace')):08x}"
    return f"{task}-{one.name}"


def _drawn(board: Board) -> Iterator[Drawn]:
    """One by one, so that only one figure is in memory."""
    runs = Runs(board)
    first = tool_rate_chart(board, runs)
    if first is not None:
        yield first
    yield from cost_charts(board, runs)
    for chart in _OTHERS:
        one = chart(board, runs)
        if one is not None:
            yield one


_OTHERS = (
    outcome_chart,
    category_chart,
    arbitration_chart,
    call_chart,
    budget_chart,
    latency_chart,
    wemath_chart,
    cycle_chart,
)
