"""The fork server as a whole: which tier it takes, what it survives, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import EvalkitError, ExitCode, SandboxError
from evalkit.sandbox import ExecResult, ExecStatus, Limits, LocalSandbox, SessionSpec, Tier
from evalkit.sandbox._memory import free_mb, pss_mb
from evalkit.sandbox._probe import Probe
from evalkit.sandbox._server import ForkServer
from tests.sandbox.conftest import Shared
from tests.sandbox.sandboxing import alive, children, descriptors, until

TIERS = ("T0", "T1", "T2")


@pytest.fixture
def clean(shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files; a test leaves no file, process, mount or descriptor."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    before = children(), descriptors(), Path("/proc/self/mountinfo").read_text()
    yield tmp_path
    assert os.listdir(tmp_path) == []
    assert children() - before[0] == set()
    assert descriptors() - before[1] == set()
    assert Path("/proc/self/mountinfo").read_text() == before[2]


def below(pid: int) -> list[int]:
    """Process ids of a process's children."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in tasks for child in path.read_text().split()]


def family(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(member for child in below(pid) for member in family(child))]


async def start(tier: str, memory_mb: int | None = None) -> LocalSandbox:
    sandbox = LocalSandbox(tier=Tier(tier), allow_unisolated=True, memory_mb=memory_mb)
    try:
        await sandbox.start()
    except EvalkitError as error:
        pytest.skip(str(error))
    return sandbox


def launcher(sandbox: LocalSandbox) -> int:
    assert sandbox._server is not None
    return sandbox._server.pid


async def test_the_best_tier_that_holds_is_taken(clean: Path) -> None:
    async with LocalSandbox() as sandbox:
        capabilities = await sandbox.start()
        assert capabilities.isolated
        assert capabilities.tier in (Tier.T1, Tier.T2)
        assert {"landlock", "seccomp", "limit AS", "limit NPROC"} <= capabilities.details.keys()
        assert sandbox.describe()["kind"] == "local"
        assert sandbox.describe()["memory_mb"] > 0


async def test_without_a_tier_nothing_runs(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Probe, "aftermath", lambda self: "a file was written from the session" if self._attack else "")
    with pytest.raises(EvalkitError, match=r"isolated here \(T1: .*; T2: .*--unsafe-no-isolation$") as refused:
        await LocalSandbox().start()
    assert refused.value.exit_code is ExitCode.USAGE
    assert "\n" not in str(refused.value)
    with pytest.raises(EvalkitError, match="T2"):
        await LocalSandbox(tier=Tier.T2, allow_unisolated=True).start()


