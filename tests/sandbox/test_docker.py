"""The docker sandbox: its command line and errors, its sessions behind a stand-in for `docker`, and in a container.

The stand-in runs the container's program on this machine, without a container.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from evalkit.errors import EvalkitError, SandboxError
from evalkit.images import ImageFile
from evalkit.sandbox import DockerSandbox, ExecStatus, Limits, SessionSpec, Tier
from tests.sandbox.sandboxing import NAMES, alive, children, descriptors

STAND_IN = """\
#!{python}
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(here + "/calls", "a") as calls:
    print(sys.argv[1:], file=calls)
if sys.argv[1] == "info":
    print("99.0")
elif sys.argv[1] == "run":
    image = sys.argv.index("--entrypoint") + 2
    if sys.argv[image] != "evalkit-sandbox":
        sys.exit("docker: Error response from daemon: No such image: " + sys.argv[image])
    variables = dict(word[6:].split("=", 1) for word in sys.argv if word.startswith("--env="))
    os.chdir(sys.argv[sys.argv.index("--workdir") + 1])
    os.execve({python!r}, [{python!r}, *sys.argv[image + 1:]], variables)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: those of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="docker-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def stand_in(folder: Path) -> Path:
    script = folder / "bin" / "docker"
    script.parent.mkdir()
    script.write_text(STAND_IN.format(python=sys.executable))
    script.chmod(0o755)
    return script


def replace(stand_in: Path, script: str) -> None:
    stand_in.write_text(f"#!/bin/sh\n{script}\n")


@pytest_asyncio.fixture(loop_scope="session")
async def container(folder: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DockerSandbox]:
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HF_TOKEN", "planted-secret")
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    before = children(), descriptors()
    async with DockerSandbox(memory_mb=4000) as started:
        yield started
    assert os.listdir(folder / "tmp") == []
    assert children() - before[0] == set()
    assert descriptors() - before[1] == set()


@pytest.fixture(autouse=True)
def isolates(request: pytest.FixtureRequest) -> None:
    """Sessions behind the stand-in need T2 of this machine."""
    if "container" in request.fixturenames:
        from evalkit.sandbox.guest import landlock

        try:
            version = landlock.version()
        except OSError:
            version = 0
        if version < 3:
            pytest.skip("this machine's kernel has no landlock")


