"""Scoring stored trajectories again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from evalkit.records import Record
from evalkit.runs.outcome import outcome_of
from evalkit.runs.store import Key, RunStore
from evalkit.task import Task


def rescore(task: Task, records: Mapping[Key, Record], store: RunStore) -> list[tuple[Record, Record]]:
    """Score every record again and append those whose outcome changed; (old, new) pairs in order."""
    changed = []
    for record in records.values():
        outcome = outcome_of(task, record.sample, record.trajectory)
        if outcome != record.outcome:
            new = msgspec.structs.replace(record, outcome=outcome)
            store.append(new)
            changed.append((record, new))
    return changed
