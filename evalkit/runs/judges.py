"""From a user's settings to a judge, and the rows that still wait for its word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from evalkit.engines.base import Engine
from evalkit.records import Record, Verdict
from evalkit.runs.outcome import question_of
from evalkit.scoring.judge.base import Judge
from evalkit.task import Task

TIMEOUT_S = 120.0
OUTAGE_S = 30.0
BUSY_S = 300.0


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the judge is; only the model and the prompts change what it says.

    Attributes:
        url: of an OpenAI-compatible server.
        model: its name there; None takes the only one.
        key_env: name of the environment variable with the key.
        concurrency: questions at once, apart from the model's own requests.
        cache: file of rulings.
    """

    url: str
    model: str | None = None
    key_env: str = "OPENAI_API_KEY"
    concurrency: int = 16
    cache: Path


def make_judge(settings: JudgeSettings) -> Judge:
    """The judge, not started yet.

    Raises:
        EvalkitError: the settings are wrong.
    """
    from evalkit.scoring.judge import JudgeCache, ModelJudge

    return ModelJudge(judge_engine(settings), JudgeCache(settings.cache))


def judge_engine(settings: JudgeSettings) -> Engine:
    """What asks the judge's server, not started yet.

    Raises:
        EvalkitError: the settings are wrong.
    """
    from evalkit.engines.openai import OpenAIEngine

    return OpenAIEngine(
        base_url=settings.url,
        model=settings.model,
        api_key_env=settings.key_env,
        timeout_s=TIMEOUT_S,
        outage_s=OUTAGE_S,
        busy_s=BUSY_S,
        connections=settings.concurrency,
        references=False,
    )


def unjudged_rows(records: Iterable[Record], task: Task, judge: str = "") -> list[Record]:
    """Those whose trajectory is there and whose scoring failed, or was stopped before their judge had its say.

    Args:
        records: of a run.
        task: whose rules.
        judge: digest of the identity of the run's judge; "" for none.
    """
    return [
        record
        for record in records
        if record.outcome.verdict is Verdict.JUDGE_ERROR or (judge and _waits(task, record, judge))
    ]


def _waits(task: Task, record: Record, judge: str) -> bool:
    outcome = record.outcome
    if outcome.ruling is not None:
        return outcome.ruling.judge != judge
    return question_of(task, record.sample, record.trajectory, outcome) is not None
