"""Scoring stored trajectories again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from evalkit.records import Outcome, Record
from evalkit.runs.judging import Bench
from evalkit.runs.outcome import outcome_of, question_of, ruled, unjudged
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.runs.store import RunStore
from evalkit.task import Task

NOT_ASKED = "the rules read no answer and the run's judge was not asked: evalkit score RUN --judge-url URL asks it"
"""Error of a row that a run's judge should have seen."""


class Change(NamedTuple):
    """A record as it is stored, and as today's rules score it."""

    old: Record
    new: Record


def verdict_of(outcome: Outcome) -> tuple[object, ...]:
    """What makes two outcomes the same to a reader."""
    return (outcome.verdict, outcome.answer, outcome.official, outcome.official_answer)


def scored_again(task: Task, records: Iterable[Record], judge: str = "") -> list[Change]:
    """Score every record again; those whose outcome is another now, in order. Nothing is stored and nobody is asked.

    Args:
        task: whose rules.
        records: one per key; those that do not change are not kept.
        judge: digest of the identity of the judge that the run has; "" for none. Its stored word counts where the
            rules still ask for one; where it is missing, the outcome is an error.
    """
    return [change for record in records if (change := changed(record, _again(task, record, judge)))]


async def judged_again(
    bench: Bench, records: Iterable[Record], at_once: int, stop: Stop, done: Callable[[], None] = lambda: None
) -> list[Change]:
    """Score records again with a judge; those whose outcome is another now, in order. Nothing is stored.

    Args:
        bench: rules and judge.
        records: to be scored.
        at_once: records in work at the same time.
        stop: ends it after those that are in work.
        done: told of each record that is through.

    Raises:
        InfrastructureError: the judge's cache is broken.
    """
    found: dict[int, Change] = {}

    async def work(job: tuple[int, Record]) -> None:
        place, record = job
        if change := changed(record, await bench.outcome(record.sample, record.trajectory)):
            found[place] = change
        done()

    await in_flight(enumerate(records), work, at_once, stop)
    return [found[place] for place in sorted(found)]


def changed(record: Record, outcome: Outcome) -> Change | None:
    """The record with another outcome; None where it is the same."""
    # the word of a recording is no result of any rule
    outcome = msgspec.structs.replace(outcome, recorded=record.outcome.recorded)
    if record.outcome.recorded is not None:
        outcome = msgspec.structs.replace(outcome, scores=record.outcome.scores)
    if _bare(outcome) == _bare(record.outcome):
        return None
    return Change(record, msgspec.structs.replace(record, outcome=outcome))


def _again(task: Task, record: Record, judge: str) -> Outcome:
    outcome = outcome_of(task, record.sample, record.trajectory)
    question = question_of(task, record.sample, record.trajectory, outcome) if judge else None
    if question is None or isinstance(question, Outcome):
        return question or outcome
    ruling = record.outcome.ruling
    if ruling is None or ruling.judge != judge:
        return unjudged(outcome, NOT_ASKED)
    return ruled(task, record.sample, record.trajectory, outcome, ruling)


def _bare(outcome: Outcome) -> Outcome:
    """Without what may differ each time a judge is asked the same."""
    if outcome.ruling is None:
        return outcome
    plain = {"seconds": None, "prompt_tokens": None, "completion_tokens": None, "tries": 1, "cached": False}
    return msgspec.structs.replace(outcome, ruling=msgspec.structs.replace(outcome.ruling, **plain))


def visible(changes: list[Change]) -> list[Change]:
    """Those that a reader sees: the verdict or the answer changed, not merely the scorer's version."""
    return [change for change in changes if verdict_of(change.old.outcome) != verdict_of(change.new.outcome)]


def store_changes(changes: Iterable[Change], store: RunStore) -> None:
    """Append the records that changed.

    Raises:
        InfrastructureError: the folder cannot be written.
    """
    for change in changes:
        store.supersede(change.new)
