"""The options that name a judge, for the verbs that score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Judge"

JudgeUrl = Annotated[
    str | None,
    typer.Option(
        "--judge-url",
        rich_help_panel=_PANEL,
        help="OpenAI-compatible server of a judge for answers that the rules cannot read.",
    ),
]
JudgeModel = Annotated[
    str | None,
    typer.Option("--judge-model", rich_help_panel=_PANEL, help="Its name for the model (default: its only one)."),
]
JudgeKeyEnv = Annotated[
    str | None,
    typer.Option("--judge-key-env", rich_help_panel=_PANEL, help="Variable with its key (default: OPENAI_API_KEY)."),
]
JudgeConcurrency = Annotated[
    int | None,
    typer.Option("--judge-concurrency", rich_help_panel=_PANEL, min=1, help="Questions at once (default: 16)."),
]
JudgeCalibration = Annotated[
    Path | None,
    typer.Option(
        "--judge-calibration",
        rich_help_panel=_PANEL,
        help="File of evalkit judge calibrate: accuracy is also shown corrected for the judge's errors.",
    ),
]
JudgeCacheFile = Annotated[
    Path | None,
    typer.Option(
        "--judge-cache", rich_help_panel=_PANEL, help="File of its verdicts (default: judge.sqlite beside the runs)."
    ),
]
