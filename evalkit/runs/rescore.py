"""Scoring stored trajectories again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from evalkit.records import Outcome, Record
from evalkit.runs.outcome import outcome_of
from evalkit.runs.store import Key, RunStore
from evalkit.task import Task


class Change(NamedTuple):
    """A record as it is stored, and as today's rules score it."""

    old: Record
    new: Record


def verdict_of(outcome: Outcome) -> tuple[object, ...]:
    """What makes two outcomes the same to a reader."""
    return (outcome.verdict, outcome.answer, outcome.official, outcome.official_answer)


def scored_again(task: Task, records: Mapping[Key, Record]) -> list[Change]:
    """Score every record again; those whose outcome is another now, in order. Nothing is stored."""
    changes = []
    for record in records.values():
        outcome = outcome_of(task, record.sample, record.trajectory)
        # the word of a recording is no result of any rule
        outcome = msgspec.structs.replace(outcome, recorded=record.outcome.recorded)
        if outcome != record.outcome:
            changes.append(Change(record, msgspec.structs.replace(record, outcome=outcome)))
    return changes


def visible(changes: list[Change]) -> list[Change]:
    """Those that a reader sees: the verdict or the answer changed, not merely the scorer's version."""
    return [change for change in changes if verdict_of(change.old.outcome) != verdict_of(change.new.outcome)]


def rescore(task: Task, records: Mapping[Key, Record], store: RunStore) -> list[Change]:
    """Score every record again and append those whose outcome changed.

    Returns:
        Those whose verdict or answer changed, in order; a mere change of the scorer's version is stored and
        not listed.
    """
    changes = scored_again(task, records)
    for change in changes:
        store.supersede(change.new)
    return visible(changes)
