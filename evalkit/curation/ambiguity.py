"""Prompts that no one answer is right to: a judge marks each under a rubric, and sees its pictures if it can see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from evalkit.curation.grading import Conversation
from evalkit.curation.marks import ruled, sift
from evalkit.curation.prompts import Prompt
from evalkit.curation.rubric import Rubric
from evalkit.curation.source import Sifted
from evalkit.engines.base import Message
from evalkit.rulings import Ruling
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.scoring.judge.model import Asker

CLEAR = Path(__file__).parent / "rubrics" / "clear_prompt.yaml"
"""The rubric that ships."""
NAME = "ambiguous prompts"


def explained(rubric: Rubric) -> str:
    """The filter in a sentence or two."""
    return (
        f"A judge marks each question under the rubric {rubric.name} ({', '.join(rubric.names)}); one with a mark "
        f"under {rubric.least} is dropped. Where the judge fails, the row is an error: nobody said that it is clear, "
        "nor that it is not; the same command asks for those alone again."
    )


async def clear(
    prompts: Sequence[Prompt],
    judge: Asker[Conversation],
    rubric: Rubric,
    *,
    pictures: bool = True,
    at_once: int = 16,
    done: Callable[[], None] = lambda: None,
) -> Sifted[Prompt]:
    """Keep the prompts that a judge finds clear.

    Reasons: `unclear_` and the criterion with the lowest mark. Errors: `judge_unavailable`, `judge_unparsable`,
    `image_gone`. The prompts get `marks` and `why`.

    Args:
        prompts: whose images are good.
        judge: started, with the wording of `rubric`.
        rubric: which marks are good enough.
        pictures: the judge is shown the images.
        at_once: questions in flight.
        done: called after each prompt.

    Raises:
        InfrastructureError: the judge's cache is broken.
    """
    rulings: dict[int, Ruling | str] = {}

    async def one(prompt: Prompt) -> None:
        rulings[id(prompt)] = await ruled(judge, lambda: _asked(prompt, pictures), rubric)
        done()

    await in_flight(prompts, one, at_once, Stop())
    sifted = Sifted[Prompt]([], [])
    for prompt in prompts:
        sift(prompt, rulings[id(prompt)], rubric, sifted, NAME, "unclear")
    return sifted


def _asked(prompt: Prompt, pictures: bool) -> Conversation:
    sample = prompt.sample
    question = Message("user", (*sample.images, sample.question))
    return Conversation(messages=(question,), answer=sample.answer, pictures=pictures)
