"""`evalkit curate`: from recorded runs to data for training, and what such data shares with benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import TaskDirs
from evalkit.cli._judge_options import JudgeConcurrency, JudgeKeyEnv, JudgeModel
from evalkit.cli._remote import run_folder
from evalkit.records import Rule

Runs = Annotated[list[Path], typer.Argument(parser=run_folder, help="Run folders, or folders of them.")]
Out = Annotated[Path, typer.Option(help="Folder for the data set and its report; new or empty.")]
TaskData = Annotated[
    list[str] | None,
    typer.Option(
        "--task-data", metavar="NAME=DATA", help="Where a benchmark's rows are, as for run --data (repeatable)."
    ),
]
Verdicts = Annotated[Rule, typer.Option(help="Whose verdicts say what is right.")]
AllowedErrors = Annotated[float, typer.Option(min=0, max=1, help="Share of error rows above which to exit with 3.")]
JudgeUrl = Annotated[
    str | None,
    typer.Option(
        "--judge-url",
        rich_help_panel="Judge",
        help="OpenAI-compatible server of a judge that gives marks under a rubric.",
    ),
]
JudgeCache = Annotated[
    Path | None,
    typer.Option(
        "--judge-cache", rich_help_panel="Judge", help="File of its marks (default: judge.sqlite beside OUT)."
    ),
]
JudgeBlind = Annotated[
    bool,
    typer.Option("--judge-blind", rich_help_panel="Judge", help="Show the judge no pictures (a model of texts alone)."),
]
Rubric = Annotated[
    Path | None,
    typer.Option("--rubric", rich_help_panel="Judge", help="YAML file of what it is asked (default: the shipped one)."),
]


def register(app: typer.Typer) -> None:
    """Add the verb, with one command per kind of data."""
    group = typer.Typer(
        help="Turn recorded runs into data for training; each filter is counted and explained.", no_args_is_help=True
    )
    group.callback()(_group)
    group.command("sft")(sft)
    group.command("rl")(rl)
    group.command("leakage")(leakage)
    app.add_typer(group, name="curate")


def _group() -> None:
    pass


def sft(
    runs: Runs,
    out: Out,
    direct: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run of the base model with direct tries (repeatable). Without it the runs' own direct arms count."
        ),
    ] = None,
    direct_tries: Annotated[
        int, typer.Option(min=1, help="A sample that is right in all of so many tries needs no tool.")
    ] = 8,
    skip: Annotated[
        list[str] | None, typer.Option(help="Leave out a filter: necessity or strategy (repeatable).")
    ] = None,
    judge_url: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    judge_cache: JudgeCache = None,
    judge_blind: JudgeBlind = False,
    rubric: Rubric = None,
    rule: Verdicts = Rule.STRICT,
    allowed_errors: AllowedErrors = 0.01,
    unsafe_no_isolation: Annotated[
        bool,
        typer.Option("--unsafe-no-isolation", help="Let recorded code run where nothing keeps it in on this machine."),
    ] = False,
) -> None:
    """Trajectories for a cold start: right, executed again with the same result, needed, and judged to the point.

    The data set (parquet with images) is in OUT/data, the same trajectories as run folders are in OUT/runs.
    """
    from evalkit.cli._curate import Judging, curated_sft
    from evalkit.curation.rubric import STRATEGIC
    from evalkit.curation.sft import SftSettings

    judging = Judging(judge_url, judge_model, judge_key_env, judge_concurrency, judge_cache, judge_blind, rubric)
    settings = SftSettings(
        direct=tuple(direct or ()),
        direct_tries=direct_tries,
        judge=judging.settings(out),
        rubric=rubric or STRATEGIC,
        pictures=not judge_blind,
        skip=tuple(skip or ()),
        rule=rule,
        allow_unisolated=unsafe_no_isolation,
    )
    if code := curated_sft(runs, out, settings, allowed_errors):
        raise typer.Exit(int(code))


def rl(
    runs: Runs,
    out: Out,
    above: Annotated[float, typer.Option(min=0, max=1, help="Share of right rollouts to exceed.")] = 0.0,
    below: Annotated[float, typer.Option(min=0, max=1, help="Share of right rollouts to stay under.")] = 1.0,
    group: Annotated[
        int | None, typer.Option(min=2, help="Rollouts of a prompt (default: the most that any has).")
    ] = None,
    against: Annotated[
        str, typer.Option(help="Benchmarks that the data must not overlap with, e.g. vstar,hrbench_4k.")
    ] = "",
    task_data: TaskData = None,
    judge_url: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    judge_cache: JudgeCache = None,
    judge_blind: JudgeBlind = False,
    rubric: Rubric = None,
    rule: Verdicts = Rule.STRICT,
    allowed_errors: AllowedErrors = 0.01,
    task_dir: TaskDirs = None,
) -> None:
    """Prompts for RL: with good images, no near-duplicates, not ambiguous, and rollouts that are a real mix."""
    from evalkit.cli._curate import Judging, against_of, curated_rl
    from evalkit.curation.ambiguity import CLEAR
    from evalkit.curation.mix import MixSettings
    from evalkit.curation.rl import RlSettings

    judging = Judging(judge_url, judge_model, judge_key_env, judge_concurrency, judge_cache, judge_blind, rubric)
    settings = RlSettings(
        mix=MixSettings(above=above, below=below, group=group, rule=rule),
        against=against_of(against, task_data),
        task_dirs=tuple(task_dir or ()),
        judge=judging.settings(out),
        judge_sees=not judge_blind,
        rubric=rubric or CLEAR,
    )
    if code := curated_rl(runs, out, settings, allowed_errors):
        raise typer.Exit(int(code))


def leakage(
    dataset: Annotated[Path, typer.Argument(help="Folder of a data set of parquet files, or one of the files.")],
    against: Annotated[str, typer.Option(help="Benchmarks to compare with, e.g. vstar,hrbench_4k.")],
    task_data: TaskData = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a report with every match.")] = None,
    task_dir: TaskDirs = None,
) -> None:
    """What a data set shares with benchmarks: image files, pictures that look the same, questions. Exits with 1 if any.

    A question that anybody might ask of another picture is counted apart, and is no leak.
    """
    from evalkit.cli._curate import against_of, checked_leakage

    if code := checked_leakage(dataset, against_of(against, task_data), task_dir or [], out):
        raise typer.Exit(int(code))