def test_the_command_line(folder: Path) -> None:
    root = folder / "root"
    words = DockerSandbox(image="mine:1", memory_mb=1000, pids=77).command(root, "a-name")
    assert words[:2] == ["docker", "run"]
    pairs = set(pairwise(words))
    user = f"{os.geteuid()}:{os.getegid()}" if os.geteuid() else "65534:65534"
    assert pairs >= {
        ("--name", "a-name"),
        ("--network", "none"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges"),
        ("--pids-limit", "77"),
        ("--memory", "1512m"),
        ("--memory-swap", "1512m"),
        ("--user", user),
        ("--pull", "never"),
        ("--mount", f"type=bind,src={root},dst={root},readonly"),
        ("--tmpfs", f"{root}/scratch:rw,noexec,nosuid,nodev,size=67108864,mode=1777"),
        ("--workdir", f"{root}/scratch"),
        ("--entrypoint", "python3"),
        ("python3", "mine:1"),
    }
    assert {"--rm", "--read-only"} <= set(words)
    assert not {"--privileged", "--cap-add", "--volume", "-v", "--publish"} & set(words)
    assert words[-2:] == [f"{root}/guest", f"{root}/socket"]
    variables = {word.partition("=")[2].partition("=")[0] for word in words if word.startswith("--env=")}
    assert "MPLCONFIGDIR" in variables
    assert not variables & {"PATH", "LD_LIBRARY_PATH", "HF_TOKEN"}


async def test_a_missing_command_is_one_line() -> None:
    with pytest.raises(EvalkitError, match=r"needs the command 'no-such-docker': No such file") as caught:
        await DockerSandbox(docker="no-such-docker").start()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo Client: >&2; echo Cannot connect to the Docker daemon >&2; exit 1", "Cannot connect to the Docker"),
        ("echo no server >&2", "no server"),
        ("exit 1", "no version"),
        ("exec sleep 30", "within 0.3 s"),
    ],
)
async def test_an_engine_that_does_not_answer_is_one_line(
    stand_in: Path, script: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.sandbox.docker._INFO_S", 0.3 if "sleep" in script else 20.0)
    replace(stand_in, script)
    with pytest.raises(EvalkitError, match=f"Docker engine does not answer.*{says}") as caught:
        await DockerSandbox(docker=str(stand_in)).start()
    assert "\n" not in str(caught.value)


async def test_a_missing_image_says_how_to_build_it(
    folder: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    with pytest.raises(EvalkitError, match=r"No such image: absent; to build the image: docker build .*Dockerfile"):
        await DockerSandbox(image="absent", docker=str(stand_in)).start()
    assert os.listdir(folder / "tmp") == []


async def test_a_container_that_does_not_connect(folder: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    monkeypatch.setattr("evalkit.sandbox.docker._CONNECT_S", 0.3)
    replace(stand_in, f"echo $1 >> {folder}/calls\ncase $1 in info) echo 1;; run) exec sleep 60;; esac")
    with pytest.raises(EvalkitError, match=r"does not answer within 0\.3 s"):
        await DockerSandbox(docker=str(stand_in)).start()
    assert (folder / "calls").read_text().split() == ["info", "run", "rm"]
    assert os.listdir(folder / "tmp") == []


async def test_sessions(container: DockerSandbox, png: ImageFile) -> None:
    capabilities = await container.start()
    assert (capabilities.tier, capabilities.isolated) == (Tier.T2, True)
    assert capabilities.details["container"] == "yes (Docker 99.0)"
    assert container.describe()["kind"] == "docker"
    spec = SessionSpec(images=(png,), imports=NAMES, limits=Limits(call_s=1, grace_s=0.5))
    session = await container.open(spec)
    other = await container.open(spec)
    assert (await session.run("kept = image_1.size\nprint('out')\nkept")).value == "(40, 30)"
    assert (await other.run("'kept' in globals()")).value == "False"
    shown = await session.run("plt.plot([1]); plt.show()\nimage_1")
    assert [image.open().mode for image in shown.images] == ["RGB", "RGB"]
    late = await session.run("while True: pass")
    assert (late.status, late.state_lost) == (ExecStatus.TIMEOUT, False)
    assert (await session.run("kept")).value == "(40, 30)"
    died = await session.run("os._exit(3)")
    assert (died.status, died.state_lost) == (ExecStatus.DIED, True)
    assert "exit code 3" in died.stderr
    assert (await session.run("'kept' in globals(), os.environ.get('HF_TOKEN')")).value == "(False, None)"
    refused = await session.run("open('/etc/passwd')")
    assert refused.status is ExecStatus.ERROR


async def test_a_dead_container_is_replaced(container: DockerSandbox, stand_in: Path) -> None:
    session = await container.open(SessionSpec())
    assert (await session.run("1")).value == "1"
    assert container._server is not None
    pid = container._server.pid
    os.kill(pid, 9)
    deadline = time.monotonic() + 20
    while (await session.run("2")).status is not ExecStatus.OK:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    again = await container.open(SessionSpec())
    assert (await again.run("3")).value == "3"
    assert not alive(pid)


async def test_a_start_that_is_cancelled_leaves_nothing(
    folder: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    before = children(), descriptors()
    for delay in (0.05, 0.2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(DockerSandbox(docker=str(stand_in)).start(), delay)
    deadline = time.monotonic() + 20
    while children() - before[0] or descriptors() - before[1]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_processes_that_cannot_be_signalled_are_refused(
    folder: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    with pytest.raises(EvalkitError, match="rootless"):
        await DockerSandbox(docker=str(stand_in)).start()


def engine() -> str:
    """Why there is no engine with the image, or nothing."""
    try:
        done = subprocess.run(["docker", "image", "inspect", "evalkit-sandbox"], capture_output=True, timeout=20)
        info = subprocess.run(["docker", "info", "--format", "{{.ServerVersion}}"], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no Docker engine: {error}"
    if info.returncode:
        return "no Docker engine answers here (docker info)"
    return "the image evalkit-sandbox is not built here" if done.returncode else ""


def leftovers() -> list[str]:
    command = ["docker", "ps", "--all", "--filter", "name=evalkit-", "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


async def test_a_real_container(png: ImageFile) -> None:
    if why := engine():
        pytest.skip(why)
    async with DockerSandbox(allow_shared=True) as sandbox:
        session = await sandbox.open(SessionSpec(images=(png,), imports=NAMES))
        assert (await session.run("image_1.size, np.arange(3).sum().item()")).value == "((40, 30), 3)"
        assert len((await session.run("plt.plot([1])")).images) == 1
        assert (await session.run("import socket; socket.create_connection(('1.1.1.1', 53), 1)")).status is (
            ExecStatus.ERROR
        )
        for code in ("open('/evalkit', 'w')", "open('/usr/evalkit', 'w')"):
            assert (await session.run(code)).status is ExecStatus.ERROR
    assert leftovers() == []


async def test_it_must_be_started() -> None:
    with pytest.raises(SandboxError, match="not started"):
        await DockerSandbox().open(SessionSpec())