async def test_no_isolation_where_it_is_allowed(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = ForkServer.start

    async def start(server: ForkServer) -> None:
        if server.isolates:
            raise SandboxError("user namespace: Operation not permitted")
        await launch(server)

    monkeypatch.setattr(ForkServer, "start", start)
    async with LocalSandbox(allow_unisolated=True) as sandbox:
        capabilities = await sandbox.start()
        assert (capabilities.tier, capabilities.isolated) == (Tier.T0, False)
        assert capabilities.details["T1"] == "no: user namespace: Operation not permitted"


async def test_no_isolation_must_be_asked_for(clean: Path) -> None:
    with pytest.raises(EvalkitError, match="--unsafe-no-isolation"):
        await LocalSandbox(tier=Tier.T0).start()


async def test_the_probe_sees_every_attack_succeed_without_isolation(shared: Shared) -> None:
    with Probe() as probe:
        attacked, executed = probe.cells[-2:]
        session = await (await shared("T0")).open(SessionSpec())
        result = await session.run(attacked)
        assert len(json.loads(result.stdout)) == 10
        assert set(json.loads(result.stdout).values()) == {True}
        probe._asked = probe._plain
        assert probe.judge(result).startswith("attacks succeed: connect, read passwd, ")
        assert probe.judge(await session.run(executed)) != ""
        assert probe.aftermath() != ""


@pytest.mark.parametrize(
    ("position", "result", "problem"),
    [
        (0, {"value": "(1.0, 1, (8, 6))"}, "ordinary code gives"),
        (0, {"status": ExecStatus.ERROR, "stderr": "a\nImportError: numpy"}, "ordinary code fails: ImportError: numpy"),
        (1, {}, "a plot gives no image"),
        (2, {"stdout": "{}"}, "did not report"),
        (2, {"stdout": "nothing"}, "did not report"),
        (2, {"status": ExecStatus.DIED}, "an attack ended its session"),
        (3, {"stdout": ""}, "exec succeeds"),
    ],
)
def test_the_probe_is_hard_to_please(position: int, result: dict[str, Any], problem: str) -> None:
    with Probe() as probe:
        assert len(probe.cells) == 4
        probe._asked = position
        assert problem in probe.judge(ExecResult(**{"status": ExecStatus.OK, **result}))


@pytest.mark.parametrize("tier", TIERS)
async def test_sessions_outlive_their_server_and_a_new_one_is_started(clean: Path, tier: str) -> None:
    sandbox = await start(tier)
    try:
        old = await sandbox.open(SessionSpec())
        await old.run("x = 41")
        (keeper,) = below(launcher(sandbox))
        (server,) = below(keeper)
        os.kill(server, signal.SIGKILL)
        opened = [await sandbox.open(SessionSpec()) for _ in range(4)]
        results = await asyncio.gather(old.run("x + 1"), *(session.run("1") for session in opened))
        assert [result.value for result in results] == ["42", "1", "1", "1", "1"]
        with pytest.raises(SandboxError, match="nobody can tell why"):
            await old.run("import ctypes\nctypes.string_at(0)")
        assert (await old.run("'x' in globals()")).value == "False"
        died = await old.run("import ctypes\nctypes.string_at(0)")
        assert (died.status, died.state_lost) == (ExecStatus.DIED, True)
    finally:
        await sandbox.close()


async def test_a_session_that_was_killed_from_outside_is_no_cells_doing(clean: Path) -> None:
    sandbox = await start("T1")
    try:
        session = await sandbox.open(SessionSpec())
        # what a cell does to itself does not look like it
        own = await session.run("import os\nos.kill(os.getpid(), 9)\n7")
        assert own.value == "7" or own.status is ExecStatus.ERROR
        call = asyncio.create_task(session.run("while True: pass"))
        await asyncio.sleep(0.1)
        (keeper,) = below(launcher(sandbox))
        (server,) = below(keeper)
        os.kill(below(server)[-1], signal.SIGKILL)
        with pytest.raises(SandboxError, match="killed from outside"):
            await call
        assert (await session.run("1")).value == "1"
    finally:
        await sandbox.close()


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("which", ["launcher", "keeper"])
async def test_all_of_the_server_dies(clean: Path, tier: str, which: str) -> None:
    sandbox = await start(tier)
    try:
        session = await sandbox.open(SessionSpec())
        await session.run("x = 1")
        before = family(launcher(sandbox))
        os.kill(before[which == "keeper"], signal.SIGKILL)
        await until(lambda: not alive(before[0]))
        other = await sandbox.open(SessionSpec())
        assert (await other.run("6 * 7")).value == "42"
        try:
            assert (await session.run("x")).value == "1"
        except SandboxError as error:
            assert "nobody can tell why" in str(error)  # noqa: PT017
        assert (await session.run("3")).value == "3"
    finally:
        await sandbox.close()
    await until(lambda: not any(map(alive, before)))
    assert not any(map(alive, before))


HOST = """
import asyncio, sys, tempfile
from evalkit.sandbox import LocalSandbox, SessionSpec, Tier
tempfile.tempdir = sys.argv[2]
async def main():
    sandbox = LocalSandbox(tier=Tier(sys.argv[1]), allow_unisolated=True)
    await sandbox.start()
    session = await sandbox.open(SessionSpec())
    await session.run("1")
    print(sandbox._server.pid, flush=True)
    await session.run("import signal\\nsignal.signal(2, signal.SIG_IGN)\\nsum(range(1 << 60))")
asyncio.run(main())
"""


@pytest.mark.parametrize("tier", TIERS)
async def test_nothing_outlives_a_killed_host(clean: Path, tier: str) -> None:
    await (await start(tier)).close()
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", HOST, tier, str(clean)], stdout=subprocess.PIPE, text=True
    ) as host:
        assert host.stdout is not None
        pid = int(await asyncio.to_thread(host.stdout.readline))
        await until(lambda: len(family(pid)) == 4)
        members = family(pid)
        assert len(members) == 4
        assert os.listdir(clean) != []
        host.kill()
    await until(lambda: not any(map(alive, members)) and not os.listdir(clean), 10)
    assert not any(map(alive, members))


