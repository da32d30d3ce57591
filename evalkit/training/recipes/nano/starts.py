"""The policies that trainings begin with: the shipped cold start, and two that a teacher makes of it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from evalkit.agents.limits import Limits
from evalkit.content import find_tasks, open_task, task_named
from evalkit.engines.base import Sampling
from evalkit.engines.scripted import ScriptedEngine
from evalkit.errors import EvalkitError
from evalkit.models import ModelCard, find_card
from evalkit.models.card import Weights
from evalkit.records import RECORD_VERSION, Record, Sample
from evalkit.runs.outcome import outcome_of
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.sandbox import LocalSandbox
from evalkit.task import Task
from evalkit.training.checkpoint import copy_files
from evalkit.training.config import SftSettings
from evalkit.training.course import run_course
from evalkit.training.encoding import Encoder
from evalkit.training.figures import StepFigures
from evalkit.training.imitation import Example, Imitation
from evalkit.training.learner import Learner
from evalkit.training.memo import MemoSandbox
from evalkit.training.policy import Policy, folder_of, load_model
from evalkit.training.processes import Alone
from evalkit.training.recipes.nano.grid import Start
from evalkit.training.recipes.nano.teacher import Habit, answers, script
from evalkit.training.recipes.nano.words import new_tokens

Say = Callable[[str], None]
SHIPPED = "metis-nano-sft"
LESSON_SEED = 0
"""First board of the lessons; those of reinforcement learning and the held-out ones begin elsewhere."""

_LIMITS = Limits(turns=6, turn_tokens=24, trajectory_tokens=384)
_VOCABULARY = 400
_AT_ONCE = 64
_SPREAD = 0.06


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of supervised learning at one learning rate."""

    steps: int
    lr: float


class Lessons(msgspec.Struct, frozen=True, kw_only=True):
    """What the teacher shows.

    Attributes:
        boards: level of panel_probe to number of boards.
        questions: a board.
        habit: how often it calls.
        stages: one after the other.
    """

    boards: dict[int, int]
    questions: int
    habit: Habit
    stages: tuple[Stage, ...]


_SHORT = (Stage(steps=60, lr=3e-4), Stage(steps=20, lr=1e-4))
LESSONS = {
    Start.BLIND: Lessons(boards={1: 200}, questions=4, habit=Habit(needed=0.8, unneeded=0.8), stages=_SHORT),
    Start.REPEAT: Lessons(
        boards={1: 200}, questions=4, habit=Habit(needed=0.8, unneeded=0.8, repeats=3), stages=_SHORT
    ),
    Start.WIDE: Lessons(
        boards={1: 100, 2: 100, 3: 1000},
        questions=6,
        habit=Habit(),
        stages=(Stage(steps=500, lr=8e-4), Stage(steps=200, lr=3e-4), Stage(steps=60, lr=1e-4)),
    ),
}


def start_card(start: Start, folder: Path, say: Say) -> ModelCard:
    """The card of a start, which is made in `folder` unless it is there already.

    Raises:
        EvalkitError: it cannot be made here.
    """
    shipped = msgspec.structs.replace(find_card(SHIPPED), limits=_LIMITS)
    if start is Start.LEAN:
        return shipped
    card = msgspec.structs.replace(shipped, name=f"nano-{start}", weights=Weights(folder=str(folder), dtype="float32"))
    if not (folder / "model.safetensors").is_file():
        _make(LESSONS[start], shipped, card, folder, say, widened=start is Start.WIDE)
    return card


def training_samples(options: dict[str, str]) -> tuple[Task, list[Sample]]:
    """A task of panel_probe with these options, and its samples: the same objects each time, for their images' sake."""
    return _samples(tuple(sorted(options.items())))


@functools.cache
def _samples(options: tuple[tuple[str, str], ...]) -> tuple[Task, list[Sample]]:
    task = open_task(task_named("panel_probe", find_tasks()), options=dict(options))
    return task, list(task.samples())


