"""`evalkit merge`: shards into one run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs
from evalkit.cli._remote import out_folder, run_folder
from evalkit.records import Rule


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("merge")(merge)


def merge(
    shards: Annotated[
        list[Path],
        typer.Argument(
            parser=run_folder,
            help="Run folders of all shards, or folders of them.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(parser=out_folder, metavar="DIR|URL", help="Folder of run folders.")] = Path(
        "runs"
    ),
    run_dir: Annotated[
        Path | None,
        typer.Option(parser=out_folder, metavar="DIR|URL", help="Exactly this run folder, which is not there yet."),
    ] = None,
    rule: Annotated[Rule, typer.Option(help="Whose verdicts come first; both are stored.")] = Rule.STRICT,
    allowed_errors: Annotated[
        float, typer.Option(min=0, max=1, help="Share of error rows above which to exit with 3.")
    ] = 0.01,
    task_dir: TaskDirs = None,
) -> None:
    """Join the shards of a run (evalkit run --shard I/N) into one run folder, as if it had never been cut.

    Shards of other settings, missing, unfinished and doubled ones are refused. The shards stay as they are.
    """
    from evalkit.cli._merge import merge_shards

    if code := merge_shards(shards, out, run_dir, tuple(task_dir or ()), rule, allowed_errors):
        raise typer.Exit(int(code))
