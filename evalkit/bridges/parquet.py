"""A run as a Hugging Face data set: a row a trajectory, with its conversation, its images and its outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from evalkit.curation.dataset import DatasetInfo, Row, write_dataset
from evalkit.engines.base import Message
from evalkit.errors import NothingEvaluatedError
from evalkit.images import encode_hook
from evalkit.records import Record, Scalar, Usage
from evalkit.runs.folder import RunInfo, read_info
from evalkit.runs.store import stream_latest

COLUMNS: Mapping[str, type] = {
    "task": str,
    "model": str,
    "arm": str,
    "repeat": int,
    "question": str,
    "expected": str,
    "category": str,
    "response": str,
    "answer": str,
    "verdict": str,
    "correct": bool,
    "stop": str,
    "error": str,
    "turns": int,
    "calls": int,
    "tool_calls": str,
    "prompt_tokens": int,
    "completion_tokens": int,
    "seconds": float,
    "scores": str,
}
"""Columns beside id, messages and images. `correct` is null for an error; `calls` counts those that ran, null where
nothing is known of them; `tool_calls` is every call of every turn and `scores` the further marks, as JSON."""


def write_parquet(folder: Path, out: Path) -> DatasetInfo:
    """Write a run as `out/data/train-*.parquet`, whole or not at all; `datasets.load_dataset` reads it.

    One trajectory is held at a time. Every arm is written; a reader filters on `arm` and `repeat`.

    Args:
        folder: the run folder.
        out: the data set's folder, without data yet.

    Raises:
        DataError: no run folder, a corrupt line, or an image that is gone.
        EvalkitError: the folder has data already.
        NothingEvaluatedError: the run has no finished trajectory.
        InfrastructureError: the folder cannot be written.
    """
    info = read_info(folder)
    written = write_dataset(_rows(folder, info), out, COLUMNS)
    if not written.rows:
        raise NothingEvaluatedError(f"{folder} has no finished trajectory")
    return written


def _rows(folder: Path, info: RunInfo) -> Iterator[Row]:
    task, model = str(info.config["task"]["name"]), str(info.config["model"]["name"])
    for record in stream_latest(folder):
        yield Row(
            id=record.sample.id,
            messages=tuple(_messages(record, info.system_prompt)),
            columns={"task": task, "model": model, **_columns(record)},
        )


def _columns(record: Record) -> dict[str, Scalar]:
    trajectory, outcome = record.trajectory, record.outcome
    usage = Usage() if trajectory.partial else trajectory.usage
    seconds = trajectory.total_s
    return {
        "arm": record.arm,
        "repeat": record.repeat,
        "question": record.sample.question,
        "expected": record.sample.answer,
        "category": record.sample.category,
        "response": trajectory.response,
        "answer": outcome.answer,
        "verdict": str(outcome.verdict),
        "correct": None if outcome.verdict.is_error else outcome.right(),
        "stop": str(trajectory.stop),
        "error": outcome.error or trajectory.error,
        "turns": len(trajectory.turns),
        "calls": None if trajectory.partial else sum(call.status.dispatched for call in trajectory.calls),
        "tool_calls": _json(trajectory.calls),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "seconds": None if seconds is None else float(seconds),
        "scores": _json(outcome.scores),
    }


def _messages(record: Record, system_prompt: str) -> Iterator[Message]:
    """The conversation as it went: what the protocol took out of it is left out."""
    sample, trajectory = record.sample, record.trajectory
    if system := sample.system or system_prompt:
        yield Message("system", (system,))
    asked = trajectory.prompt or sample.prompt or sample.question
    yield Message("user", (*sample.images, *((asked,) if asked else ())))
    for turn in trajectory.turns:
        if turn.discarded:
            continue
        yield Message("assistant", (turn.text,))
        for seen in turn.observations:
            yield Message("tool", (*((seen.text,) if seen.text else ()), *seen.images))


def _json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=encode_hook).decode()
