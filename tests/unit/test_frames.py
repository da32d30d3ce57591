"""Frames: every column as documented, light reading equal to whole reading, unknown numbers unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evalkit import (
    CallStatus,
    ImageFile,
    Observation,
    Outcome,
    Record,
    Sample,
    StopReason,
    Timing,
    ToolCall,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from evalkit.analysis import columns
from evalkit.analysis.frames import RunFrames, frames_of, read_run, stacked
from evalkit.analysis.light import read_light
from evalkit.errors import DataError
from evalkit.records import DIRECT, Shown
from evalkit.rulings import Ruling, Said
from evalkit.runs.store import latest_records
from tests.run_folders import row, write_run


def rich(image: ImageFile) -> Record:
    """A record in which every kind of thing occurs."""
    calls = tuple(
        ToolCall(tool=tool, raw="{}", status=status, seconds=0.25, error="" if status == "ok" else str(status))
        for tool, status in (
            ("zoom", CallStatus.MALFORMED),
            ("python", CallStatus.OK),
            ("python", CallStatus.FAILED),
            ("zoom", CallStatus.TIMEOUT),
            ("zoom", CallStatus.BLOCKED),
            ("dig", CallStatus.UNKNOWN_TOOL),
        )
    )
    timing = Timing(queue_s=1.0, ttft_s=0.5, decode_s=2.0, generate_s=4.0, tool_s=1.5)
    usage = Usage(prompt_tokens=100, completion_tokens=10, image_tokens=60)
    known = Shown(origin="sample", width=2000, height=1000, shown_width=1000, shown_height=500, tokens=600)
    return Record(
        version=1,
        sample=Sample(
            id="rich", question="?", images=(image,), choices={"A": "x", "B": "y"}, category="kind", cluster="board"
        ),
        trajectory=Trajectory(
            prompt="?",
            stop=StopReason.LIMIT_TURNS,
            turns=(
                Turn(
                    text="<tool_call>…</tool_call>\n",
                    finish_reason="stop",
                    calls=calls,
                    observations=(Observation(images=(image, image)),) * 6,
                    usage=usage,
                    timing=timing,
                    retries=2,
                    shown=(known, known),
                ),
                Turn(
                    text="<tool_call>…</tool_call> so",
                    finish_reason="length",
                    calls=(ToolCall(tool="python", raw="{}", status=CallStatus.NOT_RUN),),
                    usage=usage,
                    timing=timing,
                ),
            ),
            started_at=5.0,
            total_s=11.0,
        ),
        outcome=Outcome(
            verdict=Verdict.LIMIT_TURNS,
            reason="limit",
            official=False,
            recorded=True,
            scorer="t/1",
            ruling=Ruling(asked="extraction", said=Said.NO_ANSWER, seconds=0.5),
        ),
    )


def bare(id: str = "bare") -> Record:
    return Record(
        version=1,
        sample=Sample(id=id, question="?"),
        trajectory=Trajectory(prompt="?", stop=StopReason.ENGINE_ERROR, started_at=None, total_s=None),
        outcome=Outcome(verdict=Verdict.ENGINE_ERROR, error="down"),
        arm=DIRECT,
        repeat=1,
    )


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def check_columns(frames: RunFrames) -> None:
    documented = {
        "samples": columns.SAMPLES, "turns": columns.TURNS, "calls": columns.CALLS, "images": columns.IMAGES
    }  # fmt: skip
    for name, meaning in documented.items():
        frame = getattr(frames, name)
        assert dtypes(frame) == {column: dtype for column, (dtype, _) in meaning.items()}
        assert list(frame.index) == list(range(len(frame)))


def test_columns_are_as_documented_with_rows_and_without(png: ImageFile) -> None:
    check_columns(frames_of([rich(png), bare()]))
    check_columns(frames_of([bare()]))
    check_columns(frames_of([]))


def test_every_column_of_a_record(png: ImageFile) -> None:
    frames = frames_of([bare(), rich(png)], run="r", task="t", model="m", expected=2)
    found = frames.samples.iloc[1].to_dict()
    assert found == {
        "run": "r", "task": "t", "model": "m", "arm": "agent", "sample": "rich", "repeat": 0, "category": "kind",
        "cluster": "board", "verdict": "limit_turns", "error": False, "right": False, "official": False,
        "recorded": True, "answer": found["answer"], "reason": "limit", "scorer": "t/1", "message": "",
        "stop": "limit_turns", "partial": False, "options": 2, "turns": 2, "calls": 7, "malformed": 1,
        "unknown_tool": 1, "blocked": 1, "not_run": 1, "ok": 1, "failed": 1, "timeout": 1, "parsed": 6,
        "dispatched": 3, "acted": 1, "call_ends": 1, "first_tool": "python", "prompt_tokens": 200.0,
        "completion_tokens": 20.0, "image_tokens": 120.0, "started_at": 5.0, "total_s": 11.0, "model_s": 8.0,
        "queue_s": 2.0, "ttft_s": 1.0, "decode_s": 4.0, "tool_s": 3.0, "judge_s": 0.5, "retries": 2, "images": 1,
        "tool_images": 12, "shown": 2, "original_mp": 4.0, "shown_mp": 1.0, "shown_tokens": 1200.0,
    }  # fmt: skip
    assert pd.isna(found["answer"])
    assert frames.turns.drop(columns=["finish_reason"]).iloc[1].to_dict() == {
        "row": 1, "turn": 1, "last": True, "calls": 1, "acted": False, "call_end": False, "tool_images": 0,
        "prompt_tokens": 100.0, "completion_tokens": 10.0, "image_tokens": 60.0, "model_s": 4.0, "queue_s": 1.0,
        "ttft_s": 0.5, "decode_s": 2.0, "tool_s": 1.5, "retries": 0,
    }  # fmt: skip
    assert frames.turns["last"].tolist() == [False, True]
    assert frames.calls.iloc[3].to_dict() == {
        "row": 1, "turn": 0, "call": 3, "tool": "zoom", "status": "timeout", "dispatched": True, "acted": True,
        "seconds": 0.25, "message": "timeout",
    }  # fmt: skip
    assert frames.images["tokens"].tolist() == [600.0, 600.0]
    assert frames.arms == ["agent", "direct"]


def test_what_nobody_measured_is_not_a_number() -> None:
    found = frames_of([bare()]).samples.iloc[0]
    assert found["cluster"] == "bare"
    for name in ("total_s", "started_at", "model_s", "queue_s", "tool_s", "original_mp", "shown_tokens"):
        assert np.isnan(found[name]), name
    for name in ("official", "recorded", "answer", "first_tool"):
        assert pd.isna(found[name]), name
    # no turn was made, so no token was used
    assert found["prompt_tokens"] == 0


def test_a_sum_is_unknown_as_soon_as_a_part_is() -> None:
    known = Turn(text="", usage=Usage(prompt_tokens=5, completion_tokens=5), timing=Timing(queue_s=1.0))
    half = Turn(text="", usage=Usage(prompt_tokens=5), timing=Timing(queue_s=float("inf"), generate_s=float("nan")))
    record = row("a")
    trajectory = Trajectory(prompt="", stop=StopReason.ENDED, turns=(known, half), total_s=float("nan"))
    found = frames_of([Record(version=1, sample=record.sample, trajectory=trajectory, outcome=record.outcome)]).samples
    assert found["prompt_tokens"].tolist() == [10.0]
    for name in ("completion_tokens", "image_tokens", "queue_s", "model_s", "total_s"):
        assert found[name].isna().all(), name


def test_a_run_folder_gives_the_frames_of_its_whole_records(tmp_path: Path, png: ImageFile) -> None:
    rows = [rich(png), bare(), row("late", False, official=True), row("late", True, official=True)]
    folder = write_run(tmp_path / "run", rows, expected=9)
    read = read_run(folder)
    assert (read.run, read.task, read.model, read.expected, read.engine) == ("run", "numbers", "m", 9, "scripted")
    whole = frames_of(
        list(latest_records(folder).values()), run="run", task="numbers", model="m", expected=9, engine="scripted"
    )
    for name in ("samples", "turns", "calls", "images"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(whole, name))
    assert read.samples["right"].tolist() == [False, False, True]


def test_a_torn_last_line_is_left_out_and_a_corrupt_one_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [row(i) for i in range(3)])
    file = folder / "samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines) + lines[0][:50])
    assert len(read_light(folder)) == 3
    file.write_bytes(lines[0] + b'{"version":1,"sample":{}}\n' + lines[2])
    with pytest.raises(DataError, match=r"samples\.jsonl line 2 is corrupt"):
        read_light(folder)
    file.write_bytes(lines[0].replace(b'"version":1', b'"version":99'))
    with pytest.raises(DataError, match="line 1 is of record version 99"):
        read_light(folder)
    file.unlink()
    assert read_light(folder) == []
    file.mkdir()
    with pytest.raises(DataError, match="cannot read"):
        read_light(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a run folder"):
        read_run(tmp_path)
    folder = write_run(tmp_path / "run", [], config={"task": None})
    with pytest.raises(DataError, match=r"run\.json: its config names no task"):
        read_run(folder)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("<tool_call>{}</tool_call>", True),
        ("<tool_call>{}</tool_call>\n <|im_end|>\n", True),
        ("<grounding>{}</grounding>", True),
        ("<code>1</code>", True),
        ("<tool_call>{}</tool_call><answer>A</answer>", False),
        ("<tool_call>{}", False),
        ("", False),
    ],
)
def test_a_reply_that_ends_with_a_call(tmp_path: Path, text: str, ends: bool) -> None:
    folder = write_run(tmp_path / "run", [row("a", text="x" * 100 + text)])
    assert read_run(folder).turns["call_end"].tolist() == [ends]


def test_frames_of_several_runs_lie_below_one_another() -> None:
    one: Any = frames_of([row("a", category="x")], run="1")
    two: Any = frames_of([row("b", category="y"), row("c", category="x")], run="2")
    none: Any = frames_of([], run="3")
    both = stacked([one.samples, two.samples, none.samples])
    assert dtypes(both) == dtypes(one.samples)
    assert list(zip(both["run"], both["sample"], both["category"], strict=True)) == [
        ("1", "a", "x"),
        ("2", "b", "y"),
        ("2", "c", "x"),
    ]
