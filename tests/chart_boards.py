"""Boards drawn by a random generator, for the tests of charts: all figures that an entry can have."""

from __future__ import annotations

import random
from collections.abc import Sequence

from evalkit.analysis.board import Board, Boards, Entry
from evalkit.analysis.budget import BudgetCurve, Point
from evalkit.analysis.counterfactual import Arbitration, Cells
from evalkit.analysis.effect import Difference
from evalkit.analysis.figure import Figure
from evalkit.analysis.fronts import fronts_of
from evalkit.analysis.need import Corrected
from evalkit.baselines import Published, published
from evalkit.records import Rule
from evalkit.stats import wilson
from evalkit.task import Metric

ROWS = 200
CATEGORIES = ("counting", "reading", "geometry")
NONE = Figure(why="nobody measured it")

HOSTILE = (
    "<script>alert(1)</script>",
    "$\\frac{1}{0}$ ${",
    "a" * 500,
    "\N{GRINNING FACE} \u6a21\u578b \U0001f9ff model",
    "line one\nline two\r\x00\x1b[31m",
    "half a pair \ud83d, left \u202egnirts",
    "]]> & \"quoted\" 'name' <!-- -- -->",
    "",
    "e\u0301\u0301\u0301\u0301 \u0639\u0631\u0628\u064a",
    "../../etc/passwd",
)


def share(count: int, n: int) -> Figure:
    """A share with Wilson's interval."""
    low, high = wilson(count, n)
    return Figure(value=count / n, low=low, high=high, n=n, count=count, method="wilson")


def about(value: float, width: float) -> Figure:
    """A mean with an interval."""
    return Figure(value=value, low=max(0.0, value - width), high=value + width, n=ROWS)


def entry(run: str, seed: int = 0, *, model: str | None = None, categories: Sequence[str] = CATEGORIES) -> Entry:
    """A run with every figure."""
    draw = random.Random(seed)
    errors = draw.randrange(6)
    scored = ROWS - errors
    right = draw.randrange(40, scored - 10)
    calls = [draw.choice((0, 0, 1, 1, 2, 3)) for _ in range(scored)]
    called = sum(count > 0 for count in calls)
    return Entry(
        run=run,
        folder=f"runs/{seed}",
        model=run if model is None else model,
        task="drawn",
        engine="scripted",
        created="2026-01-01T00:00:00Z",
        live=False,
        done=ROWS,
        expected=ROWS,
        accuracy=share(right, scored),
        accuracy_expected=share(right, ROWS),
        tool_rate=share(called, scored),
        calls=about(sum(calls) / scored, 0.05),
        p50=about(draw.uniform(0.5, 8.0), 0.2),
        p95=about(9.0, 1.0),
        tokens_out=about(draw.uniform(100, 900), 20),
        outcomes=_outcomes(draw, right, scored, errors),
        categories={name: share(draw.randrange(5, 60), 60) for name in categories},
        category_tool_rates={name: share(draw.randrange(61), 60) for name in categories},
        call_counts={count: calls.count(count) for count in sorted(set(calls))},
        latency_parts={
            "model": draw.uniform(1, 4),
            "queue": draw.uniform(0, 1),
            "tool": draw.uniform(0, 2),
            "judge": 0.1,
        },
        need=_need(draw, called, scored),
        budgets=_budgets(draw, right, scored),
        own=(*_wemath(draw), *_hrbench(draw)),
    )


def board(entries: Sequence[Entry], task: str = "drawn", figures: Sequence[Published] | None = None) -> Board:
    """A board of these runs beside V*Bench's published figures."""
    ordered = sorted(entries, key=lambda one: -(one.accuracy.value or 0.0))
    beside = [one for one in published().figures if one.task == "vstar"] if figures is None else figures
    return Board(
        task=task,
        title=task.title(),
        rule=Rule.STRICT,
        entries=tuple(ordered),
        published=tuple(beside),
        fronts=fronts_of(ordered),
    )


def boards(*some: Board) -> Boards:
    """A report of these boards."""
    return Boards(schema=1, evalkit="0", made="2026-01-01T00:00:00Z", boards=some)


def bare(run: str, accuracy: float | None = None) -> Entry:
    """A run of which at most the accuracy is known."""
    found = Figure(why="no row has a score") if accuracy is None else Figure(value=accuracy, n=10)
    return Entry(
        run=run,
        folder=run,
        model=run,
        task="drawn",
        engine="imported",
        created="",
        live=False,
        done=0,
        expected=0,
        accuracy=found,
        accuracy_expected=found,
    )


def _outcomes(draw: random.Random, right: int, scored: int, errors: int) -> dict[str, int]:
    limits = draw.randrange(1, 5)
    found = {"correct": right, "incorrect": scored - right - limits - 2, "unparsed": 2, "limit_turns": limits}
    return found | ({"engine_error": errors} if errors else {})


def _need(draw: random.Random, called: int, scored: int) -> Arbitration:
    none = Corrected(raw=NONE, corrected=NONE)
    return Arbitration(
        pairs=scored,
        called=_cells(draw, called),
        abstained=_cells(draw, scored - called),
        shares={},
        missed_rate=none,
        difference=Difference(raw=NONE, corrected=NONE),
        need=(),
    )


def _cells(draw: random.Random, n: int) -> Cells:
    cuts = sorted(draw.randrange(n + 1) for _ in range(3))
    return Cells(kept=cuts[0], gain=cuts[1] - cuts[0], harm=cuts[2] - cuts[1], lost=n - cuts[2])


def _budgets(draw: random.Random, right: int, scored: int) -> tuple[BudgetCurve, ...]:
    def curve(unit: str, budgets: Sequence[float], *, forced: bool = False) -> BudgetCurve:
        counts = [*sorted(draw.randrange(right + 1) for _ in budgets[:-1]), right]
        points = tuple(
            Point(budget=budget, accuracy=share(count, scored)) for budget, count in zip(budgets, counts, strict=True)
        )
        return BudgetCurve(unit=unit, forced=forced, points=points, upto=budgets[-1], n=scored)  # type: ignore[arg-type]

    return (
        curve("calls", [0.0, 1.0, 2.0, 3.0]),
        curve("calls", [0.0, 1.0, 2.0, 3.0], forced=True),
        curve("tokens", [float(k) for k in range(0, 2001, 100)]),
        curve("seconds", [12.5 * k / 20 for k in range(21)]),
    )


def _wemath(draw: random.Random) -> tuple[Metric, ...]:
    cuts = sorted(draw.randrange(1, 60) for _ in range(3))
    kinds = {"ik": cuts[0], "ig": cuts[1] - cuts[0], "cm_strict": cuts[2] - cuts[1], "rm_strict": 60 - cuts[2]}
    found = []
    for name, count in kinds.items():
        n = kinds["cm_strict"] + kinds["rm_strict"] if name == "rm_strict" else 60
        found.append(Metric(name=name, value=count / n, n=n, count=count))
    score = kinds["cm_strict"] + kinds["ig"] / 2
    return (*found, Metric(name="score_strict", value=score / 60, n=60, count=score))


def _hrbench(draw: random.Random) -> tuple[Metric, ...]:
    cycles = [draw.randrange(30, 50) for _ in range(4)]
    every = draw.randrange(10, min(cycles))
    return (
        Metric(name="overall", value=sum(cycles) / 200, n=200, count=sum(cycles)),
        Metric(name="all_four", value=every / 50, n=50, count=every),
        *(Metric(name=f"cycle.{k}", value=count / 50, n=50, count=count) for k, count in enumerate(cycles)),
    )
