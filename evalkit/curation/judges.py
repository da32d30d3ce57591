"""The judge of a curation, made and reached."""

from __future__ import annotations

from evalkit.curation.grading import Conversation, RubricWording
from evalkit.curation.rubric import Rubric
from evalkit.errors import EvalkitError
from evalkit.runs.judges import JudgeSettings, judge_engine
from evalkit.scoring.judge.cache import JudgeCache
from evalkit.scoring.judge.model import Asker


def new_judge(settings: JudgeSettings, rubric: Rubric) -> Asker[Conversation]:
    """The judge that the settings name, not started yet.

    Raises:
        EvalkitError: the settings are wrong.
    """
    try:
        return Asker(judge_engine(settings), RubricWording(rubric), JudgeCache(settings.cache))
    except EvalkitError as error:
        raise type(error)(f"--judge-url: {error}") from None


async def reach(judge: Asker[Conversation]) -> None:
    """Start a judge.

    Raises:
        EvalkitError: it cannot be used.
    """
    try:
        await judge.start()
    except EvalkitError as error:
        raise type(error)(f"--judge-url: {error}") from None