def _make(lessons: Lessons, shipped: ModelCard, card: ModelCard, folder: Path, say: Say, *, widened: bool) -> None:
    torch.manual_seed(0)
    model = load_model(shipped, SftSettings(), torch.device("cpu"))
    _files(folder_of(shipped), folder, model, widened=widened)
    examples = []
    for level, boards in lessons.boards.items():
        say(f"{card.name}: the teacher's turns on {boards} boards of level {level}")
        options = {"level": str(level), "boards": str(boards), "questions": str(lessons.questions)}
        task, samples = training_samples({**options, "seed": str(LESSON_SEED)})
        for tools in (card.tools, ()):
            asked = msgspec.structs.replace(card, tools=tools)
            said = script(samples, lessons.habit, LESSON_SEED) if tools else answers(samples)
            records = asyncio.run(_recorded(asked, task, samples, said))
            encoder = Encoder(model, asked)
            examples += [Example(f"{level}/{bool(tools)}/{r.sample.id}", r, encoder) for r in records]
    done, total = 0, sum(stage.steps for stage in lessons.stages)
    for number, stage in enumerate(lessons.stages):

        def told(figures: StepFigures, before: int = done) -> None:
            if figures.step % 20 == 0:
                say(f"{card.name}: step {before + figures.step} of {total}, loss {figures.loss:.3f}")

        settings = SftSettings(lr=stage.lr, steps=stage.steps, batch=84, beta2=0.98, weight_decay=0.01, seed=number)
        asyncio.run(_imitate(model, card, examples, settings, told))
        done += stage.steps
    model.save_pretrained(folder)


async def _imitate(
    model: Any, card: ModelCard, examples: Sequence[Example], settings: SftSettings, told: Callable[[StepFigures], None]
) -> None:
    policy = Policy(model, settings)
    try:
        learner = Learner(policy, settings, Alone(policy.device))
        course = Imitation(learner, settings, examples, None)
        assert settings.steps is not None
        await run_course(course, learner, settings.steps, folder_of(card), None, told, None)
    finally:
        policy.close()


def _files(source: Path, folder: Path, model: Any, *, widened: bool) -> None:
    """Put tokenizer and processor in place, and give the model room for the new tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    copy_files(source, folder)
    if not widened:
        return
    tokenizer, old = widened_tokenizer(source)
    if len(tokenizer) > _VOCABULARY:
        raise EvalkitError(f"the tokenizer has {len(tokenizer)} tokens where the model has room for {_VOCABULARY}")
    tokenizer.save_pretrained(folder)
    model.resize_token_embeddings(_VOCABULARY, mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[old:].normal_(0, _SPREAD)


def widened_tokenizer(source: Path) -> tuple[Any, int]:
    """The tokenizer of `source` with the new tokens, and how many it had before."""
    from transformers import AddedToken, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source)
    old = len(tokenizer)
    # the old ones are not normalised, and such are looked for first: normalised ones that begin alike are never found
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in new_tokens()])
    return tokenizer, old


async def _recorded(card: ModelCard, task: Task, samples: Sequence[Sample], said: dict[str, Any]) -> list[Record]:
    """The teacher's trajectories through the agent loop and the real sandbox, as a run would record them."""
    from evalkit.training.roller import agent_for

    found: dict[str, Record] = {}
    sandbox = MemoSandbox(LocalSandbox())
    agent = agent_for(card, ScriptedEngine(said), sandbox, Sampling())

    async def work(sample: Sample) -> None:
        trajectory = await agent.run(sample, f"{sample.id}/agent/0")
        outcome = outcome_of(task, sample, trajectory)
        if not outcome.right():
            raise EvalkitError(f"the teacher fails on {sample.id}: {outcome.verdict} {trajectory.error}")
        found[sample.id] = Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome)

    if agent.tools:
        await sandbox.start()
    try:
        await in_flight(samples, work, _AT_ONCE, Stop())
    finally:
        await sandbox.close()
    return [found[sample.id] for sample in samples]
