"""The task's own sample set: questions on three drawn scenes, in HR-Bench's schema and in complete cycles."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from evalkit.images import ImageFile
from evalkit.sources import Row

from .scene import LAMPS, Frame, Kiosk, jpeg, kiosks

SCENES = 3
LETTERS = "ABCD"
_SIDES = ("upper left", "upper right", "lower left", "lower right")

_CLEAR = 150
"""Pixels by which two places must differ in both directions before a question asks for the direction."""


class Question(NamedTuple):
    """A question, its options with the right one first, and its category."""

    text: str
    options: tuple[str, ...]
    category: str


class DrawnTable:
    """The sample set, in the shape of a table of `evalkit.sources`.

    Attributes:
        rows: in HR-Bench's columns, without the image.
        name: what messages call the set.
        revision: None.
    """

    name = "the sample set"
    revision: str | None = None

    def __init__(self, frame: Frame) -> None:
        self.rows: list[Row] = []
        self._scene_of: list[int] = []
        self._scenes = [
            ImageFile.generated(partial(jpeg, scene, frame), f"square-{scene}-{frame.width}x{frame.height}.jpg")
            for scene in range(SCENES)
        ]
        for scene in range(SCENES):
            for question in _questions(scene, kiosks(scene, frame)):
                for row in _cycle(question, len(self.rows)):
                    self.rows.append(row)
                    self._scene_of.append(scene)

    def image(self, column: str, index: int, name: str) -> ImageFile:
        """The scene of a row; it is drawn when first needed."""
        return self._scenes[self._scene_of[index]]


def _cycle(question: Question, first: int) -> Iterator[Row]:
    """The question's four rows; the right option is A, B, C and D in turn."""
    for turn, letter in enumerate(LETTERS):
        shown = question.options[-turn:] + question.options[:-turn] if turn else question.options
        yield {
            "index": first + turn,
            "question": question.text,
            **dict(zip(LETTERS, shown, strict=True)),
            "answer": letter,
            "category": question.category,
            "cycle_category": str(turn),
        }


def _questions(scene: int, all_kiosks: list[Kiosk]) -> tuple[Question, Question]:
    """One question on a single kiosk and one across several; each scene has its own kind of both."""
    draw = random.Random(f"hrbench-quiz-{scene}")
    some = draw.sample(all_kiosks, 4)
    first = some[0]
    second = draw.choice([k for k in all_kiosks if min(abs(k.x - first.x), abs(k.y - first.y)) > _CLEAR])
    signs = tuple(kiosk.sign for kiosk in some)
    letters = tuple(dict.fromkeys((first.sign[0], *"KRTX")))[: len(LETTERS)]
    single = (
        Question(f"What is written on the sign of {first.name}?", signs, "single"),
        Question(f"What colour is the lamp of {first.name}?", _right_first(first.lamp, tuple(LAMPS)), "single"),
        Question(f"Which letter is on the sign of {first.name}?", letters, "single"),
    )
    side = f"{'lower' if first.y > second.y else 'upper'} {'right' if first.x > second.x else 'left'}"
    leftmost = min(some, key=lambda kiosk: kiosk.x)
    highest = max(some, key=lambda kiosk: kiosk.number)
    names = tuple(kiosk.name for kiosk in some)
    cross = (
        Question(f"Where is {first.name}, seen from {second.name}?", _right_first(side, _SIDES), "cross"),
        Question("Which of these stands farthest to the left?", _right_first(leftmost.name, names), "cross"),
        Question("Which of these has the highest number on its sign?", _right_first(highest.name, names), "cross"),
    )
    return single[scene], cross[scene]


def _right_first(right: str, options: tuple[str, ...]) -> tuple[str, ...]:
    return (right, *(option for option in options if option != right))
