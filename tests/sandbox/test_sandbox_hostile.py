"""Cells that end their process, lie about their results, or look around."""

from __future__ import annotations

import asyncio
import os
import stat

import pytest

from evalkit.images import ImageFile
from evalkit.sandbox import ExecStatus, SessionSpec
from tests.sandbox.sandboxing import AnySandbox, Cells, alive

SOCKET = """
import os, json, stat, struct
def kind(fd):
    try: return stat.S_IFMT(os.fstat(fd).st_mode)
    except OSError: return None
kinds = {fd: kind(fd) for fd in range(64) if kind(fd)}
fd = next(fd for fd in range(3, 64) if kinds.get(fd) == stat.S_IFSOCK)
def frame(payload=b"", magic=b"evk1", **header):
    reply = {"id": "0" * 32, "ok": True, "texts": [0, 0, 0], "images": [], "dropped_chars": 0, "dropped_images": 0}
    text = json.dumps({**reply, **header}).encode()
    return struct.pack("!4sIQ", magic, len(text), len(payload)) + text + payload
"""
CALL_ID = """
import sys
where = sys._getframe()
while "request" not in where.f_locals: where = where.f_back
call = where.f_locals["request"]["id"]
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os\nos._exit(3)", "exit code 3"),
        ("import ctypes\nctypes.string_at(0)", "signal SIGSEGV"),
        ("import os\nos.abort()", "signal SIG"),
        (SOCKET + "os.close(fd)", ""),
    ],
)
async def test_a_dead_session_is_told_and_started_anew(cells: Cells, png: ImageFile, code: str, reason: str) -> None:
    _, died, after = await cells("x = 1", code, "'x' in globals(), image_1.size, np.int8(1).item()", images=(png,))
    assert (died.status, died.state_lost) == (ExecStatus.DIED, True)
    assert reason in died.stderr
    assert (after.status, after.value, after.state_lost) == (ExecStatus.OK, "(False, (40, 30), 1)", False)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        ("b'garbage' * 100", "not a frame"),
        ("frame()", "wrong call id"),
        ("struct.pack('!4sIQ', b'evk1', 1 << 31, 0)", "oversized"),
        ("struct.pack('!4sIQ', b'evk1', 2, 1 << 62)", "oversized"),
        ("frame(ok='yes')", "not a reply"),
        ("frame(extra=1)", "not a reply"),
        ("frame(images=[['P', 1, 1]])", "not a reply"),
        ("struct.pack('!4sIQ', b'evk1', 4, 0) + b'[' * 4", "not a reply"),
        ("struct.pack('!4sIQ', b'evk1', 2, 0) + b'\\xff\\xfe'", "not a reply"),
        ("frame(id=call, texts=[5, 0, 0])", "do not add up"),
        ("frame(b'ab', id=call, images=[['RGB', 1, 1]])", "do not add up"),
        ("frame(id=call, images=[['L', 1, 1]] * 17)", "more images"),
        ("frame(id=call, images=[['L', 1 << 30, 1 << 30]])", "more images"),
        ("frame(id=call, texts=[1 << 30, 0, 0])", "oversized"),
    ],
)
async def test_a_forged_reply_ends_the_session(cells: Cells, write: str, reason: str) -> None:
    died, after = await cells(SOCKET + CALL_ID + f"os.write(fd, {write})\nos.read(fd, 1)", "1")
    assert (died.status, died.state_lost) == (ExecStatus.DIED, True)
    assert reason in died.stderr
    assert after.status is ExecStatus.OK


async def test_a_second_reply_ends_the_session(cells: Cells) -> None:
    first, second, third = await cells(SOCKET + CALL_ID + "os.write(fd, frame(id=call)); None", "2", "3")
    assert ExecStatus.DIED in (first.status, second.status)
    assert third.value == "3" or second.value == "2"


async def test_bytes_outside_a_call_end_the_session(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    later = "import threading\nthreading.Timer(0.2, lambda: os.write(fd, b'x')).start()"
    assert (await session.run(SOCKET + later)).status is ExecStatus.OK
    await asyncio.sleep(0.5)
    stray = await session.run("ran = True")
    assert (stray.status, stray.state_lost) == (ExecStatus.DIED, True)
    assert "bytes outside a call" in stray.stderr
    assert (await session.run("1")).value == "1"


async def test_a_session_that_dies_between_calls(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    await session.run("import threading, os\nthreading.Timer(0.2, lambda: os._exit(5)).start()")
    await asyncio.sleep(0.6)
    died = await session.run("1")
    assert (died.status, died.state_lost) == (ExecStatus.DIED, True)
    assert "exit code 5" in died.stderr
    assert (await session.run("1")).value == "1"


async def test_the_environment_is_clean(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "planted-secret")
    (result,) = await cells(
        "for name in ('/proc/self/environ', '/proc/self/cmdline'):\n"
        "    if os.path.exists(name) and os.access(name, os.R_OK):\n"
        "        try: print(open(name).read())\n"
        "        except PermissionError: pass\n"
        "print(dict(os.environ))"
    )
    assert "HOME" in result.stdout
    assert "planted-secret" not in result.stdout
    (names,) = await cells("sorted(os.environ)")
    allowed = {"DYLD_LIBRARY_PATH", "HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "MPLBACKEND", "MPLCONFIGDIR", "PATH"}
    extra = {name for name in eval(names.value) if not name.endswith("_NUM_THREADS")} - allowed
    assert extra <= {"TMPDIR"}


async def test_no_descriptor_is_inherited(cells: Cells, png: ImageFile) -> None:
    read, write = os.pipe()
    try:
        os.set_inheritable(read, True)
        (result,) = await cells(SOCKET + "[kind for fd, kind in sorted(kinds.items())]", images=(png,))
        first, rest = eval(result.value)[:3], eval(result.value)[3:]
        assert first == [stat.S_IFCHR] * 3
        assert sorted(rest) == [stat.S_IFREG, stat.S_IFSOCK]
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.kinds("process", "T0")
async def test_no_descriptor_is_handed_on(cells: Cells, png: ImageFile) -> None:
    read, write = os.pipe()
    try:
        os.set_inheritable(read, True)
        (inherited,) = await cells(
            "import subprocess\nsubprocess.run(['ls', '-l', '/proc/self/fd'], capture_output=True, text=True).stdout",
            images=(png,),
        )
        assert "socket" not in inherited.value
        assert "memfd" not in inherited.value
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.kinds("process", "T0", "T1")
async def test_sessions_do_not_share_variables_or_folders(sandbox: AnySandbox) -> None:
    a, b = await sandbox.open(SessionSpec()), await sandbox.open(SessionSpec())
    await a.run("import os\nsecret = 1\nopen('mine', 'w').close()")
    result = await b.run("import os\n'secret' in globals(), os.listdir('.')")
    assert result.value == "(False, [])"


@pytest.mark.kinds("process", "T0")
async def test_children_of_a_session_end_with_it(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    result = await session.run("import subprocess\np = subprocess.Popen(['sleep', '300'])\np.pid")
    await session.close()
    for _ in range(100):
        if not alive(int(result.value)):
            break
        await asyncio.sleep(0.02)
    assert not alive(int(result.value))
