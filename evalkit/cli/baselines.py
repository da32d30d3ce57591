"""`evalkit baselines`: published figures, each with its source."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("baselines")(baselines)


def baselines(
    task: Annotated[str, typer.Option("--task", "-t", help="Only this benchmark.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="Only models with this in their name.")] = "",
) -> None:
    """List published figures of other models. They are means: no per-sample record stands behind them."""
    from rich.table import Table

    from evalkit.baselines import published
    from evalkit.cli._console import Console, plain
    from evalkit.errors import unknown

    found = published()
    tasks = {figure.task for figure in found.figures}
    if task and task not in tasks:
        raise unknown("task", task, tasks, "evalkit baselines")
    rows = [f for f in found.figures if task in ("", f.task) and model.casefold() in f.model.casefold()]
    if not rows:
        raise unknown("model", model, {figure.model for figure in found.figures}, "evalkit baselines")
    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "task", "metric", "value", "sampling", "source", "note"):
        table.add_column(heading, justify="right" if heading == "value" else "left", overflow="fold")
    for f in sorted(rows, key=lambda f: (f.task, f.metric, -f.value)):
        value = f"{f.value:.1f} %" if f.unit == "%" else f"{f.value:g} {f.unit}"
        table.add_row(*map(plain, (f.model, f.task, f.metric, value, f.regime, ", ".join(f.sources), f.note)))
    console.print(table)
    used = dict.fromkeys(name for f in rows for name in f.sources)
    for name in used:
        source = found.sources[name]
        console.print(f"{name}: {source.title}, {source.where} at {source.at}", markup=False, soft_wrap=True)
    for variant in dict.fromkeys(f"{f.task}, {f.metric}: {f.variant}" for f in rows if f.variant):
        console.print(variant, markup=False, soft_wrap=True)
