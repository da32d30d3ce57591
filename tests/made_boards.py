"""Boards made of invented figures, for what shows or writes them."""

from __future__ import annotations

from typing import Any

from evalkit.analysis.board import SCHEMA, Board, Boards, Entry, Headline, Mark
from evalkit.analysis.config_diff import ASKED, ConfigDifference
from evalkit.analysis.counterfactual import Arbitration, counterfactual
from evalkit.analysis.figure import Figure
from evalkit.baselines import Published
from evalkit.records import DIRECT, Rule
from tests.run_folders import row


def share(count: int, n: int) -> Figure:
    """A share with some interval around it."""
    value = count / n
    return Figure(value=value, low=value - 0.05, high=value + 0.05, n=n, count=count, method="wilson")


def need() -> Arbitration:
    """Of twenty samples ten were called for; six of those are right without tools too."""
    choices = {letter: letter for letter in "ABCD"}
    rows = [row(i, i % 4 != 0, calls=int(i < 10), choices=choices) for i in range(20)]
    rows += [row(i, i < 6, arm=DIRECT, choices=choices) for i in range(20)]
    found = counterfactual(rows)
    assert found is not None
    return found.overall


def entry(run: str, right: int = 80, **more: Any) -> Entry:
    """A run of 100 rows."""
    given = {
        "model": run,
        "folder": f"runs/{run}",
        "tool_rate": share(40, 100),
        "calls": Figure(value=0.5, n=100),
        "p50": Figure(value=1.25, n=100),
        "p95": Figure(value=9.5, n=100),
        "tokens_out": Figure(value=210.0, n=100),
        "outcomes": {"correct": right, "incorrect": 98 - right, "engine_error": 2},
        "categories": {"easy": share(right, 100)},
        **more,
    }
    return Entry(
        run=run,
        task="numbers",
        engine="scripted",
        created="2026-01-01T00:00:00Z",
        live=False,
        done=100,
        expected=100,
        accuracy=share(right, 98),
        accuracy_expected=share(right, 100),
        **given,
    )


def published(model: str = "Other-7B", value: float = 86.4, source: str = "paper", **more: Any) -> Published:
    """One published accuracy."""
    given: dict[str, Any] = {"kind": "base", "task": "numbers", "metric": "accuracy", "unit": "%", **more}
    return Published(model=model, value=value, sources=(source,), regime="greedy", **given)


def board(*entries: Entry, task: str = "numbers", **more: Any) -> Board:
    """One benchmark of these runs."""
    given: dict[str, Any] = {
        "title": task,
        "headlines": (Headline(kind="best", text="a is the most accurate.", runs=("a",)),),
        "config": (
            ConfigDifference(
                key="sampling.temperature", group=ASKED, values=tuple(float(i) for i in range(len(entries)))
            ),
        )
        if len(entries) > 1
        else (),
        "published": (published(), published(value=84.1, source="blog")),
        **more,
    }
    return Board(task=task, rule=Rule.STRICT, entries=entries, **given)


def boards(*found: Board, **more: Any) -> Boards:
    """All of them; one with two runs where none is given."""
    default = board(
        entry("a", 90, need=need(), redundant=need().need[0].redundant_rate),
        entry("b", 80, marks=(Mark(kind="errors", text="12 % of rows are errors", serious=True),)),
    )
    return Boards(schema=SCHEMA, evalkit="0.1.0", made="2026-01-01T00:00:00Z", boards=found or (default,), **more)
