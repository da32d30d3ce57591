"""What `evalkit train` does: model, data and settings put together, figures shown, files named at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from evalkit.agents.protocols import PROTOCOLS
from evalkit.cli._console import Console, plain
from evalkit.cli._judge import judge_problem, new_judge, say_judge
from evalkit.cli._tasks import checked_samples, open_one
from evalkit.errors import EvalkitError, ExitCode, unknown
from evalkit.models import ModelCard, find_card
from evalkit.runs.judges import JudgeSettings
from evalkit.runs.scheduler import Stop
from evalkit.runs.setup import make_sandbox
from evalkit.task import Task
from evalkit.training.config import Method, PolicySettings, SftSettings, method_of, settings_from
from evalkit.training.figures import StepFigures, mean_over
from evalkit.training.folder import CARD, MODEL, check_out, read_train_info
from evalkit.training.metrics import METRICS, read_metrics
from evalkit.training.recorded import Recorded, read_runs


class TrainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; see `evalkit train --help` for the meaning of each field."""

    method: str | None
    model: str
    out: Path
    config: Path | None
    task: str | None
    data: tuple[str, ...]
    revision: str | None
    task_dirs: tuple[Path, ...]
    task_options: dict[str, str]
    limit: int | None
    protocol: str | None
    max_turns: int | None
    turn_tokens: int | None
    sandbox: str
    judge: JudgeSettings | None
    device: str
    save_every: int
    wandb: str
    settings: dict[str, Any]


def run_training(request: TrainRequest) -> ExitCode:
    """Train; the exit code.

    Raises:
        EvalkitError: something is missing or broken; finished steps are kept as of the last checkpoint.
    """
    method = method_of(request.method, request.config)
    kind: type[SftSettings | PolicySettings] = SftSettings if method == Method.SFT else PolicySettings
    known = {field.name for field in msgspec.structs.fields(kind)}
    given = {name: value for name, value in request.settings.items() if value is not None}
    if useless := sorted(given.keys() - known):
        options = ", ".join("--" + _OPTIONS.get(name, name.replace("_", "-")) for name in useless)
        raise EvalkitError(f"{options} does nothing with --method {method}")
    settings = settings_from(kind, request.config, {"method": method.value, **given})
    import uvloop

    stop = Stop()
    try:
        return uvloop.run(_train(request, _card(request), settings, stop))
    except asyncio.CancelledError:
        Console(stderr=True).print("stopped at once; run the same command to go on")
        return stop.exit_code


_OPTIONS = {"divide": "no-divide", "right_only": "wrong-too"}


def _card(request: TrainRequest) -> ModelCard:
    card = find_card(request.model)
    limits = {"turns": request.max_turns, "turn_tokens": request.turn_tokens}
    card = msgspec.structs.replace(
        card,
        protocol=request.protocol or card.protocol,
        limits=msgspec.structs.replace(card.limits, **{k: v for k, v in limits.items() if v is not None}),
    )
    if card.protocol not in PROTOCOLS:
        raise unknown("protocol", card.protocol, PROTOCOLS, "evalkit run --help")
    return card


