"""`evalkit report`: leaderboards of runs beside published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs
from evalkit.cli._remote import run_folder
from evalkit.records import Rule

_FILES = "What is written (without any of these the leaderboards are printed)"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report")(report)


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(parser=run_folder, help="Run folders, or folders of runs.", show_default=False),
    ],
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            rich_help_panel=_FILES,
            help="One offline page with all in it; a folder (a name without .html) holds data of any size beside it.",
        ),
    ] = None,
    md: Annotated[
        str | None,
        typer.Option("--md", metavar="FILE", rich_help_panel=_FILES, help="Markdown for a pull request; - for stdout."),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE", rich_help_panel=_FILES, help="One row per figure; - for stdout."),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", rich_help_panel=_FILES, help="All figures; - for stdout."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", rich_help_panel=_FILES, help="The charts by themselves, as SVG and PDF."),
    ] = None,
    trajectories: Annotated[
        str | None,
        typer.Option(
            metavar="all|failures|N",
            help="Which trajectories of each run the page holds (default: 50 that show each kind).",
        ),
    ] = None,
    rule: Annotated[Rule, typer.Option(help="Whose verdicts count.")] = Rule.STRICT,
    task_dir: TaskDirs = None,
) -> None:
    """Show runs side by side, with intervals, beside what others publish; as a page, Markdown, or data.

    Folders that cannot be read are named and left out.
    """
    from evalkit.cli._console import Console, plain
    from evalkit.cli._report_files import Wanted, read_report, write_outputs

    wanted = Wanted.of(html=html, md=md, csv=csv, json=json, figures=figures, trajectories=trajectories)
    made = read_report(runs, rule, wanted, task_dir or ())
    errors = Console(stderr=True)
    for one in made.boards.unreadable:
        errors.print(f"[yellow]warning:[/yellow] {plain(one.folder)} is left out: {plain(one.why)}", soft_wrap=True)
    if not wanted.any:
        from evalkit.cli._board_tables import show_boards

        show_boards(Console(), made.boards)
        return
    # what goes to stdout is data, and nothing else may go there with it
    console = errors if wanted.stdout else Console()
    for line in write_outputs(made, wanted):
        console.print(line, markup=False, soft_wrap=True)
