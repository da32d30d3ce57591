"""lmms-eval's sample logs (`--log_samples`): a run folder written as one, and one read as a recording.

A line is a document: its number, its target, what was asked, the response, tokens, and one key for each metric.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from evalkit.bridges.imported import Imported
from evalkit.bridges.lmms.answers import handed_over
from evalkit.bridges.lmms.task import PREFIX
from evalkit.errors import DataError, NothingEvaluatedError, one_line
from evalkit.recorded import number_of, recorded_outcome
from evalkit.records import (
    AGENT,
    RECORD_VERSION,
    Outcome,
    Record,
    Sample,
    StopReason,
    Timing,
    Trajectory,
    Turn,
    Usage,
)
from evalkit.runs.folder import read_info, write_whole
from evalkit.runs.outcome import said
from evalkit.runs.store import latest_records
from evalkit.sources.jsonl import read_jsonl

SCORE = "score"
"""The key that lmms-eval's `--baseline` reads."""
_NAME = re.compile(r"^(?:\d{8}_\d{6}_)?samples_(?P<task>.+)$")
_FIELDS = frozenset(
    (
        "doc_id",
        "doc",
        "target",
        "arguments",
        "input",
        "resps",
        "filtered_resps",
        "token_counts",
        "doc_hash",
        "input_media",
    )
)
_KNOWN = _FIELDS | {"id"}
_MARKS = (SCORE, "correct", "is_correct", "hit", "match", "acc", "accuracy")


def write_samples(folder: Path, out: Path) -> None:
    """Write a run's first tries as a sample log that lmms-eval takes as `--baseline`.

    Its `score` is the verdict, 1 or 0. Documents are numbered as lmms-eval numbers them where the task is one of its
    own; else in the run's order, which is told by each line's "id". Rows without a score are left out: a baseline has
    no errors.

    Args:
        folder: of the run.
        out: the file; lmms-eval itself would call it `<time>_samples_<task>.jsonl`.

    Raises:
        DataError: the folder is no readable run.
        NothingEvaluatedError: no row has a score.
        InfrastructureError: the file cannot be written.
    """
    info = read_info(folder)
    task = str(info.config["task"]["name"])
    records = [record for record in latest_records(folder).values() if (record.arm, record.repeat) == (AGENT, 0)]
    theirs = task.startswith(PREFIX)
    lines = [
        msgspec.json.encode(_line(record, int(record.sample.id) if theirs else place)) + b"\n"
        for place, record in enumerate(records)
        if not record.outcome.verdict.is_error
    ]
    if not lines:
        raise NothingEvaluatedError(f"{folder}: no row has a score")
    if theirs:
        lines.sort(key=lambda line: int(msgspec.json.decode(line)["doc_id"]))
    write_whole(out, b"".join(lines))


def _line(record: Record, number: int) -> dict[str, Any]:
    sample, outcome = record.sample, record.outcome
    response = said(record.trajectory) if record.trajectory.stop in (StopReason.ANSWERED, StopReason.ENDED) else ""
    given, _ = handed_over(response, sample.question)
    usage = record.trajectory.usage
    tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    known = {name: count for name, count in tokens.items() if count is not None}
    metrics = {name: item for name, item in outcome.scores.items() if name not in _FIELDS and name != SCORE}
    return {
        "doc_id": number,
        # before the metrics: the first key with "score" in its name is the one that is read
        SCORE: float(outcome.right()),
        "target": sample.answer,
        # an answer of its own where the response holds more than what was scored
        **({"resps": [response]} if response != given else {}),
        "filtered_resps": given,
        "token_counts": [known or None],
        **metrics,
        "id": sample.id,
        "input": sample.question,
    }


def read_samples(file: Path) -> Imported:
    """A sample log as a recording: the last responses, and the task's own metrics.

    What decides right and wrong is the metric "score", else the first of those that have a number in the most rows; a
    metric of several fields counts by its own "score". A row without that metric counts by another that it has.

    Args:
        file: `<time>_samples_<task>.jsonl`; of another name, that names the task.

    Raises:
        DataError: it is no such file; or, while its rows are taken, a line is broken.
    """
    found = _NAME.match(file.stem)
    task = found["task"] if found else file.stem
    counts: Counter[str] = Counter()
    rows = 0
    for _, row in _rows(file):
        rows += 1
        counts.update(name for name, item in row.items() if name not in _KNOWN and _number(item) is not None)
    if not rows:
        raise DataError(f"{one_line(file, 200)} holds no rows")
    main = SCORE if counts[SCORE] == rows else next((name for name, _ in counts.most_common(1)), None)
    scorer = f"lmms_eval/{task}"
    return Imported(
        format="lmms",
        task=task,
        model=_model(file),
        records=(_record(where, row, main, scorer) for where, row in _rows(file)),
        score=main,
        scorer=scorer,
        notes=["of each row the last response alone is known: nothing can be said of its tool calls and times"],
    )


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for line, row in read_jsonl(file, dict[str, Any], "an object with a doc_id and responses"):
        where = f"{one_line(file, 200)} line {line}"
        if isinstance(row.get("doc_id"), bool) or not isinstance(row.get("doc_id"), int):
            raise DataError(f"{where} has no doc_id, as every line of an lmms-eval sample log has")
        yield where, row


def _model(file: Path) -> str:
    """The model, from the results that lmms-eval writes beside a log; "" where there are none."""
    try:
        results = msgspec.json.decode(file.with_name(file.name.partition("samples_")[0] + "results.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return ""
    names = [results.get(key) for key in ("model_name", "model_source")] if isinstance(results, dict) else []
    return next((name for name in names if isinstance(name, str) and name), "")


def _number(item: Any) -> float | None:
    if isinstance(item, Mapping):
        return next((value for name in _MARKS if (value := _number(item.get(name))) is not None), None)
    return number_of(item) if isinstance(item, bool | int | float) else None


def _record(where: str, row: Mapping[str, Any], main: str | None, scorer: str) -> Record:
    responses = row.get("resps", row.get("filtered_resps"))
    while isinstance(responses, list):
        if len(responses) != 1:
            raise DataError(f"{where} has {len(responses)} responses to one document; evalkit reads logs of one")
        (responses,) = responses
    if not isinstance(responses, str):
        raise DataError(f"{where}: its response is no text but {type(responses).__name__}")
    counts = row.get("token_counts")
    tokens = counts[0] if isinstance(counts, list) and counts and isinstance(counts[0], Mapping) else {}
    usage = Usage(
        prompt_tokens=_count(tokens.get("input_tokens")), completion_tokens=_count(tokens.get("output_tokens"))
    )
    asked = row.get("input")
    scores = {name: item for name, item in row.items() if name not in _KNOWN}
    marks: dict[str, Any] = {name: number for name, item in scores.items() if (number := _number(item)) is not None}
    # a metric that this row does not have: MME's two, for one, have each half of the rows
    decides = main if main in marks else next(iter(marks), main)
    trajectory = Trajectory(
        prompt=asked if isinstance(asked, str) else "",
        stop=StopReason.ENDED,
        turns=(Turn(text=responses, usage=usage, timing=Timing(generate_s=None, tool_s=None)),),
        started_at=None,
        total_s=None,
        partial=True,
    )
    outcome: Outcome = recorded_outcome(trajectory, {**scores, **marks}, decides, scorer)
    sample = Sample(
        id=str(row["id"]) if isinstance(row.get("id"), str) else str(row["doc_id"]),
        question=asked if isinstance(asked, str) else "",
        answer=row["target"] if isinstance(row.get("target"), str) else "",
    )
    return Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
