"""A language model as a judge: it reads answers that rules cannot, under rules of its own."""

from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge.base import FakeJudge, Judge, identity_digest
from evalkit.scoring.judge.cache import JudgeCache
from evalkit.scoring.judge.model import Asker, ModelJudge, Wording
from evalkit.scoring.judge.prompts import fresh_nonce, messages, prompts_digest, schema
from evalkit.scoring.judge.question import Asked, Question
from evalkit.scoring.judge.reading import Read, UnreadableError, read
from evalkit.scoring.judge.steps import JUDGE, JUDGE_NONE, question_for, tagged, with_ruling

__all__ = [
    "JUDGE",
    "JUDGE_NONE",
    "Asked",
    "Asker",
    "FakeJudge",
    "Judge",
    "JudgeCache",
    "ModelJudge",
    "Question",
    "Read",
    "Ruling",
    "Said",
    "UnreadableError",
    "Wording",
    "fresh_nonce",
    "identity_digest",
    "messages",
    "prompts_digest",
    "question_for",
    "read",
    "schema",
    "tagged",
    "with_ruling",
]
