"""Scoring stored trajectories again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from evalkit.records import Outcome, Record
from evalkit.runs.outcome import outcome_of
from evalkit.runs.store import Key, RunStore
from evalkit.task import Task


def verdict_of(outcome: Outcome) -> tuple[object, ...]:
    """What makes two outcomes the same to a reader."""
    return (outcome.verdict, outcome.answer, outcome.official, outcome.official_answer)


def rescore(task: Task, records: Mapping[Key, Record], store: RunStore) -> list[tuple[Record, Record]]:
    """Score every record again and append those whose outcome changed.

    Returns:
        Those whose verdict or answer changed, (old, new), in order; a mere change of the scorer's version
        is stored and not listed.
    """
    changed = []
    for record in records.values():
        outcome = outcome_of(task, record.sample, record.trajectory)
        if outcome != record.outcome:
            new = msgspec.structs.replace(record, outcome=outcome)
            store.supersede(new)
            if verdict_of(outcome) != verdict_of(record.outcome):
                changed.append((record, new))
    return changed
