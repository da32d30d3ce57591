"""SIGTERM, as a queue system or a container sends it: evalkit ends at once, and what is finished is stored."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from evalkit.records import Record
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.runs.store import RunStore, latest_records
from evalkit.runs.writer import Writer
from tests.conftest import Cli
from tests.faults.test_kill_and_resume import RUN, wait_for_lines
from tests.run_folders import row


def test_sigterm_ends_a_run_at_once_and_keeps_what_is_finished(tmp_path: Path, cli: Cli) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"default": ["<answer>A</answer>"], "delay_s": 0.2}))
    command = [sys.executable, "-m", "evalkit", *RUN, "-T", "boards=20", "-c", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for_lines(tmp_path / "r" / "samples.jsonl", 4)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert b"stopped at once; run the same command to go on" in output
    assert b"Traceback" not in output
    assert 4 <= len(latest_records(tmp_path / "r")) < 80
    script.write_text(json.dumps({"default": ["<answer>A</answer>"]}))
    assert cli(*RUN, "-T", "boards=20", "-c", "4").returncode == 0
    assert len((tmp_path / "r" / "samples.jsonl").read_bytes().splitlines()) == 80


async def test_sigterm_does_not_wait_for_what_is_in_flight_and_counts_once() -> None:
    stop, cancelled = Stop(), 0

    async def work(job: int) -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled += 1
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)
            raise

    async def run() -> None:
        with stop.on_interrupt(lambda line: None):
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
            await in_flight(range(9), work, 3, stop)

    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(run())
    assert time.monotonic() - begun < 30
    assert (cancelled, stop.gently, int(stop.exit_code)) == (3, True, 143)


async def test_a_handler_of_the_program_around_evalkit_is_there_again_at_the_end() -> None:
    def mine(number: int, frame: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with Stop().on_interrupt(lambda line: None):
            assert signal.getsignal(signal.SIGTERM) is not mine
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


class SlowStore(RunStore):
    """Writes nothing until it may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may = Event()

    def append(self, record: Record) -> None:
        self.may.wait(60)
        super().append(record)


@pytest.mark.parametrize("while_ending", [False, True])
async def test_what_was_handed_over_is_stored_however_often_the_run_is_stopped(
    tmp_path: Path, while_ending: bool
) -> None:
    def maker(number: int) -> Record:
        return row(f"{number}")

    handed = asyncio.Event()

    async def run(store: RunStore) -> None:
        async with Writer(store, 1, lambda record: None) as writer:
            for number in range(2):
                await writer.put(lambda number=number: maker(number))  # type: ignore[misc]
            handed.set()
            if not while_ending:
                # no room is left: the third waits
                await writer.put(lambda: maker(2))

    with SlowStore(tmp_path) as store:
        task = asyncio.create_task(run(store))
        await asyncio.wait_for(handed.wait(), 30)
        for _ in range(3):
            await asyncio.sleep(0.05)
            task.cancel()
        asyncio.get_running_loop().call_later(0.1, store.may.set)
        with pytest.raises(asyncio.CancelledError):
            await task
    stored = [id for id, _, _ in latest_records(tmp_path)]
    assert stored == (["0", "1"] if while_ending else ["0", "1", "2"])
