"""`evalkit show`: a run's rows, or one trajectory turn by turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._remote import run_folder
from evalkit.records import AGENT, Rule

_ROWS = "Which rows"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("show")(show)


def show(
    run: Annotated[Path, typer.Argument(parser=run_folder, help="Run folder.", show_default=False)],
    sample: Annotated[str, typer.Argument(help="Id of the sample whose trajectory to show.", show_default=False)] = "",
    verdict: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_ROWS, help="Only these verdicts; error stands for all errors (repeatable)."),
    ] = None,
    category: Annotated[str | None, typer.Option(rich_help_panel=_ROWS, help="Only this category.")] = None,
    called: Annotated[
        bool | None,
        typer.Option("--called/--not-called", rich_help_panel=_ROWS, help="Only rows with, or without, a call."),
    ] = None,
    arm: Annotated[
        str | None, typer.Option(help=f"Which arm's trajectories, or all (default: {AGENT}).", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(rich_help_panel=_ROWS, min=0, help="Rows listed; 0 lists all.")] = 40,
    rule: Annotated[Rule, typer.Option(help="Whose verdicts a list shows; a trajectory shows both.")] = Rule.STRICT,
    full: Annotated[bool, typer.Option("--full", help="Do not cut long texts.")] = False,
) -> None:
    """List a run's rows, or show one sample's trajectory: texts, calls, observations, images, times, verdict."""
    from evalkit.cli._console import Console
    from evalkit.errors import EvalkitError

    if not sample:
        from evalkit.cli._show_rows import RowFilter, show_rows

        wanted = RowFilter(verdicts=tuple(verdict or ()), category=category, called=called, arm=arm or AGENT)
        show_rows(Console(), run, wanted, limit, rule)
        return
    given = {"--verdict": verdict, "--category": category, "--called": called}
    if odd := [name for name, value in given.items() if value is not None]:
        raise EvalkitError(f"{', '.join(odd)} choose rows of a list; with a sample's id leave them out")
    from evalkit.cli._show_sample import show_sample

    show_sample(Console(), run, sample, arm, full=full)
