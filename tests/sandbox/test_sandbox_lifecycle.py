"""Processes, folders and descriptors come and go with sessions (see also the fixture `sandbox`)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from evalkit.errors import DataError, SandboxError
from evalkit.images import ImageFile
from evalkit.sandbox import ExecStatus, Limits, ProcessSandbox, SessionSpec, Tier
from tests.sandbox.sandboxing import AnySandbox, Cells, alive, exists


async def test_start_says_what_the_sandbox_is(sandbox: AnySandbox) -> None:
    capabilities = await sandbox.start()
    assert capabilities.isolated == (capabilities.tier is not Tier.T0)
    assert {"NOFILE", "limit NOFILE"} & {name for name, state in capabilities.details.items() if state == "yes"}
    assert sandbox.describe()["limits"]["call_s"] == 20.0


async def test_the_sandboxs_own_limits_hold_unless_the_session_names_some() -> None:
    async with ProcessSandbox(Limits(output_chars=3)) as sandbox:
        own = await sandbox.open(SessionSpec())
        named = await sandbox.open(SessionSpec(limits=Limits(output_chars=4)))
        assert (await own.run("print('abcdef')")).stdout == "abc"
        assert (await named.run("print('abcdef')")).stdout == "abcd"


@pytest.mark.kinds("process", "T0")
async def test_closing_ends_the_process_and_removes_its_folder(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    result = await session.run("import os\nos.makedirs('a/b')\nos.chmod('a', 0)\nos.getpid(), os.getcwd()")
    pid, folder = eval(result.value)
    assert Path(folder).is_relative_to(tempfile.gettempdir())
    await session.close()
    await session.close()
    assert not alive(pid)
    assert not exists(folder)
    with pytest.raises(SandboxError, match="closed"):
        await session.run("1")


async def test_closing_during_a_cell(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    await session.run("x = 1")
    call = asyncio.create_task(session.run("while True: pass"))
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    await session.close()
    assert (await call).status is ExecStatus.DIED
    assert time.monotonic() - begun < 5


async def test_a_cancelled_call_ends_its_process(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    assert (await session.run("kept = 1\nkept")).value == "1"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.run("while True: pass"), 0.2)
    assert (await session.run("'kept' in globals()")).value == "False"


async def test_a_start_that_is_cancelled_leaves_nothing(sandbox: AnySandbox) -> None:
    for delay in (0, 0.001, 0.003, 0.01, 0.03):
        session = await sandbox.open(SessionSpec())
        call = asyncio.create_task(session.run("1"))
        await asyncio.sleep(delay)
        call.cancel()
        await asyncio.wait([call])
        await session.close()


async def test_many_sessions_at_once(sandbox: AnySandbox) -> None:
    sessions = [await sandbox.open(SessionSpec()) for _ in range(24)]
    results = await asyncio.gather(*(session.run(f"{n} * 2") for n, session in enumerate(sessions)))
    assert [result.value for result in results] == [str(2 * n) for n in range(24)]


async def test_cells_of_one_session_run_one_after_the_other(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    results = await asyncio.gather(*(session.run(f"import time\ntime.sleep(0.02)\n{n}") for n in range(5)))
    assert [result.value for result in results] == list("01234")


async def test_a_running_cell_does_not_block_the_loop(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    await session.run("1")
    call = asyncio.create_task(session.run("import time\ntime.sleep(0.5)"))
    ticks = 0
    while not call.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10


async def test_an_image_that_cannot_be_read_leaves_no_process(cells: Cells) -> None:
    with pytest.raises(DataError):
        await cells("1", images=(ImageFile.from_path("/nowhere/absent.png"),))


async def test_a_sandbox_that_cannot_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxError, match="cannot start a Python process"):
        await ProcessSandbox().start()
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(SandboxError, match="did not start"):
        await ProcessSandbox().start()
    assert os.listdir(tmp_path) == []


async def test_a_sandbox_must_be_started() -> None:
    with pytest.raises(SandboxError, match="not started"):
        await ProcessSandbox().open(SessionSpec())


HOST = """
import asyncio
from evalkit.sandbox import ProcessSandbox, SessionSpec
async def main():
    sandbox = ProcessSandbox()
    await sandbox.start()
    session = await sandbox.open(SessionSpec())
    print((await session.run("import os; os.getpid()")).value, flush=True)
    await session.run("while True:\\n    try:\\n        while True: pass\\n    except BaseException: pass")
asyncio.run(main())
"""


def test_a_session_does_not_outlive_its_host(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert alive(pid)
        host.kill()
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
