"""`evalkit train`: a model learns from its own rollouts, or from recorded trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli._data_options import revision_option, task_dir_option, task_setting_option
from evalkit.cli._judge_options import JudgeCacheFile, JudgeConcurrency, JudgeKeyEnv, JudgeModel, JudgeUrl

_DATA, _ROLLOUTS, _LEARNING, _WHERE = "Data", "Rollouts (hdpo, grpo, coupled)", "Learning", "Training"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train")(train)


def train(
    method: Annotated[
        str | None,
        typer.Option("--method", help="sft (recorded trajectories), or hdpo, grpo, coupled (its own rollouts)."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model card, card file, folder of weights, or hub id (owner/name).")
    ] = "metis-nano-sft",
    out: Annotated[
        Path | None, typer.Option(help="The training's folder, made or gone on with.", show_default=False)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A whole study instead of one training: nano. Takes --out and -R alone.")
    ] = None,
    recipe_option: Annotated[
        list[str] | None,
        typer.Option("--recipe-option", "-R", help="Recipe option, name=value, e.g. seeds=2 or jobs=2 (repeatable)."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings (name: value); options go before it.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", "--tasks", "-t", rich_help_panel=_DATA, help="Task whose rows are prompts.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_DATA,
            help="sft: run folder, or folder of them (repeatable). Else where the task's rows are, as for evalkit run.",
        ),
    ] = None,
    revision: Annotated[str | None, revision_option(_DATA)] = None,
    task_dir: Annotated[list[Path] | None, task_dir_option(_DATA)] = None,
    task_option: Annotated[list[str] | None, task_setting_option(_DATA, "--task-arg")] = None,
    limit: Annotated[int | None, typer.Option(rich_help_panel=_DATA, min=1, help="Only the first N rows.")] = None,
    wrong_too: Annotated[
        bool, typer.Option("--wrong-too", rich_help_panel=_DATA, help="sft: also trajectories with a wrong answer.")
    ] = False,
    protocol: Annotated[
        str | None,
        typer.Option(rich_help_panel=_DATA, help="The model family's way to talk (default: the card's)."),
    ] = None,
    max_turns: Annotated[
        int | None, typer.Option(rich_help_panel=_DATA, min=1, help="Generations per trajectory (default: the card's).")
    ] = None,
    turn_tokens: Annotated[
        int | None, typer.Option(rich_help_panel=_DATA, min=1, help="Tokens per generation (default: the card's).")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option(rich_help_panel=_ROLLOUTS, min=1, help="Prompts a step (default: 8).")
    ] = None,
    group: Annotated[
        int | None, typer.Option(rich_help_panel=_ROLLOUTS, min=2, help="Rollouts a prompt (default: 8).")
    ] = None,
    w_tool: Annotated[
        float | None,
        typer.Option(rich_help_panel=_ROLLOUTS, min=0, help="Weight of the tool channel, for hdpo (default: 0.15)."),
    ] = None,
    penalty: Annotated[
        float | None,
        typer.Option(rich_help_panel=_ROLLOUTS, min=0, help="Reward off for each call, for coupled (default: 0.1)."),
    ] = None,
    no_divide: Annotated[
        bool,
        typer.Option("--no-divide", rich_help_panel=_ROLLOUTS, help="Advantages not divided by a group's deviation."),
    ] = False,
    kl: Annotated[
        float | None,
        typer.Option(rich_help_panel=_ROLLOUTS, min=0, help="Weight of the divergence from the start (default: 0)."),
    ] = None,
    updates: Annotated[
        int | None, typer.Option(rich_help_panel=_ROLLOUTS, min=1, help="Updates a batch of rollouts (default: 1).")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(rich_help_panel=_ROLLOUTS, min=0.01, help="Of the draws (default: 1).")
    ] = None,
    resample: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=_ROLLOUTS, min=0, help="Times a step replaces prompts that give no gradient (default: 1)."
        ),
    ] = None,
    sandbox: Annotated[
        str, typer.Option(rich_help_panel=_ROLLOUTS, help="Where code runs: local or docker:IMAGE.")
    ] = "local",
    judge_url: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKeyEnv = None,
    judge_concurrency: JudgeConcurrency = None,
    judge_cache: JudgeCacheFile = None,
    steps: Annotated[
        int | None,
        typer.Option(rich_help_panel=_LEARNING, min=1, help="Steps (default: 120; sft: once through the data)."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(rich_help_panel=_LEARNING, min=1, help="sft: trajectories a step (default: 32).")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=_LEARNING,
            help="Learning rate (default: 1e-6, sft 1e-5: for billions of weights; metis-nano learns at 2e-4).",
        ),
    ] = None,
    warmup: Annotated[
        int | None, typer.Option(rich_help_panel=_LEARNING, min=0, help="Steps until it is reached (default: 5).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(rich_help_panel=_LEARNING, min=0, help="All random numbers follow from it.")
    ] = None,
    lora: Annotated[
        int | None,
        typer.Option(rich_help_panel=_LEARNING, metavar="RANK", min=1, help="Learn LoRA matrices of this rank alone."),
    ] = None,
    bf16: Annotated[
        bool, typer.Option("--bf16", rich_help_panel=_LEARNING, help="Compute in bfloat16; what learns is float32.")
    ] = False,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option("--gradient-checkpointing", rich_help_panel=_LEARNING, help="Less memory, more computing."),
    ] = False,
    forward_tokens: Annotated[
        int | None,
        typer.Option(rich_help_panel=_LEARNING, min=1, help="Tokens a forward pass, at most (default: 8192)."),
    ] = None,
    device: Annotated[str, typer.Option(rich_help_panel=_WHERE, help="auto, cpu or cuda.")] = "auto",
    save_every: Annotated[int, typer.Option(rich_help_panel=_WHERE, min=1, help="Steps between checkpoints.")] = 50,
    wandb: Annotated[
        str, typer.Option(rich_help_panel=_WHERE, metavar="PROJECT", help="Also to Weights & Biases.")
    ] = "",
) -> None:
    """Train a model: sft on recorded trajectories; hdpo, grpo, coupled on its own rollouts. Resumes where it stopped.

    The same command goes on; a higher --steps goes on further. The model is in OUT/model, its card in OUT/card.yaml.
    Several GPUs: accelerate launch -m evalkit train ...
    """
    from evalkit.cli._judge import judge_settings
    from evalkit.cli._tasks import read_options
    from evalkit.cli._train import TrainRequest, run_training
    from evalkit.errors import EvalkitError

    if out is None:
        raise EvalkitError("--out is missing: the folder of the training")
    if recipe_option and not recipe:
        raise EvalkitError("--recipe-option goes with --recipe NAME")
    if recipe:
        if method or task or data or config:
            raise EvalkitError(
                "--recipe has methods, data and settings of its own: give it --out and -R name=value alone"
            )
        from evalkit.cli._recipe import run_recipe

        run_recipe(recipe, out, read_options(recipe_option, "--recipe-option"))
        return
    code = run_training(
        TrainRequest(
            method=method,
            model=model,
            out=out,
            config=config,
            task=task,
            data=tuple(data or ()),
            revision=revision,
            task_dirs=tuple(task_dir or ()),
            task_options=read_options(task_option),
            limit=limit,
            protocol=protocol,
            max_turns=max_turns,
            turn_tokens=turn_tokens,
            sandbox=sandbox,
            judge=judge_settings(judge_url, judge_model, judge_key_env, judge_concurrency, judge_cache, beside=out),
            device=device,
            save_every=save_every,
            wandb=wandb,
            settings={
                "prompts": prompts,
                "group": group,
                "w_tool": w_tool,
                "penalty": penalty,
                "divide": False if no_divide else None,
                "kl": kl,
                "updates": updates,
                "temperature": temperature,
                "resample": resample,
                "steps": steps,
                "batch": batch,
                "lr": lr,
                "warmup": warmup,
                "seed": seed,
                "lora": lora,
                "bf16": bf16 or None,
                "gradient_checkpointing": gradient_checkpointing or None,
                "forward_tokens": forward_tokens,
                "right_only": False if wrong_too else None,
            },
        )
    )
    if code:
        raise typer.Exit(int(code))
