"""`evalkit baseline save`: a run as one small file that later runs are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._remote import run_without_images


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(help="Archive a run as a baseline for `evalkit gate`.", no_args_is_help=True)
    # a group even with one command, so that `save` has to be written
    group.callback()(_group)
    group.command("save")(save)
    app.add_typer(group, name="baseline")


def _group() -> None:
    """Archive a run as a baseline for `evalkit gate`."""


def save(
    run: Annotated[Path, typer.Argument(parser=run_without_images, help="Run folder.")],
    file: Annotated[Path, typer.Argument(help="What to write, e.g. baseline.json.gz.")],
) -> None:
    """Write who was right, calls, tokens, times and settings of a run into one file; no texts and no images."""
    from evalkit.cli._console import Console
    from evalkit.gate.archive import save_baseline

    written = save_baseline(run, file)
    size = written.stat().st_size
    Console().print(f"baseline: {written} ({size / 1000:,.1f} kB)", markup=False, soft_wrap=True)
