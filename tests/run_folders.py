"""Run folders made of invented rows, for what reads them: no model, no task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evalkit import CallStatus, Outcome, Record, Sample, StopReason, ToolCall, Trajectory, Turn, Usage, Verdict
from evalkit.records import AGENT, RECORD_VERSION
from evalkit.runs.folder import RunInfo, Session, write_info
from evalkit.runs.plan import config_hash
from evalkit.runs.store import RunStore

PLACE = {"cpu": "Some CPU", "cpus": 2, "machine": "x86_64", "packages": {"torch": "2.13"}}


def row(
    id: object,
    right: bool | Verdict = True,
    *,
    calls: int = 0,
    seconds: float | None = 1.0,
    tokens: int | None = 10,
    arm: str = AGENT,
    repeat: int = 0,
    official: bool | None = None,
    answered: str | None = "",
    partial: bool = False,
    text: str = "words",
    **sample: Any,
) -> Record:
    """One trajectory; `right` may be any verdict, `answered` is "A" where right and else "B" unless it is given."""
    verdict = right if isinstance(right, Verdict) else Verdict.CORRECT if right else Verdict.INCORRECT
    made = tuple(ToolCall(tool="python", raw="{}", status=CallStatus.OK) for _ in range(calls))
    usage = Usage(prompt_tokens=tokens, completion_tokens=tokens, image_tokens=0)
    return Record(
        version=RECORD_VERSION,
        sample=Sample(id=str(id), **{"question": f"What is {id}?", "answer": "A", **sample}),
        trajectory=Trajectory(
            prompt=f"What is {id}?",
            stop=StopReason.ANSWERED,
            turns=(Turn(text=text, calls=made, usage=usage),),
            total_s=seconds,
            partial=partial,
        ),
        outcome=Outcome(
            verdict=verdict,
            answer=("A" if right is True else "B") if answered == "" else answered,
            reason="answer_tag",
            official=official,
            error="the server went away" if verdict.is_error else "",
            scorer="numbers/1",
        ),
        arm=arm,
        repeat=repeat,
    )


def write_run(
    folder: Path,
    rows: Iterable[Record],
    *,
    model: str = "m",
    task: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    sessions: Iterable[Session] | None = None,
    expected: int | None = None,
) -> Path:
    """A run folder of a task called "numbers"."""
    rows = list(rows)
    about = {"name": "numbers", "version": 1, "source": "sample", "dataset": None, "options": {}, **(task or {})}
    settings = {
        "task": about,
        "model": {"name": model, "weights": model, "pixels": {"max": None}},
        "engine": "scripted",
        "protocol": {"name": "metis", "system_prompt": "0123456789abcdef", "tools": ["python"]},
        "sandbox": {},
        "sampling": {"temperature": 0.0},
        "limits": {"turns": 4},
        **(config or {}),
    }
    if sessions is None:
        sessions = [Session(started="2026-01-01T00:00:00Z", concurrency=8, environment=PLACE)]
    folder.mkdir(parents=True)
    info = RunInfo(
        evalkit="0.1.0",
        created="2026-01-01T00:00:00Z",
        config=settings,
        config_hash=config_hash(settings),
        expected_rows=len(rows) if expected is None else expected,
        sessions=list(sessions),
    )
    write_info(folder, info)
    with RunStore(folder) as store:
        for record in rows:
            store.append(record)
    return folder
