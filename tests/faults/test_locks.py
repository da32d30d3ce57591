"""Two evalkits on one run folder: the second is told who has it, and what a dead one left behind holds up nobody."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InfrastructureError
from evalkit.runs import lock as module
from evalkit.runs.lock import LOCK, STALE_S, Holder, RunLock, holder_of
from evalkit.runs.store import RunStore
from tests.conftest import Cli
from tests.run_folders import row

RUN = ("run", "--model", "scripted", "--tasks", "panel_probe", "-T", "boards=1", "--script", "s.json", "--run-dir", "r")
HOLD = "import sys, time; from pathlib import Path; from evalkit.runs.lock import RunLock; lock = RunLock(Path('.'));"
IDS = [f"1000000-{panel}" for panel in (0, 2, 4, 6)]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "s.json"
    answer = ["<reason>r</reason><answer>A</answer>"]
    file.write_text(json.dumps({"samples": dict.fromkeys(IDS, answer), "delay_s": 300}))
    return file


@contextmanager
def held(folder: Path, more: str = "time.sleep(60)") -> Iterator[subprocess.Popen[str]]:
    """Another process that has the folder's lock."""
    command = [sys.executable, "-c", f"{HOLD} print('held', flush=True); {more}"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def sign(folder: Path, quiet_s: float = 0, **changed: Any) -> Holder:
    """What a process of another machine left in the folder, without a sign of life for so many seconds."""
    who = {"host": "node-7", "pid": 4711, "started": "2026-01-02T03:04:05.000000Z", "kernel": "another", **changed}
    (folder / LOCK).write_text(json.dumps(who))
    then = time.time() - quiet_s
    os.utime(folder / LOCK, (then, then))
    return Holder(**who)


def test_a_second_run_is_told_who_has_the_folder(tmp_path: Path, cli: Cli, script: Path) -> None:
    first = subprocess.Popen([sys.executable, "-m", "evalkit", *RUN], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while holder_of(tmp_path / "r") is None and time.monotonic() < deadline:
            time.sleep(0.05)
        second = cli(*RUN)
        assert second.returncode == 3
        said = [line for line in second.stderr.splitlines() if not line.startswith("note: ")]
        assert len(said) == 1
        assert f"error: r is in use by another evalkit on host {platform.node()}, process {first.pid}, since" in said[0]
        assert said[0].endswith("wait for it or stop it")
        # the one that was refused has not taken the first one's lock with it
        assert holder_of(tmp_path / "r") is not None
    finally:
        first.kill()
        first.communicate()
    assert (tmp_path / "r" / LOCK).is_file()
    assert holder_of(tmp_path / "r") is None
    script.write_text(script.read_text().replace("300", "0"))
    again = cli(*RUN)
    assert again.returncode == 0, again.stderr
    assert f"note: r was left locked by evalkit on host {platform.node()}, process {first.pid}" in again.stderr
    assert not (tmp_path / "r" / LOCK).exists()


def test_scoring_again_waits_for_nobody_either(tmp_path: Path, cli: Cli, script: Path) -> None:
    script.write_text(script.read_text().replace("300", "0"))
    assert cli(*RUN).returncode == 0
    with held(tmp_path / "r") as other:
        refused = cli("score", "r")
    assert refused.returncode == 3
    assert f"process {other.pid}" in refused.stderr
    assert cli("score", "r").returncode == 0
    assert not list((tmp_path / "r").glob(".*"))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_died_here_is_no_holder(tmp_path: Path, end: signal.Signals) -> None:
    with held(tmp_path) as other:
        with pytest.raises(InfrastructureError, match=f"process {other.pid}, "):
            RunLock(tmp_path)
        other.send_signal(end)
        other.wait(30)
        with RunLock(tmp_path) as lock:
            assert lock.taken_over is not None
            assert lock.taken_over.pid == other.pid
    assert not (tmp_path / LOCK).exists()


def test_a_child_of_a_dead_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    fork = "import os; child = os.fork(); child or time.sleep(60); print(child, flush=True); time.sleep(60)"
    with held(tmp_path, fork) as other:
        assert other.stdout is not None
        child = int(other.stdout.readline())
        try:
            other.kill()
            other.wait(30)
            RunLock(tmp_path).release()
        finally:
            os.kill(child, signal.SIGKILL)


def test_another_machines_process_counts_as_long_as_it_gives_signs_of_life(tmp_path: Path) -> None:
    who = sign(tmp_path, quiet_s=20)
    with pytest.raises(InfrastructureError, match=r"host node-7, process 4711, since .* run again in (39|40) s"):
        RunLock(tmp_path)
    assert holder_of(tmp_path) == who
    who = sign(tmp_path, quiet_s=STALE_S + 5)
    assert holder_of(tmp_path) is None
    with RunLock(tmp_path) as lock:
        assert lock.taken_over == who
    assert not (tmp_path / LOCK).exists()


def test_a_lock_dated_in_the_future_is_not_held_for_ever(tmp_path: Path) -> None:
    sign(tmp_path, quiet_s=-3600)
    RunLock(tmp_path).release()


def test_the_same_name_on_another_machine_is_another_machine(tmp_path: Path) -> None:
    sign(tmp_path, host=platform.node(), pid=os.getpid())
    with pytest.raises(InfrastructureError, match="last sign of life"):
        RunLock(tmp_path)


@pytest.mark.parametrize("words", [b"{", b"[1]", b"\xff\xfe", b'{"host": 1}'])
def test_a_damaged_lock_is_nobodys_after_a_while(tmp_path: Path, words: bytes) -> None:
    (tmp_path / LOCK).write_bytes(words)
    with pytest.raises(InfrastructureError, match="in use by another evalkit process"):
        RunLock(tmp_path)
    os.utime(tmp_path / LOCK, (0, 0))
    RunLock(tmp_path).release()


def test_an_empty_lock_is_what_a_kill_between_making_and_signing_leaves(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    RunLock(tmp_path).release()


def test_names_in_a_lock_are_only_text(tmp_path: Path) -> None:
    sign(tmp_path, host="evil\x1b[31m\nhost")
    with pytest.raises(InfrastructureError) as refused:
        RunLock(tmp_path)
    assert "evil [31m host" in str(refused.value)


def test_one_that_slept_and_was_taken_over_writes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "clock", lambda: now)
    with RunStore(tmp_path) as store:
        store.append(row("a"))
        now += STALE_S + 1
        store.append(row("b"))
        sign(tmp_path)
        now += STALE_S + 1
        with pytest.raises(InfrastructureError, match="taken over by evalkit on host node-7, process 4711"):
            store.append(row("c"))
        with pytest.raises(InfrastructureError, match="no longer"):
            store.supersede(row("c"))
    # the other's lock is not ours to remove
    assert (tmp_path / LOCK).is_file()
    assert (tmp_path / "samples.jsonl").read_bytes().count(b"\n") == 2


def test_signs_of_life_are_given_and_a_lost_lock_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    with RunLock(tmp_path) as lock:
        os.utime(tmp_path / LOCK, (0, 0))
        deadline = time.monotonic() + 30
        while (tmp_path / LOCK).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - (tmp_path / LOCK).stat().st_mtime < 30
        lock.check()
        (tmp_path / LOCK).unlink()
        while not lock._lost and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(InfrastructureError, match="was removed"):
            lock.check()


def test_where_the_file_system_knows_no_locks_signs_of_life_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "take_flock", lambda fd, shared=False: None)
    with RunLock(tmp_path), pytest.raises(InfrastructureError, match=f"process {os.getpid()}.*last sign of life"):
        RunLock(tmp_path)
    assert not (tmp_path / LOCK).exists()


def test_two_threads_of_one_process_are_two_as_well(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(InfrastructureError, match=f"process {os.getpid()}, "):
        RunLock(tmp_path)
    with RunLock(tmp_path) as lock:
        assert lock.taken_over is None
        lock.release()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_lock(tmp_path: Path) -> None:
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); {HOLD}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "InfrastructureError: cannot write .lock" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="cannot write"):
        RunLock(tmp_path / "none")
    assert holder_of(tmp_path / "none") is None


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_strangers_folder_with_something_else_as_its_lock(tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    os.utime(other, (1, 1))
    run = tmp_path / "r"
    run.mkdir()
    if kind == "link":
        (run / LOCK).symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(run / LOCK)
    else:
        (run / LOCK).mkdir()
    assert holder_of(run) is None
    with pytest.raises(InfrastructureError, match=r"cannot write .*/\.lock: "):
        RunLock(run)
    assert other.read_text() == "precious"
