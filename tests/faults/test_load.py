"""A run with much in flight, and a long one that is taken up again: descriptors bounded, no record read whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit import Record
from evalkit.runs import run_records, store

CALL = '<tool_call>{"name": "python", "arguments": {"code": "print(image_1.size)"}}</tool_call>'
ANSWER = "<reason>r</reason><answer>A</answer>"
BOARDS, ROWS, IN_FLIGHT = 50, 200, 128


class Descriptors:
    """Counts those of this process after each trajectory."""

    def __init__(self) -> None:
        self.open: list[int] = []

    def on_sample_end(self, record: Record) -> None:
        """Between two trajectories."""
        self.open.append(len(os.listdir("/proc/self/fd")))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Half of the boards' first panels call the real sandbox."""
    file = tmp_path / "script.json"
    calls = {f"{1_000_000 + board}-{board % 9}": [CALL, ANSWER] for board in range(0, BOARDS, 2)}
    file.write_text(json.dumps({"default": [ANSWER], "samples": calls, "delay_s": 0.02}))
    return file


def run(script: Path, folder: Path, **more: Any) -> evalkit.Run:
    [made] = evalkit.run(
        "scripted", "panel_probe", script=script, run_dir=folder, task_option=[f"boards={BOARDS}"], **more
    )
    return made


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_descriptors_do_not_grow_with_what_is_in_flight_or_done(script: Path, tmp_path: Path) -> None:
    hook = Descriptors()
    before = len(os.listdir("/proc/self/fd"))
    run(script, tmp_path / "r", concurrency=IN_FLIGHT, hooks=[hook])
    assert len(hook.open) == ROWS
    # a session of the sandbox has a few, and at most as many sessions live as calls run at once
    assert max(hook.open) < before + IN_FLIGHT
    # the least of each half: how many sessions live at one moment is chance, what a finished one left open is not
    assert min(hook.open[ROWS // 2 :]) <= min(hook.open[: ROWS // 2]) + 4
    assert len(os.listdir("/proc/self/fd")) <= before + 4


def test_a_resume_and_its_figures_read_no_record_whole(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "r"
    whole = run(script, folder, concurrency=64).info
    file = folder / "samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[: ROWS // 2]))
    figures = json.loads((folder / "summary.json").read_text())

    def refuse(folder: Path) -> None:
        raise AssertionError("a record is read whole")

    read: list[int] = []
    trajectory = run_records.RunRecords.trajectory

    def counted(self: run_records.RunRecords, start: int) -> Any:
        read.append(start)
        return trajectory(self, start)

    monkeypatch.setattr(store, "record_decoder", refuse)
    monkeypatch.setattr(run_records.RunRecords, "trajectory", counted)
    assert run(script, folder, concurrency=64).info.config_hash == whole.config_hash
    assert file.read_bytes().count(b"\n") == ROWS
    again = json.loads((folder / "summary.json").read_text())
    for name in ("outcomes", "metrics", "tokens"):
        assert again[name] == figures[name]
    assert again["accuracy"]["count"] == figures["accuracy"]["count"]
    assert again["tools"]["calls"] == figures["tools"]["calls"]
    # the benchmark asks for each trajectory once, for its own figures
    assert len(read) == len(set(read)) == ROWS
