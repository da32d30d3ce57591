"""Options of `evalkit run` that name run folders, here or in object storage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._remote import out_folder, run_folder, run_or_name

_RUN = "Run"

OutFolder = Annotated[
    Path,
    typer.Option(
        rich_help_panel=_RUN,
        parser=out_folder,
        metavar="DIR|URL",
        help="Folder of run folders, here or at s3://, gs:// or hf://.",
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=_RUN,
        parser=out_folder,
        metavar="DIR|URL",
        help="Exactly this run folder, made or resumed.",
    ),
]
PlayedBack = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel="Model", parser=run_folder, metavar="RUN", help="Run folder to play back, for --engine replay."
    ),
]
BaselineRun = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_RUN,
        parser=run_or_name,
        metavar="RUN|FILE",
        help="Run or file of evalkit baseline save, for --stop-when-decided.",
    ),
]
