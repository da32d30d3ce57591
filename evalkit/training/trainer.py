"""Training from Python: a loaded model, samples or recorded trajectories, and settings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.models import ModelCard
from evalkit.records import Sample
from evalkit.runs.plan import digest, task_config, weights_id
from evalkit.runs.scheduler import Stop
from evalkit.sandbox import Sandbox
from evalkit.scoring.judge.base import Judge
from evalkit.scoring.judge.question import Asked
from evalkit.task import Task
from evalkit.training.config import PolicySettings, SftSettings
from evalkit.training.course import SAVE_EVERY, Place, run_course
from evalkit.training.encoding import Encoder
from evalkit.training.figures import StepFigures, TrainResult
from evalkit.training.folder import recipe
from evalkit.training.imitation import Example, Imitation
from evalkit.training.learner import Learner
from evalkit.training.policy import Policy, folder_of
from evalkit.training.processes import Alone, Processes
from evalkit.training.recorded import Recorded
from evalkit.training.rehearsal import Rehearsal
from evalkit.training.roller import Roller


def train_policy(settings: PolicySettings, *, model: Any, card: ModelCard, **options: Any) -> TrainResult:
    """Train a model on its own rollouts; see `learn_policy`, which this runs to its end."""
    return asyncio.run(learn_policy(settings, model=model, card=card, **options))


async def learn_policy(
    settings: PolicySettings,
    *,
    model: Any,
    card: ModelCard,
    samples: Sequence[Sample],
    task: Task,
    out: Path | None = None,
    on_step: Callable[[StepFigures], None] | None = None,
    save_every: int = SAVE_EVERY,
    wandb: str = "",
    judge: Judge | None = None,
    sandbox: Sandbox | None = None,
    system_prompt: str | None = None,
    processes: Processes | None = None,
    stop: Stop | None = None,
) -> TrainResult:
    """Train a model on its own rollouts.

    The model is changed in place. With a folder, an earlier start of the same recipe in it is gone on with.

    Args:
        settings: of the training.
        model: of the transformers library, in float32, on its device.
        card: how it is asked (protocol, tools, limits), and the folder of its tokenizer and processor.
        samples: the prompts.
        task: scores answers.
        out: the training's folder; None writes nothing.
        on_step: told of each step's figures.
        save_every: steps between checkpoints.
        wandb: project at Weights & Biases; "" for none.
        judge: for answers that the task's rules cannot read, not started yet; None for none.
        sandbox: runs the model's code, not started yet; None for the local one.
        system_prompt: in place of the protocol's own.
        processes: that train together; None for this one alone.
        stop: asks to stop after a step.

    Raises:
        EvalkitError: the task cannot tell right from wrong by itself and there is no judge, images are gone, or
            another training is in the folder; and whatever stops a training.
    """
    check_prompts(task, samples, settings, judged=judge is not None)
    policy = Policy(model, settings)
    try:
        learner = Learner(policy, settings, processes or Alone(policy.device))
        roller = Roller(
            model,
            card,
            task,
            temperature=settings.temperature,
            seed=settings.seed,
            sandbox=sandbox,
            judge=judge,
            system_prompt=system_prompt,
        )
        async with roller:
            config = policy_recipe(settings, card, task, samples, judge.identity if judge else {}, system_prompt)
            place = Place(out, config, save_every, wandb, card=card) if out else None
            course = Rehearsal(learner, settings, samples, roller, out)
            return await run_course(course, learner, settings.steps, folder_of(card), place, on_step, stop)
    finally:
        policy.close()


def train_sft(settings: SftSettings, *, model: Any, card: ModelCard, **options: Any) -> TrainResult:
    """Train a model on recorded trajectories; see `learn_recorded`, which this runs to its end."""
    return asyncio.run(learn_recorded(settings, model=model, card=card, **options))


async def learn_recorded(
    settings: SftSettings,
    *,
    model: Any,
    card: ModelCard,
    runs: Sequence[Recorded],
    out: Path | None = None,
    on_step: Callable[[StepFigures], None] | None = None,
    save_every: int = SAVE_EVERY,
    wandb: str = "",
    processes: Processes | None = None,
    stop: Stop | None = None,
) -> TrainResult:
    """Train a model on recorded trajectories; the loss is on the tokens that were written, and on no others.

    Args:
        settings: of the training.
        model: see `learn_policy`, as the other arguments.
        card: see `model`.
        runs: from `evalkit.training.recorded.read_runs`.
        out: see `model`.
        on_step: see `model`.
        save_every: see `model`.
        wandb: see `model`.
        processes: see `model`.
        stop: see `model`.

    Raises:
        EvalkitError: there is nothing to learn from, or another training is in the folder.
    """
    check_runs(runs, card)
    policy = Policy(model, settings)
    try:
        learner = Learner(policy, settings, processes or Alone(policy.device))
        examples = _examples(model, card, runs)
        config = sft_recipe(settings, card, runs)
        notes = [f"{run.folder.name}: {run.summary}" for run in runs]
        place = Place(out, config, save_every, wandb, notes, card) if out else None
        course = Imitation(learner, settings, examples, out)
        steps = steps_for(settings, runs)
        return await run_course(course, learner, steps, folder_of(card), place, on_step, stop)
    finally:
        policy.close()


def steps_for(settings: SftSettings, runs: Sequence[Recorded]) -> int:
    """Steps of a training on recorded trajectories: those set, or once through them all."""
    return settings.steps or math.ceil(sum(len(run.records) for run in runs) / settings.batch)


def _examples(model: Any, card: ModelCard, runs: Sequence[Recorded]) -> list[Example]:
    """Every trajectory with what encodes it."""
    found: list[Example] = []
    encoders: dict[str, Encoder] = {}
    for number, run in enumerate(runs):
        prompt = run.info.system_prompt
        encoder = (
            encoders.setdefault(prompt, Encoder(model, card, prompt)) if prompt not in encoders else encoders[prompt]
        )
        # folders of several runs may have one name
        found += [Example(f"{number}/{'/'.join(map(str, r.key))}", r, encoder) for r in run.records]
    return found


def policy_recipe(
    settings: PolicySettings,
    card: ModelCard,
    task: Task,
    samples: Sequence[Sample],
    judge: Mapping[str, Any],
    system_prompt: str | None,
) -> dict[str, Any]:
    """What tells a training on rollouts from another one; see `evalkit.training.folder.recipe`."""
    data = {"task": task_config(task, samples), **({"judge": dict(judge)} if judge else {})}
    tools = None if card.tools is None else list(card.tools)
    asked = {"tools": tools, "limits": msgspec.to_builtins(card.limits), "system_prompt": system_prompt}
    return recipe(settings, {**model_config(card), **asked}, data)


def sft_recipe(settings: SftSettings, card: ModelCard, runs: Sequence[Recorded]) -> dict[str, Any]:
    """What tells a training on recorded trajectories from another one; see `evalkit.training.folder.recipe`."""
    return recipe(settings, model_config(card), {"runs": [run_config(run) for run in runs]})


def model_config(card: ModelCard) -> dict[str, Any]:
    """The model's part of a recipe."""
    return {
        "name": card.name,
        "weights": weights_id(card),
        "protocol": card.protocol,
        "pixels": msgspec.to_builtins(card.pixels),
    }


