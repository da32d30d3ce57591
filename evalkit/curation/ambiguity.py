"""Prompts that no one answer is right to: a judge marks each under a rubric, and sees its pictures if it can see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from evalkit.curation.grading import Conversation
from evalkit.curation.prompts import Prompt, SiftedPrompts
from evalkit.curation.rubric import Rubric
from evalkit.engines.base import Message
from evalkit.errors import InfrastructureError, one_line
from evalkit.rulings import Ruling, Said
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.scoring.judge.model import Asker

CLEAR = Path(__file__).parent / "rubrics" / "clear_prompt.yaml"
"""The rubric that ships."""
NAME = "ambiguous prompts"
_decode = msgspec.json.Decoder(dict[str, int]).decode


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
) -> SiftedPrompts:
    """Keep the prompts that a judge finds clear.

    Reasons: `unclear_` and the criterion with the lowest mark. Errors: `judge_unavailable`, `judge_unparsable`. The
    prompts get `marks` and `why`.

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
    rulings: dict[int, Ruling] = {}

    async def one(prompt: Prompt) -> None:
        rulings[id(prompt)] = await _rule(judge, _asked(prompt, pictures), rubric)
        done()

    await in_flight(prompts, one, at_once, Stop())
    sifted = SiftedPrompts([], [])
    for prompt in prompts:
        ruling = rulings[id(prompt)]
        if ruling.said.failed or ruling.answer is None:
            sifted.out.append(prompt.fate(NAME, f"judge_{ruling.said.value}", ruling.error, error=True))
            continue
        marks = _decode(ruling.answer)
        prompt.found.update(marks=marks, why=ruling.quote, judge=ruling.judge)
        if rubric.good(marks):
            sifted.kept.append(prompt)
        else:
            lowest = min(rubric.names, key=marks.__getitem__)
            sifted.out.append(prompt.fate(NAME, f"unclear_{lowest}", ruling.quote))
    return sifted


def _asked(prompt: Prompt, pictures: bool) -> Conversation:
    sample = prompt.sample
    question = Message("user", (*sample.images, sample.question))
    return Conversation(messages=(question,), answer=sample.answer, pictures=pictures)


async def _rule(judge: Asker[Conversation], asked: Conversation, rubric: Rubric) -> Ruling:
    try:
        return await judge.rule(asked)
    except InfrastructureError:
        raise
    except Exception as error:
        why = f"the judge failed: {type(error).__name__}: {one_line(error)}"
        return Ruling(asked=rubric.name, said=Said.UNAVAILABLE, error=why)
