"""Accuracy against tool rate: who calls its tools, and whether it pays (after figure 1 of arXiv 2604.08545)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.analysis.board import Board, Entry
from evalkit.analysis.figure import Figure
from evalkit.baselines import Published
from evalkit.reporting.charts.axis import share_axis
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.legend import Key
from evalkit.reporting.charts.runs import Run, Runs
from evalkit.reporting.charts.scatter import MEASURED, Dot, scatter
from evalkit.reporting.charts.style import Style
from evalkit.reporting.charts.words import figure_cells, listed, percent, said, sentences

PUBLISHED = Style("muted", "o", "-")


def tool_rate_chart(board: Board, runs: Runs) -> Drawn | None:
    """Measured runs with their intervals, and published models of which both figures are known."""
    chosen = runs.with_data(_has, "accuracy or tool rate")
    others = list(_published(board.published))
    if not chosen.runs:
        return None
    dots = [*map(_dot, chosen.runs), *(dot for dot, _ in others)]
    keys = [MEASURED]
    if others:
        keys.append(Key("published", PUBLISHED, "hollow"))
    x = share_axis("Rows with at least one tool call", [], whole=True)
    y = share_axis("Accuracy", [dot.y for dot in dots])
    drawing, unnamed = scatter(dots, x, y, keys)
    wider = sorted({str(row["task"]) for _, row in others} - {board.task})
    without = {one.model for one in board.published} - {str(row["name"]) for _, row in others}
    return Drawn(
        name="accuracy-tool-rate",
        title="Accuracy against tool rate",
        caption=sentences(
            "Up is right more often, left is fewer tool calls; the upper left corner is best.",
            "Published figures are means that nobody here has measured." if others else "",
            f"Published marks are of {listed(wider)}, of which this benchmark is a part." if wider else "",
            f"{len(without)} published models are not shown: their tool rate or accuracy is not published."
            if without
            else "",
            chosen.left_out,
            f"No room for the names of {listed(unnamed)}." if unnamed else "",
        ),
        alt="; ".join(
            f"{run.name}: accuracy {percent(run.entry.accuracy.value)}, tool rate {percent(run.entry.tool_rate.value)}"
            for run in chosen.runs
        ),
        data=(*(_row(run) for run in chosen.runs), *(row for _, row in others)),
        drawing=drawing,
    )


def _has(entry: Entry) -> bool:
    return entry.accuracy.value is not None and entry.tool_rate.value is not None


def _dot(run: Run) -> Dot:
    entry = run.entry
    hint = f"{run.name}: accuracy {said(entry.accuracy)}; tool rate {said(entry.tool_rate)}"
    return Dot(entry.tool_rate, entry.accuracy, run.name, run.look, hint)


def _row(run: Run) -> Row:
    return {
        "name": run.name,
        "run": run.entry.run,
        "kind": "measured",
        "task": run.entry.task,
        **figure_cells("tool_rate", run.entry.tool_rate),
        **figure_cells("accuracy", run.entry.accuracy),
        "source": None,
    }


def _published(figures: Sequence[Published]) -> Iterator[tuple[Dot, Row]]:
    """A mark for each tool rate and an accuracy of the same model: of the same source where there is one."""
    for rate in figures:
        if rate.metric != "tool_rate" or rate.unit != "%":
            continue
        same = [one for one in figures if (one.model, one.task, one.metric) == (rate.model, rate.task, "accuracy")]
        if not same:
            continue
        accuracy = next((one for one in same if set(one.sources) & set(rate.sources)), same[0])
        sources = "; ".join(
            [f"tool rate from {', '.join(rate.sources)}", f"accuracy from {', '.join(accuracy.sources)}"]
        )
        x, y = Figure(value=round(rate.value / 100, 9)), Figure(value=round(accuracy.value / 100, 9))
        hint = f"{rate.model}, published: accuracy {accuracy.value:g}%, tool rate {rate.value:g}% ({sources})"
        row: Row = {
            "name": rate.model,
            "run": None,
            "kind": "published",
            "task": rate.task,
            **figure_cells("tool_rate", x),
            **figure_cells("accuracy", y),
            "source": sources,
        }
        yield Dot(x, y, rate.model, PUBLISHED, hint, hollow=True), row
