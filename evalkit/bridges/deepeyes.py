"""Recorded runs of DeepEyes (arXiv 2505.14362), whose logs keep every turn.

The runner is eval_vstar.py and eval_hrbench.py of Visual-Agent/DeepEyes. What a log holds and what it does
not: turns, calls and answers are there; times and tokens are unknown; images are not kept; the verdict that
judge_result.py adds (`acc`) is kept beside evalkit's own.

A call counts as run where a user turn with an image follows. The log shows at most one such turn per
response, so at most one call per response counts; the rest were emitted and not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.agents.protocols.deepeyes import TOOL, DeepEyes, has_answer
from evalkit.bridges._deepeyes_log import Logged, read_logs
from evalkit.bridges._deepeyes_samples import known_ids, samples_of
from evalkit.bridges._deepeyes_turns import trajectory_of
from evalkit.records import RECORD_VERSION, Record, Sample
from evalkit.runs.outcome import outcome_of
from evalkit.task import Task

__all__ = ["PROTOCOL", "TOOLS", "Recording", "known_ids", "read_recording"]

PROTOCOL = DeepEyes.name
TOOLS = (TOOL,)


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What the logs of one run hold.

    Attributes:
        records: one per row, in the files' order, scored by the task.
        system_prompt: as sent; None where rows differ in it or have none.
        notes: what a reader of the figures must know.
    """

    records: tuple[Record, ...]
    system_prompt: str | None
    notes: tuple[str, ...]


def read_recording(files: Sequence[Path], task: Task, data: Sequence[Sample] | None = None) -> Recording:
    """Read the logs of one run.

    Args:
        files: V* has one per category, named `result_<category>_…`; HR-Bench one, whose rows are in order.
        task: scores the answers.
        data: the task's own rows, where they are at hand.

    Raises:
        DataError: a file is no DeepEyes log, or a row is broken, double or of another task.
    """
    rows = read_logs(files)
    samples = samples_of(task.name, rows, data)
    records = tuple(_record(logged, sample, task) for logged, sample in zip(rows, samples, strict=True))
    prompts = {m.text for logged in rows for m in logged.row.pred_output if m.role == "system"}
    return Recording(
        records=records,
        system_prompt=prompts.pop() if len(prompts) == 1 else None,
        notes=tuple(_notes(records)),
    )


def _record(logged: Logged, sample: Sample, task: Task) -> Record:
    trajectory = trajectory_of(logged.row)
    outcome = msgspec.structs.replace(outcome_of(task, sample, trajectory), recorded=logged.recorded)
    return Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome)


def _notes(records: Sequence[Record]) -> Iterator[str]:
    letters = {record.sample.answer for record in records}
    if len(letters) == 1 and len(records) > 1:
        yield (
            f"the right option was shown as {letters.pop()} in all {len(records)} rows: "
            "a model that favours that letter gains by it"
        )
    ran = [list(_runs(record)) for record in records]
    calls = sum(map(len, ran))
    unseen = sum(is_last for row in ran for _, is_last in row)
    if unseen:
        yield f"{unseen} of {calls} calls that ran stand in the last response: the model never saw their result"
    again = sum(_repeats([box for box, _ in row]) for row in ran)
    if again:
        yield f"{again} of {calls} calls that ran ask for a box that an earlier turn had asked for"


def _runs(record: Record) -> Iterator[tuple[Any, bool]]:
    """The box of each call that ran, and whether the call stands beside the answer."""
    turns = record.trajectory.turns
    for turn in turns:
        beside = turn is turns[-1] and has_answer(turn.text)
        for call in turn.calls:
            if call.status.dispatched:
                yield call.arguments.get("bbox_2d"), beside


def _repeats(boxes: Iterable[Any]) -> int:
    seen: list[Any] = []
    again = 0
    for box in boxes:
        again += box is not None and box in seen
        seen.append(box)
    return again
