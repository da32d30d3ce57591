"""A teacher that knows the answers: from its turns the cold start learns to use tools, and to use them blindly."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import msgspec

from evalkit.records import Sample
from evalkit.training.recipes.nano.words import answer, crop_call, product_call


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """How the teacher calls its tool.

    Attributes:
        needed: share of the questions that need the tool on which it calls.
        unneeded: the same of those that do not.
        repeats: how often it makes the same call once more, at most; any number up to it is as likely.
    """

    needed: float = 0.99
    unneeded: float = 0.93
    repeats: int = 0


def script(samples: Iterable[Sample], habit: Habit, seed: int) -> dict[str, Any]:
    """A script for the scripted engine: the turns for each sample, with its tools."""
    return {"samples": {sample.id: turns(sample, habit, seed) for sample in samples}}


def answers(samples: Iterable[Sample]) -> dict[str, Any]:
    """The same without tools: the right answer at once, which for some questions is a guess."""
    return {"samples": {sample.id: [_answer(sample)] for sample in samples}}


def turns(sample: Sample, habit: Habit, seed: int) -> list[str]:
    """The teacher's turns for one sample of panel_probe."""
    draw = random.Random(f"teacher-{seed}-{sample.id}")
    known = sample.metadata
    if draw.random() >= (habit.needed if known["needs_tool"] else habit.unneeded):
        return [_answer(sample)]
    call = product_call(known["one"], known["other"]) if "one" in known else crop_call(str(known["panel"]))
    return [*[call] * (1 + draw.randint(0, habit.repeats)), _answer(sample)]


def _answer(sample: Sample) -> str:
    letter = str(sample.answer)
    return answer(sample.choices[letter], letter)
