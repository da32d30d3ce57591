"""`evalkit judge calibrate`: how often a judge errs, before its verdicts are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._judge_options import JudgeCacheFile, JudgeConcurrency, JudgeKeyEnv, JudgeModel

_HELP = "Measure a judge for `evalkit run` and `evalkit score`."


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    # a group even with one command, so that `calibrate` has to be written
    group.callback(help=_HELP)(_group)
    group.command("calibrate")(calibrate)
    app.add_typer(group, name="judge")


def _group() -> None:
    pass


def calibrate(
    judge_url: Annotated[
        str, typer.Option("--judge-url", rich_help_panel="Judge", help="OpenAI-compatible server of the judge.")
    ],
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    judge_cache: JudgeCacheFile = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labelled responses, .yaml or .jsonl (default: evalkit's own, which are hard to read)."),
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write, for --judge-calibration.")] = Path("judge-calibration.json"),
) -> None:
    """Put labelled responses to a judge and count how often it errs; also those that try to talk it round."""
    from evalkit.cli._calibrate import calibrate_judge
    from evalkit.cli._judge import judge_settings

    settings = judge_settings(judge_url, judge_model, judge_key_env, judge_concurrency, judge_cache, out.parent)
    assert settings is not None
    code = calibrate_judge(settings, labels, out)
    if code:
        raise typer.Exit(int(code))
