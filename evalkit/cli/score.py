"""`evalkit score`: score stored trajectories again, or responses made elsewhere, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs, revision_option, task_setting_option
from evalkit.cli._judge_options import (
    JudgeCacheFile,
    JudgeCalibration,
    JudgeConcurrency,
    JudgeKeyEnv,
    JudgeModel,
    JudgeUrl,
)
from evalkit.cli._remote import filled, out_folder, run_without_images
from evalkit.records import Rule

_ELSEWHERE = "Responses made elsewhere"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("score")(score)


def score(
    run: Annotated[
        Path | None,
        typer.Argument(parser=run_without_images, help="Run folder.", show_default=False),
    ] = None,
    rule: Annotated[Rule, typer.Option(help="Whose verdicts come first; both are stored.")] = Rule.STRICT,
    diff: Annotated[
        bool, typer.Option("--diff", help="Only show which verdicts would change and why; nothing is written.")
    ] = False,
    allowed_errors: Annotated[
        float, typer.Option(min=0, max=1, help="Share of error rows above which to exit with 3.")
    ] = 0.01,
    task_dir: TaskDirs = None,
    judge_url: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    judge_cache: JudgeCacheFile = None,
    judge_calibration: JudgeCalibration = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_ELSEWHERE,
            help="Score this table of (id, response) instead of a run folder: .jsonl, .csv, .tsv, .json or .xlsx.",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", "-t", rich_help_panel=_ELSEWHERE, help="The task they answer.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(rich_help_panel=_ELSEWHERE, help="Where the task's rows are, as for evalkit run.")
    ] = None,
    revision: Annotated[str | None, revision_option(_ELSEWHERE)] = None,
    task_option: Annotated[list[str] | None, task_setting_option(_ELSEWHERE)] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", rich_help_panel=_ELSEWHERE, help="The model's name (default: the file's)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_ELSEWHERE,
            parser=out_folder,
            metavar="DIR|URL",
            help="Folder of run folders (default: runs).",
        ),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(rich_help_panel=_ELSEWHERE, help="Column of the rows' ids (default: id).")
    ] = None,
    response_column: Annotated[
        str | None, typer.Option(rich_help_panel=_ELSEWHERE, help="Column of the responses (default: response).")
    ] = None,
) -> None:
    """Score a run again with today's rules, or responses made elsewhere.

    Changed verdicts are appended to the run's samples.jsonl. Responses become a run folder of their own.
    """
    from evalkit.cli._judge import judge_settings
    from evalkit.cli._tasks import read_options
    from evalkit.errors import EvalkitError
    from evalkit.runs.calibrate import read_calibration

    if (run is None) == (predictions is None):
        what = "neither is" if run is None else "both are"
        raise EvalkitError(f"evalkit score takes a run folder or --predictions FILE; {what} given")
    if judge_calibration and diff:
        raise EvalkitError("--judge-calibration changes no verdict; leave it out with --diff")
    beside = run.resolve().parent if run else out or Path("runs")
    judge = judge_settings(judge_url, judge_model, judge_key_env, judge_concurrency, judge_cache, beside)
    calibration = read_calibration(judge_calibration) if judge_calibration else None
    if predictions is None:
        assert run is not None
        given = {
            "--task": task,
            "--data": data,
            "--revision": revision,
            "--task-option": task_option,
            "--model": model,
            "--out": out,
            "--id-column": id_column,
            "--response-column": response_column,
        }
        if odd := [name for name, value in given.items() if value]:
            raise EvalkitError(f"{', '.join(odd)} goes with --predictions; a run folder says by itself what it is")
        from evalkit.cli._rescore import score_again, show_changes

        dirs = task_dir or []
        if diff:
            code = show_changes(run, dirs, rule, judge)
        else:
            with filled(run):
                code = score_again(run, dirs, rule, allowed_errors, judge, calibration)
    else:
        if diff:
            raise EvalkitError("--diff compares a run's stored verdicts with today's; responses have none yet")
        if task is None:
            raise EvalkitError("--predictions needs --task NAME (evalkit tasks lists all)")
        from evalkit.cli._predictions import PredictionsRequest, score_predictions

        code = score_predictions(
            PredictionsRequest(
                file=predictions,
                task=task,
                data=data,
                revision=revision,
                options=read_options(task_option),
                model=model,
                out=out or Path("runs"),
                id_column=id_column or "id",
                response_column=response_column or "response",
                task_dirs=task_dir or [],
                rule=rule,
                allowed_errors=allowed_errors,
                judge=judge,
                calibration=calibration,
            )
        )
    if code:
        raise typer.Exit(int(code))
