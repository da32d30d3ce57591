"""The questions: a shape's colour, and a product that has nothing to do with the board."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from .board import COLOURS, PANELS, Shape

LETTERS = "ABCD"
_MODULUS = 7


class Question(NamedTuple):
    """A multiple-choice question.

    Attributes:
        text: with its options.
        options: their texts.
        answer: the right option's letter.
        needs_tool: whether it cannot be answered without a call.
        facts: what else is known of it.
    """

    text: str
    options: tuple[str, ...]
    answer: str
    needs_tool: bool
    facts: dict[str, str | int]


def colour_question(seed: int, panel: int, shape: Shape) -> Question:
    """What colour is the shape in panel `panel` (0..8)? It needs one crop if the shape is tiny."""
    draw = random.Random(f"q-{seed}-{panel}-0")
    wrong = [name for name in COLOURS if name != shape.colour]
    asked = f"What colour is the shape in the {PANELS[panel]} panel?"
    facts: dict[str, str | int] = {"panel": PANELS[panel], "colour": shape.colour}
    return _asked(draw, asked, shape.colour, wrong, shape.tiny, facts)


def product_question(seed: int, index: int) -> Question:
    """What is a product, modulo 7? Every second one has factors of three digits, which needs a computation."""
    draw = random.Random(f"product-{seed}-{index}-0")
    large = draw.random() < 0.5
    one, other = (draw.randint(100, 999), draw.randint(100, 999)) if large else (draw.randint(1, 9), draw.randint(1, 9))
    result = one * other % _MODULUS
    wrong = [str(value) for value in range(_MODULUS) if value != result]
    asked = f"What is {one} * {other} mod {_MODULUS}?"
    return _asked(draw, asked, str(result), wrong, large, {"one": one, "other": other})


def _asked(
    draw: random.Random,
    text: str,
    right: str,
    wrong: Sequence[str],
    needs_tool: bool,
    facts: dict[str, str | int],
) -> Question:
    options = [*draw.sample(list(wrong), len(LETTERS) - 1), right]
    draw.shuffle(options)
    lines = [text, *(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True))]
    return Question("\n".join(lines), tuple(options), LETTERS[options.index(right)], needs_tool, facts)
