"""`evalkit view`: a folder of runs in the browser, live while a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs
from evalkit.cli._remote import run_folder
from evalkit.records import Rule


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("view")(view)


def view(
    folder: Annotated[
        Path, typer.Argument(parser=run_folder, help="A folder of runs, or one run.", metavar="[DIR|URL]")
    ] = Path("runs"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    rule: Annotated[Rule, typer.Option(help="Whose verdicts count.")] = Rule.STRICT,
    task_dir: TaskDirs = None,
) -> None:
    """Show the report of a folder of runs in the browser; it follows runs that are going on. Ctrl-C ends it.

    Only this machine can reach it, and only with the token in the address that it prints.
    """
    import asyncio
    import contextlib

    from evalkit.analysis.task_opener import TaskOpener
    from evalkit.cli._console import Console, plain
    from evalkit.content import find_tasks
    from evalkit.errors import EvalkitError
    from evalkit.viewer import Shelf, serve
    from evalkit.viewer.render import renderer
    from evalkit.viewer.way import way_to

    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise EvalkitError(f"{folder} {what}; name the folder that your runs are in")
    # a folder without a task is said before anything else
    find_tasks(task_dir or ())
    console, errors = Console(), Console(stderr=True)

    opened = contextlib.ExitStack()

    def ready(address: str) -> None:
        console.print(address, markup=False, soft_wrap=True)
        if open_:
            import webbrowser

            webbrowser.open(opened.enter_context(way_to(address)).as_uri())

    def say(line: str) -> None:
        errors.print(plain(line, 600), soft_wrap=True)

    task_of = TaskOpener(tuple(task_dir or ()))
    with opened:
        asyncio.run(serve(Shelf(folder, renderer(rule, task_of), say), port, ready))