@pytest.mark.parametrize("tier", ["T1", "T2"])
async def test_the_largest_session_goes_when_all_use_too_much(clean: Path, tier: str) -> None:
    sandbox = await start(tier, memory_mb=400)
    try:
        small, large = await sandbox.open(SessionSpec()), await sandbox.open(SessionSpec())
        await small.run("x = 1")
        died = await large.run("import time\nkeep = bytearray(b'x') * (600 << 20)\ntime.sleep(10)")
        assert (died.status, died.state_lost) == (ExecStatus.DIED, True)
        assert "was ended to free memory" in died.stderr
        assert "this one, the largest" in died.stderr
        assert (await small.run("x")).value == "1"
        assert (await large.run("2")).value == "2"
    finally:
        await sandbox.close()


async def test_new_sessions_wait_while_there_is_no_room(clean: Path) -> None:
    sandbox = await start("T2", memory_mb=400)
    try:
        large = await sandbox.open(SessionSpec())
        await large.run("keep = bytearray(b'x') * (360 << 20)")
        await until(lambda: not sandbox._memory._room.is_set())
        waiting = asyncio.create_task(sandbox.open(SessionSpec()))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await large.run("del keep")
        session = await asyncio.wait_for(waiting, 10)
        assert (await session.run("1")).value == "1"
    finally:
        await sandbox.close()


def test_memory_is_measured() -> None:
    assert 5 < pss_mb(os.getpid()) < 5000
    assert pss_mb(2**22 + 1) == 0
    assert free_mb() > 0


async def test_a_closed_sandbox(clean: Path) -> None:
    sandbox = await start("T2")
    session = await sandbox.open(SessionSpec())
    call = asyncio.create_task(session.run("while True: pass"))
    await asyncio.sleep(0.3)
    await sandbox.close()
    await sandbox.close()
    assert (await call).status is ExecStatus.DIED
    with pytest.raises(SandboxError):
        await sandbox.open(SessionSpec())
    with pytest.raises(SandboxError):
        await session.run("1")


@pytest.mark.parametrize("tier", ["T1", "T2"])
async def test_sixty_sessions(shared: Shared, tier: str) -> None:
    sandbox = await shared(tier)
    begun = time.monotonic()
    sessions = [await sandbox.open(SessionSpec()) for _ in range(60)]
    results = await asyncio.gather(*(session.run(f"{n} * 2") for n, session in enumerate(sessions)))
    assert [result.value for result in results] == [str(2 * n) for n in range(60)]
    await asyncio.gather(*(session.close() for session in sessions))
    assert time.monotonic() - begun < 30


async def test_sessions_draw_different_numbers(shared: Shared) -> None:
    draws: set[float] = set()
    for _ in range(3):
        session = await (await shared("T1")).open(SessionSpec())
        result = await session.run("import random, numpy as np\nrandom.random(), float(np.random.rand())")
        draws.update(eval(result.value))
        await session.close()
    assert len(draws) == 6


async def test_the_sandboxs_own_limits(clean: Path) -> None:
    async with LocalSandbox(Limits(output_chars=3)) as sandbox:
        session = await sandbox.open(SessionSpec())
        assert (await session.run("print('abcdef')")).stdout == "abc"


async def test_a_python_that_cannot_start(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EvalkitError, match="cannot start a Python process"):
        await LocalSandbox().start()
    python = clean / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(EvalkitError, match="ended before it was ready"):
        await LocalSandbox().start()
    python.unlink()
