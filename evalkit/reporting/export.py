"""Boards for a notebook: one row per figure as CSV, everything as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from evalkit.analysis.board import Board, Boards, Entry
from evalkit.analysis.counterfactual import Arbitration
from evalkit.analysis.figure import Figure
from evalkit.analysis.need import Corrected
from evalkit.baselines import Published
from evalkit.reporting.cells import csv_cell, json_text

COLUMNS = (
    "task", "rule", "run", "model", "kind", "figure", "part", "value", "low", "high", "n", "count", "unit",
    "method", "source", "regime", "why", "note",
)  # fmt: skip
"""`part` is what a figure is of: a category, a verdict, a number of calls, a budget; empty for the whole run."""
MEASURED = "measured"
PUBLISHED = "published"

_FIGURES = {
    "accuracy": "share",
    "accuracy_expected": "share",
    "tool_rate": "share",
    "tool_rate_ok": "share",
    "calls": "calls",
    "efficiency": "share",
    "p50": "seconds",
    "p95": "seconds",
    "isolated_p50": "seconds",
    "isolated_p95": "seconds",
    "tokens_in": "tokens",
    "tokens_out": "tokens",
    "tokens_image": "tokens",
}
_NEED = ("need", "redundant_rate", "redundant_share", "precision", "recall", "f1")

Row = dict[str, Any]


def boards_json(boards: Boards) -> str:
    """The fields of `evalkit.analysis.board.Boards`."""
    try:
        return json_text(msgspec.json.format(msgspec.json.encode(boards), indent=2).decode()) + "\n"
    except UnicodeEncodeError:
        # a folder's name that is not UTF-8 is written as JSON's own escapes
        return json.dumps(msgspec.to_builtins(boards, str_keys=True), indent=2) + "\n"


def boards_csv(boards: Boards) -> str:
    """One row per run, benchmark and figure; empty where there is nothing.

    Shares are 0..1, published ones too. Text that a spreadsheet would take for a formula has a quote before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for board in boards.boards:
        for row in _rows(board):
            writer.writerow([csv_cell(row.get(name)) for name in COLUMNS])
    return out.getvalue()


def _rows(board: Board) -> Iterator[Row]:
    whose: Row = {"task": board.task, "rule": str(board.rule)}
    for entry in board.entries:
        run = {**whose, "run": entry.run, "model": entry.model, "kind": MEASURED, "source": entry.folder}
        for row in _measured(entry):
            yield run | row
    for figure in board.published:
        yield whose | _published(figure)


def _measured(entry: Entry) -> Iterator[Row]:
    """Every figure of a run."""
    yield {"figure": "done", "value": entry.done, "n": entry.expected, "unit": "count"}
    for name, unit in _FIGURES.items():
        yield _row(name, getattr(entry, name), unit)
    if entry.other_rule is not None:
        yield _row("accuracy_other_rule", entry.other_rule)
    if entry.cost is not None:
        yield _row("cost", entry.cost, "currency")
    for verdict, count in entry.outcomes.items():
        yield {"figure": "outcome", "part": verdict, "value": count, "n": entry.done, "unit": "count"}
    for category, figure in entry.categories.items():
        yield _row("accuracy", figure, part=category)
    for category, figure in entry.category_tool_rates.items():
        yield _row("tool_rate", figure, part=category)
    for calls, count in entry.call_counts.items():
        yield {"figure": "rows_by_calls", "part": str(calls), "value": count, "n": entry.done, "unit": "count"}
    for part, seconds in entry.latency_parts.items():
        yield {"figure": "seconds_mean", "part": part, "value": seconds, "unit": "seconds"}
    if entry.need is not None:
        yield from _need(entry.need)
    for curve in entry.budgets:
        name = f"budget.{curve.unit}{'.forced' if curve.forced else ''}"
        for point in curve.points:
            yield _row(name, point.accuracy, part=f"{point.budget:g}")
        yield _row(f"{name}.area", curve.area, part=f"{curve.upto:g}")
    for metric in entry.own:
        yield {
            "figure": f"own.{metric.name}",
            "value": metric.value,
            "n": metric.n,
            "count": metric.count,
            "unit": metric.unit,
            "note": metric.note,
        }


def _need(table: Arbitration) -> Iterator[Row]:
    """With tools against without; `part` is the way of counting the answers without."""
    for name, cells in (("called", table.called), ("abstained", table.abstained)):
        for cell, count in msgspec.structs.asdict(cells).items():
            yield {"figure": f"pairs.{name}", "part": cell, "value": count, "n": table.pairs, "unit": "count"}
    for name, figure in table.shares.items():
        yield _row(f"pairs.{name}", figure)
    yield from _corrected("missed_rate", table.missed_rate)
    for figures in table.need:
        for name in _NEED:
            yield from _corrected(name, getattr(figures, name), figures.counting, figures.correction)
    yield _row("with_minus_without", table.difference.raw)
    yield _row("with_minus_without.corrected", table.difference.corrected)


def _corrected(name: str, both: Corrected, part: str = "", note: str = "") -> Iterator[Row]:
    yield _row(name, both.raw, part=part)
    yield {**_row(f"{name}.corrected", both.corrected, part=part), "note": note}


def _row(name: str, figure: Figure, unit: str = "share", part: str = "") -> Row:
    return {"figure": name, "part": part, "unit": unit, **msgspec.structs.asdict(figure)}


def _published(figure: Published) -> Row:
    """A published figure; one in percent as a share, so that it compares with a measured one."""
    name, _, part = figure.metric.partition(".")
    percent = figure.unit == "%"
    return {
        "model": figure.model,
        "kind": PUBLISHED,
        "figure": name,
        "part": part,
        # as many digits as printed: a division must not invent more
        "value": round(figure.value / 100, 6) if percent else figure.value,
        "unit": "share" if percent else figure.unit,
        "source": ", ".join(figure.sources),
        "regime": figure.regime,
        "note": "; ".join(filter(None, (figure.variant, figure.note))),
    }
