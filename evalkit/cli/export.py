"""`evalkit export`: a run in the formats of other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evalkit.bridges.inspect.pictures import Pictures
from evalkit.cli._remote import run_folder


class Format(StrEnum):
    """What a run can be written as."""

    INSPECT = "inspect"
    LMMS = "lmms"
    PARQUET = "parquet"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("export")(export)


def export(
    run: Annotated[Path, typer.Argument(parser=run_folder, help="Run folder.", show_default=False)],
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="inspect: logs of Inspect AI, one per arm. lmms: a sample log of lmms-eval. "
            "parquet: a Hugging Face data set with images.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE|DIR", help="FILE.eval, FILE.jsonl, or for parquet a folder.", show_default=False),
    ],
    images: Annotated[
        Pictures | None,
        typer.Option(
            help="Of inspect's logs: as the model was sent them, small ones (the default), or none.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a run as a log or a data set of another program."""
    from evalkit.cli._console import Console
    from evalkit.cli._exports import export_inspect, export_lmms, export_parquet
    from evalkit.errors import EvalkitError

    if images is not None and format is not Format.INSPECT:
        raise EvalkitError(f"--images goes with --format {Format.INSPECT}; {format} has no choice of them")
    console = Console()
    match format:
        case Format.INSPECT:
            lines = export_inspect(run, out, images or Pictures.THUMBNAILS)
        case Format.LMMS:
            lines = export_lmms(run, out)
        case Format.PARQUET:
            lines = export_parquet(run, out)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
