"""`evalkit compare`: runs against a reference, sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs
from evalkit.cli._remote import run_without_images
from evalkit.records import Rule


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("compare")(compare)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=run_without_images,
            help="Run folders: the reference, then those to compare with it.",
        ),
    ],
    rule: Annotated[Rule, typer.Option(help="Whose verdicts count.")] = Rule.STRICT,
    allow_different: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-different",
            metavar="KEY",
            help="Pair although the runs differ in task, version or questions (repeatable); it is recorded.",
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON; - for the terminal.")
    ] = None,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write one row per figure; - for the terminal.")
    ] = None,
    md: Annotated[
        str | None,
        typer.Option("--md", metavar="FILE", help="Write a short table for a pull request; - for the terminal."),
    ] = None,
    task_dir: TaskDirs = None,
) -> None:
    """Compare runs of one task with the first: settings, paired differences with intervals, samples that flipped.

    Exits with 0 whatever the figures say.
    """
    from evalkit.analysis.compare import compare as compared
    from evalkit.cli._compare_files import WRITERS, write_file
    from evalkit.cli._compare_own import with_fronts, with_own
    from evalkit.cli._compare_tables import show_comparison
    from evalkit.cli._console import Console
    from evalkit.errors import EvalkitError

    wanted = {name: target for name, target in (("json", json), ("csv", csv), ("md", md)) if target}
    alone = [name for name, target in wanted.items() if target == "-"]
    if len(alone) > 1:
        raise EvalkitError(f"{' and '.join(f'--{name} -' for name in alone)}: only one can go to the terminal")
    comparison = with_own(compared(runs, rule, allow_different or ()), runs, task_dir or ())
    comparison = with_fronts(comparison, runs)
    for name, target in wanted.items():
        if target != "-":
            write_file(name, Path(target), WRITERS[name](comparison))
    if alone:
        typer.echo(WRITERS[alone[0]](comparison), nl=False)
        return
    console = Console()
    show_comparison(console, comparison)
    for name, target in wanted.items():
        console.print(f"{name}: {target}", markup=False, soft_wrap=True)
