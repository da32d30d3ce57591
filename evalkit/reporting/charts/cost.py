"""Accuracy against what it costs: seconds, and where those are not known tokens and calls; with the Pareto front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from evalkit.analysis.board import Board, Entry
from evalkit.analysis.budget import Unit
from evalkit.analysis.figure import Figure
from evalkit.analysis.pareto import Front
from evalkit.reporting.charts.axis import number_axis, share_axis
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.legend import Key
from evalkit.reporting.charts.runs import Chosen, Run, Runs
from evalkit.reporting.charts.scatter import MEASURED, Dot, scatter
from evalkit.reporting.charts.style import Style
from evalkit.reporting.charts.words import figure_cells, listed, said, sentences

_FRONT = Style("accent", "", (0, (4, 2)))


class _Cost(NamedTuple):
    """One cost: its name in a front, the entry's figure, and what they are called."""

    cost: Unit
    figure: str
    title: str
    axis: str


_COSTS = (
    _Cost("seconds", "p50", "Accuracy against latency", "Median seconds per sample, as run"),
    _Cost("tokens", "tokens_out", "Accuracy against tokens", "Generated tokens per sample, mean"),
    _Cost("calls", "calls", "Accuracy against calls", "Tool calls per sample, mean"),
)


def cost_charts(board: Board, runs: Runs) -> Iterator[Drawn]:
    """A chart for each cost that places a run which no chart before it does; one run alone makes none."""
    placed: set[str] = set()
    for cost in _COSTS:
        able = {entry.run for entry in board.entries if _has(entry, cost)}
        if len(able) > 1 and able - placed:
            placed |= able
            yield _chart(board, runs, cost)


def _has(entry: Entry, cost: _Cost) -> bool:
    return entry.accuracy.value is not None and _price(entry, cost).value is not None


def _price(entry: Entry, cost: _Cost) -> Figure:
    found = getattr(entry, cost.figure)
    assert isinstance(found, Figure)
    return found


def _chart(board: Board, runs: Runs, cost: _Cost) -> Drawn:
    (front,) = (one for one in board.fronts if one.cost == cost.cost)
    best = [point.name for point in front.best]
    chosen = runs.with_data(lambda entry: _has(entry, cost), f"known {cost.cost}", best)
    dots = [_dot(run, cost) for run in chosen.runs]
    keys = [MEASURED, Key("Pareto front", _FRONT, "line")]
    y = share_axis("Accuracy", [dot.y for dot in dots])
    drawing, _ = scatter(dots, number_axis(cost.axis, [dot.x for dot in dots]), y, keys, _steps(front, cost))
    return Drawn(
        name=f"accuracy-{cost.cost}",
        title=cost.title,
        caption=sentences(
            f"Runs on the front: no other is as accurate with as few {cost.cost}, and better in one of the two.",
            "Estimates are compared as they are; intervals that overlap do not tell runs apart.",
            chosen.left_out,
        ),
        alt=f"On the front: {listed([_name(chosen, run) for run in best], 12)}. " + "; ".join(dot.hint for dot in dots),
        data=tuple(_row(run, cost, front) for run in chosen.runs),
        drawing=drawing,
    )


def _steps(front: Front, cost: _Cost) -> list[tuple[float, float]]:
    """The best accuracy at each cost."""
    corners: list[tuple[float, float]] = []
    for point in front.best:
        x, y = getattr(point, cost.cost), point.accuracy
        assert y is not None
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def _dot(run: Run, cost: _Cost) -> Dot:
    price = _price(run.entry, cost)
    hint = f"{run.name}: accuracy {said(run.entry.accuracy)}; {cost.axis[0].lower()}{cost.axis[1:]} {price.value:.4g}"
    return Dot(price, run.entry.accuracy, run.name, run.look, hint)


def _row(run: Run, cost: _Cost, front: Front) -> Row:
    return {
        "name": run.name,
        "run": run.entry.run,
        **figure_cells(cost.figure, _price(run.entry, cost)),
        **figure_cells("accuracy", run.entry.accuracy),
        "beaten_by": front.beaten.get(run.entry.run),
    }


def _name(chosen: Chosen, run: str) -> str:
    return next((one.name for one in chosen.runs if one.entry.run == run), run)