def run_config(run: Recorded) -> dict[str, Any]:
    """A run's part of a recipe: what was asked, and which of its trajectories are learned."""
    keys = "\n".join("/".join(map(str, record.key)) for record in run.records)
    return {"config": run.info.config_hash, "trajectories": len(run.records), "keys": digest(keys.encode())}


def check_runs(runs: Sequence[Recorded], card: ModelCard) -> None:
    """Refuse trajectories that the model's protocol could not have made.

    Raises:
        DataError: a run was made under another protocol.
    """
    for run in runs:
        made = run.info.config.get("protocol")
        made = made.get("name") if isinstance(made, dict) else made
        if made and made != card.protocol:
            raise DataError(
                f"{run.folder} speaks the protocol {made}, and the model is to learn {card.protocol}: "
                f"name another run, or --protocol {made}"
            )


def check_prompts(task: Task, samples: Sequence[Sample], settings: PolicySettings, *, judged: bool) -> None:
    """Refuse what no reward can come of.

    Raises:
        EvalkitError: the task's rules alone cannot tell right answers from wrong ones.
        DataError: images are gone, or there are fewer samples than a step takes.
    """
    if task.judge_for is Asked.EQUIVALENCE and not judged:
        raise EvalkitError(
            f"task {task.name} leaves answers to a judge, and there is none: without one a right answer may earn "
            "nothing; add --judge-url URL"
        )
    if bare := [sample.id for sample in samples if not sample.answer]:
        raise DataError(
            f"task {task.name} has no right answer for {len(bare)} of {len(samples)} samples (the first: "
            f"{one_line(bare[0], 80)}): a reward needs one"
        )
    if len(samples) < settings.prompts:
        raise DataError(f"task {task.name} has {len(samples)} samples, and a step takes {settings.prompts} (--prompts)")
    images = {image.path for sample in samples for image in sample.images if image.path is not None}
    if gone := sorted(path for path in images if not path.is_file()):
        raise DataError(
            f"task {task.name}: {len(gone)} of {len(images)} images are gone, the first {gone[0]}; "
            "put the data back, or name another --data"
        )
