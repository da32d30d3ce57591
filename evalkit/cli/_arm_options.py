"""Options of `evalkit run` that ask for more than the agent's own trajectory of each sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Arms"

Counterfactual = Annotated[
    bool,
    typer.Option("--counterfactual", rich_help_panel=_PANEL, help="Also without tools: --arms agent,direct."),
]
ArmNames = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PANEL, help="agent, direct (no tools), forced (a call is required); commas."),
]
DirectK = Annotated[
    int | None, typer.Option("--direct-k", rich_help_panel=_PANEL, min=1, help="Direct runs per sample.")
]
DirectTemperature = Annotated[
    float | None,
    typer.Option(rich_help_panel=_PANEL, min=0, help="For K direct runs after one with the agent's decoding."),
]
DirectSystemPrompt = Annotated[
    Path | None,
    typer.Option(rich_help_panel=_PANEL, help="File: --system-prompt without its tools, for the direct arm."),
]
ForcedAnswers = Annotated[
    bool,
    typer.Option("--forced-answers", rich_help_panel=_PANEL, help="Then cut after each call and ask for the answer."),
]
Repeats = Annotated[int, typer.Option(rich_help_panel=_PANEL, min=1, help="Runs of the agent per sample, for pass@k.")]
RepeatCheck = Annotated[
    int,
    typer.Option(rich_help_panel=_PANEL, min=0, help="Then run N of the samples again and count what differs."),
]
IsolatedLatency = Annotated[
    int,
    typer.Option(rich_help_panel=_PANEL, min=0, help="Then run N of the samples one at a time, for latency."),
]
