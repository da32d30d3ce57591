"""`evalkit tasks`: which benchmarks are known, and where their rows come from."""

from __future__ import annotations

from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("tasks")(tasks)


def tasks(
    name: Annotated[str, typer.Argument(help="Show this task's card and options.")] = "",
    task_dir: TaskDirs = None,
    source: Annotated[
        str, typer.Option(help="Whose tasks: evalkit, or lmms for those of the installed lmms-eval.")
    ] = "evalkit",
) -> None:
    """List the tasks."""
    if source == "lmms":
        from evalkit.cli._lmms_tasks import show_lmms

        show_lmms(name)
        return
    if source != "evalkit":
        from evalkit.errors import unknown

        raise unknown("source of tasks", source, ("evalkit", "lmms"), "evalkit tasks --help")
    from rich.table import Table

    from evalkit.cli._console import Console, plain
    from evalkit.content import find_tasks, task_named

    console = Console()
    found = find_tasks(task_dir or ())
    if name:
        entry = task_named(name, found)
        assert entry.kind is not None
        card = entry.folder / "README.md"
        console.print(card.read_text("utf-8") if card.is_file() else entry.kind.summary, markup=False)
        for option, default in entry.kind.options.items():
            console.print(f"-T {option}={default}", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "data", "from", "summary"):
        table.add_column(heading, overflow="fold")
    for entry in found.values():
        if entry.kind is None:
            table.add_row(plain(entry.name), "", plain(entry.origin), plain(f"cannot be loaded: {entry.error}"))
            continue
        hub = f"hub {entry.kind.hub.id}" if entry.kind.hub else entry.kind.default_source()
        table.add_row(*map(plain, (entry.name, hub, entry.origin, entry.kind.summary)))
    console.print(table)