async def _train(
    request: TrainRequest, card: ModelCard, settings: SftSettings | PolicySettings, stop: Stop
) -> ExitCode:
    out, err = Console(), Console(stderr=True)
    # what can be wrong with the data is said before a model is loaded
    runs, task, samples = [], None, []
    if isinstance(settings, SftSettings):
        runs = _runs(request, settings)
    else:
        task = _task(request)
        samples = checked_samples(task)[: request.limit]
    from evalkit.training.checkpoint import steps_behind
    from evalkit.training.policy import load_model
    from evalkit.training.processes import these_processes
    from evalkit.training.progress import TrainProgress
    from evalkit.training.trainer import (
        check_prompts,
        check_runs,
        learn_policy,
        learn_recorded,
        policy_recipe,
        sft_recipe,
        steps_for,
    )

    judge = new_judge(request.judge) if request.judge else None
    if isinstance(settings, SftSettings):
        check_runs(runs, card)
        config = sft_recipe(settings, card, runs)
    else:
        assert task is not None
        if judge and (problem := judge_problem([task])):
            raise EvalkitError(problem)
        if request.sandbox == "jupyter":
            raise EvalkitError("--sandbox jupyter does not isolate the model's code: train with local or docker:IMAGE")
        check_prompts(task, samples, settings, judged=judge is not None)
        config = policy_recipe(settings, card, task, samples, {}, None)
    # a judge's identity is what its server says
    check_out(request.out, config, "data.judge" if judge else "")
    processes = these_processes(request.device)
    first = processes.rank == 0
    if first:
        for run in runs:
            err.print(f"{run.folder}: {run.summary}", markup=False, soft_wrap=True)
    with err.status(plain(f"loading {card.name}")) if first else contextlib.nullcontext():
        model = load_model(card, settings, processes.device)
    steps = steps_for(settings, runs) if isinstance(settings, SftSettings) else settings.steps
    label = f"{settings.method} of {card.name}" + (f" on {task.name}" if task else "")
    with contextlib.ExitStack() as opened:
        opened.enter_context(stop.on_interrupt(lambda line: err.print(line, markup=False) if first else None))
        done = steps_behind(request.out)
        earlier = [figures for figures in read_metrics(request.out) if figures.step <= done]
        if first and done:
            err.print(f"going on in {request.out} after step {done}", markup=False, soft_wrap=True)
        progress = opened.enter_context(TrainProgress(err, label, steps, earlier)) if first else None
        options: dict[str, Any] = {
            "model": model,
            "card": card,
            "out": request.out,
            "on_step": progress.add if progress else None,
            "save_every": request.save_every,
            "wandb": request.wandb,
            "processes": processes,
            "stop": stop,
        }
        if isinstance(settings, SftSettings):
            result = await learn_recorded(settings, runs=runs, **options)
        else:
            assert task is not None
            sandbox = make_sandbox(request.sandbox, False)
            result = await learn_policy(settings, samples=samples, task=task, judge=judge, sandbox=sandbox, **options)
            if judge and first:
                say_judge(judge, err)
    if not first:
        return ExitCode.OK
    if result.stopped:
        err.print(f"stopped after step {result.done}; run the same command to go on", markup=False)
        return ExitCode.INTERRUPTED
    _finish(request.out, out)
    return ExitCode.OK


def _task(request: TrainRequest) -> Task:
    if request.task is None:
        raise EvalkitError("--task is missing: the task whose rows are prompts (evalkit tasks lists all)")
    if len(request.data) > 1:
        raise EvalkitError("--data is given twice: a task's rows come from one place")
    data = request.data[0] if request.data else None
    return open_one(request.task, request.task_dirs, data, request.revision, request.task_options)


def _runs(request: TrainRequest, settings: SftSettings) -> list[Recorded]:
    given = {
        "task": request.task,
        "task-option": request.task_options,
        "limit": request.limit,
        "judge-url": request.judge,
    }
    if useless := [f"--{name}" for name, value in given.items() if value]:
        raise EvalkitError(
            f"{', '.join(useless)} does nothing with --method sft: its data are run folders (--data RUN)"
        )
    if not request.data:
        raise EvalkitError("--data is missing: the run folders to learn from, as evalkit run makes them")
    return read_runs([Path(name) for name in request.data], right_only=settings.right_only, rule=settings.rule)


def _finish(out: Path, console: Console) -> None:
    """The figures at the beginning and at the end, and what to do with the model."""
    # they are gone where somebody deleted them
    if figures := read_metrics(out):
        console.print(_table(figures))
    for note in read_train_info(out).notes:
        console.print(f"[yellow]note:[/yellow] {plain(note)}", soft_wrap=True)
    console.print(f"model: {out / MODEL}   figures: {out / METRICS}", markup=False, soft_wrap=True)
    console.print(
        f"try it: evalkit run --model {out / CARD} --tasks TASK --counterfactual", markup=False, soft_wrap=True
    )


def _table(figures: Sequence[StepFigures]) -> Table:
    """First steps against last ones: a tenth of them each, and no more than 10."""
    few = max(1, min(10, len(figures) // 10))
    ends = (figures[:few], figures[-few:])
    table = Table(title=f"{len(figures)} steps", title_justify="left")
    table.add_column("")
    for name in ("first", "last"):
        table.add_column(f"{name} {few}" if few > 1 else name, justify="right")
    for name in sorted({name for step in figures for name in step.categories}):
        for what, figure in (("accuracy", "accuracy"), ("tool rate", "tool_rate")):
            parts = [[s.categories[name] for s in end if name in s.categories] for end in ends]
            means = [mean_over(found) for found in parts]
            cells = ["-" if mean is None else f"{getattr(mean, figure):.1%}" for mean in means]
            table.add_row(plain(f"{what}, {name}" if name else what, 60), *cells)
    table.add_row("loss", *(f"{sum(step.loss for step in end) / len(end):.4f}" for end in ends))
    if any(step.rollouts for step in figures):
        for what, name in (("rollouts learned from", "learned"), ("prompts without a gradient", "flat")):
            table.add_row(what, *(f"{sum(getattr(step, name) for step in end) / len(end):.1f}" for end in ends))
    if errors := sum(step.errors for step in figures):
        table.caption = f"{errors} rollouts could not be scored or did not fit: they were left out"
    return table
