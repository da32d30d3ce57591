"""Attacks from inside a session, in every tier that this machine offers. See `attacks.py`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.sandbox import ExecStatus, LocalSandbox, SessionSpec
from tests.sandbox import attacks
from tests.sandbox.attacks import ATTACKS, CALLS_CODE, LIMITS, attack
from tests.sandbox.conftest import Shared

TIERS = ("T1", "T2")


@pytest.fixture(scope="module")
def given() -> Iterator[dict[str, Any]]:
    with attacks.planted() as names:
        yield names


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_fails(shared: Shared, given: dict[str, Any], tier: str, name: str) -> None:
    assert await attack(await shared(tier), given, ATTACKS[name].code) == ""


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.control])
async def test_the_same_attack_succeeds_without_isolation(shared: Shared, given: dict[str, Any], name: str) -> None:
    assert await attack(await shared("T0"), given, ATTACKS[name].code) != ""


@pytest.mark.parametrize("tier", TIERS)
async def test_system_calls_that_no_session_needs_are_refused(shared: Shared, tier: str) -> None:
    assert await _let_through(await shared(tier)) == []


async def test_without_isolation_they_are_not(shared: Shared) -> None:
    assert len(await _let_through(await shared("T0"))) > 20


async def _let_through(sandbox: LocalSandbox) -> list[str]:
    session = await sandbox.open(SessionSpec())
    await session.run(attacks.prelude({}))
    result = await session.run(CALLS_CODE)
    await session.close()
    assert result.status is ExecStatus.OK, result.stderr
    return list(eval(result.value))


@pytest.mark.skipif(os.geteuid() != 0, reason="all tests run as an unprivileged user")
@pytest.mark.parametrize("tier", TIERS)
def test_all_attacks_fail_for_an_unprivileged_user(tier: str) -> None:
    done = subprocess.run(
        [_python_of_nobody(), "-B", attacks.__file__, tier],
        user=65534,
        group=65534,
        extra_groups=[],
        env=_environment_of_nobody(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "cannot be isolated here" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["tier"], found["done"], found["calls"]) == (tier, {}, "[]")


def _environment_of_nobody() -> dict[str, str]:
    paths = [os.path.dirname(attacks.__file__), *(path for path in sys.path if path)]
    return {"PYTHONPATH": ":".join(paths), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def _python_of_nobody() -> str:
    """An interpreter that the user nobody may start and that finds all packages."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(name, path="/usr/local/bin:/usr/bin")):
        if python is None:
            continue
        command = [python, "-B", "-c", "import numpy, matplotlib, PIL, msgspec, evalkit.sandbox, attacks"]
        try:
            subprocess.run(
                command, user=65534, group=65534, extra_groups=[], env=_environment_of_nobody(), cwd="/", check=True,
                capture_output=True, timeout=60,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            continue
        return python
    pytest.skip("the user nobody may not start this Python or read its packages")


@pytest.mark.parametrize("tier", TIERS)
async def test_sessions_do_not_see_each_others_files_or_processes(shared: Shared, tier: str) -> None:
    sandbox = await shared(tier)
    a, b = await sandbox.open(SessionSpec()), await sandbox.open(SessionSpec())
    code = "import os\ntry: open('mine', 'w').close()\nexcept OSError: pass\nos.getpid(), os.getuid()"
    first, second = eval((await a.run(code)).value), eval((await b.run("import os\nos.getpid(), os.getuid()")).value)
    assert (await b.run("os.listdir('.')")).value == "[]"
    look = f"import signal\nos.kill({first[0]}, 0) if os.getpid() != {first[0]} else 'the same'"
    seen = await b.run(look)
    assert "PermissionError" in seen.stderr or seen.value == "'the same'"
    assert first[1] != second[1] or os.geteuid() != 0
    await a.close()
    await b.close()


@pytest.mark.parametrize("tier", TIERS)
async def test_a_print_flood_costs_no_memory(shared: Shared, tier: str) -> None:
    session = await (await shared(tier)).open(SessionSpec(limits=LIMITS))
    begun = time.monotonic()
    result = await session.run("for _ in range(1000): print('x' * 1_000_000)")
    assert (len(result.stdout), result.dropped_chars) == (100_000, 1_000_001_000 - 100_000)
    assert time.monotonic() - begun < 20
    await session.close()


@pytest.mark.parametrize("tier", TIERS)
async def test_ordinary_code_works(shared: Shared, tier: str) -> None:
    session = await (await shared(tier)).open(SessionSpec())
    codes = (
        "from concurrent.futures import ThreadPoolExecutor\nsum(ThreadPoolExecutor(8).map(abs, range(5)))",
        "import asyncio\nasync def f(): return 10\nasyncio.run(f())",
        "import datetime, zoneinfo\nzoneinfo.ZoneInfo.__name__ and 10",
        "import scipy.ndimage" if _installed("scipy") else "import sqlite3",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nimport time; time.sleep(0.001); 10",
        "import numpy as np\nnp.linalg.svd(np.random.rand(50, 50))[0].shape",
        "import matplotlib.pyplot as plt\nplt.imshow([[1, 2]]); plt.title(r'$\\alpha^2$'); plt.colorbar(); plt.show()",
        "from PIL import Image, ImageDraw\nd = Image.new('RGB', (90, 9)); ImageDraw.Draw(d).text((0, 0), 'text'); d",
        "import sys, platform, decimal, fractions, sympy" if _installed("sympy") else "import decimal",
        "open('/dev/null', 'w').write('x'), len(open('/dev/urandom', 'rb').read(9)), __import__('os').isatty(0)",
    )
    for code in codes:
        result = await session.run(code)
        assert result.status is ExecStatus.OK, (code, result.stderr)
    await session.close()


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


async def test_files_work_where_a_session_has_a_disk(shared: Shared) -> None:
    session = await (await shared("T1")).open(SessionSpec())
    result = await session.run(
        "import os, shutil, tempfile\n"
        "from PIL import Image\n"
        "Image.new('L', (3, 4)).save('a.png')\n"
        "shutil.copy2('a.png', 'b.png'); os.chmod('b.png', 0o600); os.rename('b.png', 'c.png')\n"
        "os.makedirs('x/y'); shutil.rmtree('x')\n"
        "with tempfile.TemporaryDirectory() as folder: open(folder + '/t', 'w').write('t')\n"
        "sorted(os.listdir('.')), Image.open('c.png').size, os.path.expanduser('~') == os.getcwd()"
    )
    assert result.value == "(['a.png', 'c.png'], (3, 4), True)", result.stderr
    await session.close()


@pytest.mark.parametrize("tier", ["T0", *TIERS])
async def test_input_that_is_no_program(shared: Shared, tier: str) -> None:
    session = await (await shared(tier)).open(SessionSpec())
    for code, status in (
        ("The answer is 4.", ExecStatus.ERROR),
        ("", ExecStatus.OK),
        ("\0", ExecStatus.ERROR),
        ("x = 1\0", ExecStatus.ERROR),
        ("x = '" + "a" * 10_000_000 + "'", ExecStatus.OK),
        ("# " + "é" * 10_000_000, ExecStatus.OK),
    ):
        assert (await session.run(code)).status is status
    assert (await session.run("len(x)")).value == "10000000"
    await session.close()


@pytest.mark.parametrize("tier", TIERS)
async def test_images_cannot_be_changed(shared: Shared, tier: str, png: Any) -> None:
    session = await (await shared(tier)).open(SessionSpec(images=(png,)))
    for change in (
        "os.write(4, b'x')",
        "os.ftruncate(4, 0)",
        "__import__('mmap').mmap(4, 10)",
        "os.pwrite(4, b'x', 0)",
    ):
        assert (await session.run("import os\n" + change)).status is ExecStatus.ERROR
    assert (await session.run("image_1.getpixel((0, 0))")).value == "(200, 10, 10)"
    await session.close()


def test_the_tables_of_both_machines_hold_the_calls_that_setting_up_needs() -> None:
    from evalkit.sandbox.guest.seccomp import conditions, program
    from evalkit.sandbox.guest.syscalls import Calls

    for machine in ("x86_64", "aarch64"):
        calls = Calls(machine)
        assert conditions(1).keys() | {"clone3", "pivot_root", "capset"} == calls.other.keys()
        numbers = [*calls.safe.values(), *calls.attributes.values(), *calls.other.values()]
        assert len(numbers) == len(set(numbers))
        assert len(program(calls, 1, own_files=True)) % 8 == 0
        assert not {*calls.safe.values(), *calls.attributes.values()} & {
            numbers[machine == "aarch64"] for numbers in attacks.CALLS.values()
        }
    with pytest.raises(OSError, match="no table of system calls for sparc"):
        Calls("sparc")


def test_the_tables_agree_with_this_systems_headers(tmp_path: Path) -> None:
    from evalkit.sandbox.guest.syscalls import Calls

    header = next(iter(Path("/usr/include").glob("*/asm/unistd_64.h")), None)
    if header is None or os.uname().machine != "x86_64":
        pytest.skip("no headers of x86-64 here")
    lines = (line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_"))
    known = {line[1].removeprefix("__NR_"): int(line[2]) for line in lines}
    calls = Calls("x86_64")
    for name, number in {**calls.safe, **calls.attributes, **calls.other}.items():
        assert known.get(name, number) == number, name
