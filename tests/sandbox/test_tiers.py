"""Which tier is taken on machines that lack a mechanism: each is taken away from this one, and really tried."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.sandbox import ExecStatus, LocalSandbox, SessionSpec, Tier, _server
from evalkit.sandbox.guest import landlock
from tests.sandbox.conftest import Shared

MACHINE = """
import asyncio, errno, json, sys
from struct import pack
from evalkit.errors import EvalkitError
from evalkit.sandbox import LocalSandbox, SessionSpec
from evalkit.sandbox.guest import seccomp
number, error = json.loads(sys.argv[1])
allow, refuse = pack("=HBBI", 6, 0, 0, 0x7FFF0000), pack("=HBBI", 6, 0, 0, 0x50000 | error)
code = pack("=HBBI", 0x20, 0, 0, 0)
for one in number:
    code += pack("=HBBI", 0x15, 0, 1, one) + refuse
seccomp.install(code + allow)
async def main():
    sandbox = LocalSandbox()
    try:
        capabilities = await sandbox.start()
        session = await sandbox.open(SessionSpec())
        print(json.dumps([capabilities.tier, capabilities.details, (await session.run("6 * 7")).value]))
    except EvalkitError as error:
        print(json.dumps(["", {}, str(error)]))
    finally:
        await sandbox.close()
asyncio.run(main())
"""
COLUMN = 0 if os.uname().machine == "x86_64" else 1
UNSHARE, LANDLOCK, PIVOT_ROOT, MOUNT_SETATTR = (272, 97)[COLUMN], 444, (155, 41)[COLUMN], 442
EPERM, ENOSYS = 1, 38


def tier_without(*calls: int, error: int) -> tuple[str, dict[str, str], str]:
    command = [sys.executable, "-c", MACHINE, json.dumps([calls, error])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    tier, details, said = json.loads(done.stdout)
    return tier, details, said


@pytest.fixture(autouse=True)
async def isolates(shared: Shared) -> None:
    """Skip where the machine itself lacks a tier."""
    await shared("T1")
    await shared("T2")


def test_without_namespaces_it_is_t2() -> None:
    tier, details, said = tier_without(UNSHARE, error=EPERM)
    assert (tier, said) == ("T2", "42")
    assert details["T1"].startswith("no: ")
    assert "namespace: Operation not permitted" in details["T1"]


def test_without_a_root_of_its_own_it_is_t2() -> None:
    tier, details, said = tier_without(PIVOT_ROOT, error=EPERM)
    assert (tier, said) == ("T2", "42")
    assert "pivot_root" in details["T1"]


def test_without_landlock_it_is_t1_still() -> None:
    tier, details, said = tier_without(LANDLOCK, MOUNT_SETATTR, error=ENOSYS)
    assert (tier, said) == ("T1", "42")
    assert details["landlock"] == "no: landlock: Function not implemented"


def test_without_both_nothing_runs() -> None:
    tier, _, said = tier_without(UNSHARE, LANDLOCK, error=EPERM)
    assert tier == ""
    assert "T1: " in said
    assert "T2: landlock: Operation not permitted" in said


@pytest.mark.parametrize("tier", ["T1", "T2"])
async def test_evalkits_own_folder_is_hidden_where_it_lies_among_the_packages(
    tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    # It holds the answers of the built-in samples. Another package stands for it here.
    monkeypatch.setattr(_server, "__file__", str(Path(yaml.__file__).parent / "sandbox" / "_server.py"))
    async with LocalSandbox(tier=Tier(tier)) as sandbox:
        session = await sandbox.open(SessionSpec())
        hidden = await session.run(f"open({yaml.__file__!r}).read()")
        assert hidden.status is ExecStatus.ERROR
        assert (await session.run("import yaml; yaml.safe_load")).status is ExecStatus.ERROR
        assert (await session.run("import numpy, PIL.BlpImagePlugin, json.tool; 1")).value == "1"


def test_rules_around_a_hidden_folder(tmp_path: Path) -> None:
    for name in ("a/x", "b/hidden/y", "b/z"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b/link").symlink_to("/")
    root, hidden = str(tmp_path), str(tmp_path / "b/hidden")
    assert landlock.without(f"{root}/a", [hidden]) == [(f"{root}/a", landlock.READ)]
    assert sorted(landlock.without(root, [hidden])) == sorted(
        [
            (root, landlock.LIST),
            (f"{root}/a", landlock.READ),
            (f"{root}/b", landlock.LIST),
            (hidden, landlock.LIST),
            (f"{root}/b/z", landlock.READ),
        ]
    )
