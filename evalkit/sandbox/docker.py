"""The fork server in a container: one for all sessions, each of which is isolated inside it once more.

The host and the container share a kernel and a private folder. The launcher connects to a Unix socket in that
folder; from there on all is as without a container: descriptors of sockets, images and processes cross it.

Written without a Docker engine at hand: it was run against a stand-in for the `docker` command only.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import EvalkitError, SandboxError, one_line
from evalkit.sandbox._memory import free_mb
from evalkit.sandbox._server import SYSTEM, ForkServer
from evalkit.sandbox._setup import MB, environment
from evalkit.sandbox.base import Capabilities, Limits, Tier
from evalkit.sandbox.local import LocalSandbox

_INFO_S = 20.0
_CONNECT_S = 60.0
_LOOK_S = 0.1
_REMOVE_S = 30.0
_SHARE_OF_FREE = 0.75
# For the server, on top of the sessions.
_SERVER_MB = 512
_SCRATCH_MB = 64
_NOBODY = 65534
_GUEST = Path(__file__).parent / "guest"
_DOCKERFILE = Path(__file__).parent / "Dockerfile"

_BOOT = """\
import json, socket, sys, sysconfig
guest = type(sys)("evalkit_guest")
guest.__path__ = [sys.argv[1]]
sys.modules["evalkit_guest"] = guest
from evalkit_guest.launch import main
host = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
host.connect(sys.argv[2])
paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
paths += [prefix + "/lib" for prefix in (sys.prefix, sys.base_prefix)]
paths += [path for path in sys.path if path.endswith("-packages")]
host.send(json.dumps({"version": sys.version_info[:2], "reads": paths}).encode())
main(host.detach())
"""
"""The first thing that it says is where its Python keeps its files; the host's paths mean nothing to it."""


class _Hello(msgspec.Struct):
    version: tuple[int, int]
    reads: list[str]


class DockerSandbox(LocalSandbox):
    """Sessions of a fork server in a container, made with the `docker` command.

    The container has no network, a read-only root, no capabilities, a user without rights, and limits on processes
    and memory. In it each session is held by landlock, seccomp and resource limits (T2), which keep it from the
    other sessions. Needs Linux and an engine on this machine that neither runs rootless nor remaps users.
    It has not been run against a real engine yet, only against a stand-in for the command.

    Args:
        limits: of sessions that name none.
        image: with Python 3.11 or later, numpy, Pillow and matplotlib; `Dockerfile` beside this module makes one.
            It is never pulled.
        memory_mb: all sessions together; None for three quarters of what is free now.
        pids: processes and threads in the container.
        allow_shared: where the engine refuses landlock or seccomp, run sessions that the container keeps from the
            host, but nothing from each other (T0).
        docker: the command.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        image: str = "evalkit-sandbox",
        *,
        memory_mb: int | None = None,
        pids: int = 4096,
        allow_shared: bool = False,
        docker: str = "docker",
    ) -> None:
        memory_mb = memory_mb or int(free_mb() * _SHARE_OF_FREE)
        super().__init__(limits, Tier.T2, memory_mb=memory_mb)
        self._image = image
        self._memory_mb = memory_mb
        self._pids = pids
        self._allow_shared = allow_shared
        self._docker = docker

    def describe(self) -> dict[str, Any]:
        """Kind, image, limits, and the memory of all sessions together in MB."""
        return super().describe() | {"kind": "docker", "image": self._image, "pids": self._pids}

    def command(self, root: Path, name: str) -> list[str]:
        """The command line that runs a container.

        Args:
            root: folder shared with it, read-only, at the same path.
            name: of the container.
        """
        scratch = root / "scratch"
        memory = f"{self._memory_mb + _SERVER_MB}m"
        variables = environment(root, scratch) | {"MPLCONFIGDIR": str(scratch)}
        return [
            *(self._docker, "run", "--rm", "--name", name, "--pull", "never", "--log-driver", "none"),
            *("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--pids-limit", str(self._pids), "--memory", memory, "--memory-swap", memory, "--ulimit", "core=0"),
            *("--user", "{}:{}".format(*_user())),
            *("--mount", f"type=bind,src={root},dst={root},readonly"),
            *("--tmpfs", f"{scratch}:rw,noexec,nosuid,nodev,size={_SCRATCH_MB * MB},mode=1777"),
            *("--workdir", str(scratch)),
            # The paths of the host's programs and libraries mean nothing in there.
            *(f"--env={key}={value}" for key, value in sorted(variables.items()) if not key.endswith("PATH")),
            *("--entrypoint", "python3", self._image),
            *("-I", "-X", "utf8", "-c", _BOOT, str(root / "guest"), str(root / "socket")),
        ]

    async def _choose(self) -> Capabilities:
        if sys.platform != "linux":
            raise EvalkitError(
                f"the docker sandbox shares descriptors with its container: on Linux only, not on {sys.platform}"
            )
        version = await asyncio.to_thread(_engine, self._docker)
        container = {"container": f"yes (Docker {version})", "no network": "yes"}
        problem = await self._try(Tier.T2)
        if not problem:
            return Capabilities(tier=Tier.T2, isolated=True, details=container | self._details())
        if self._allow_shared:
            await self._stop()
            apart = {"sessions kept apart": f"no: {problem}"}
            problem = await self._try(Tier.T0)
            if not problem:
                return Capabilities(tier=Tier.T0, isolated=False, details=container | self._details() | apart)
        raise EvalkitError(
            f"no session runs in a container of the image {self._image!r}: {problem}; "
            f"to build the image: docker build --tag {self._image} - < {_DOCKERFILE}"
        )

    def _new_server(self, tier: Tier, folder: Path) -> ForkServer:
        return _ContainerServer(tier, folder, self)


class _ContainerServer(ForkServer):
    """A fork server whose launcher is a container's first process."""

    def __init__(self, tier: Tier, root: Path, sandbox: DockerSandbox) -> None:
        super().__init__(tier, root)
        self._sandbox = sandbox
        self._name = ""
        self._reads: list[str] = []

    @property
    def isolates(self) -> bool:
        """Whether its sessions are kept away from the disk: by the container, if by nothing else."""
        return True

    async def fork(self, fds: Sequence[int]) -> tuple[int, Future[int]]:
        """See `ForkServer.fork`."""
        pidfd, status = await super().fork(fds)
        try:
            signal.pidfd_send_signal(pidfd, 0)
        except ProcessLookupError:
            pass
        except PermissionError:
            os.close(pidfd)
            raise SandboxError(
                "the container's processes belong to a user of its own; an engine is needed that neither runs "
                "rootless nor remaps users"
            ) from None
        return pidfd, status

    async def close(self) -> None:
        """End the container and every session; safe to call twice."""
        process = self._process
        await super().close()
        if process is not None and process.returncode:
            await asyncio.to_thread(self._remove)

    async def _begin(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        begun = asyncio.ensure_future(asyncio.to_thread(self._run))
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            # Without its socket the launcher ends, and the container with it.
            begun.add_done_callback(_drop)
            raise
        except OSError as error:
            raise SandboxError(f"cannot start a container: {one_line(error)}") from error

    def _run(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        self._lay_out()
        self._name = f"evalkit-{secrets.token_hex(8)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, open(self._errors, "wb") as errors:
            path = self._root / "socket"
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            path.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(path, *_user())
            listener.listen(1)
            listener.settimeout(_LOOK_S)
            process = subprocess.Popen(
                self._sandbox.command(self._root, self._name),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                # Ctrl-C is for evalkit, which then ends the container in order.
                start_new_session=True,
            )
            try:
                return process, self._greet(listener, process)
            except BaseException:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                    self._remove()
                raise
            finally:
                path.unlink(missing_ok=True)

    def _lay_out(self) -> None:
        """Put into the shared folder what the container needs, for any user to read."""
        (self._root / "scratch").mkdir(exist_ok=True)
        guest = self._root / "guest"
        guest.mkdir(exist_ok=True)
        guest.chmod(0o755)
        for source in _GUEST.glob("*.py"):
            (guest / source.name).write_bytes(source.read_bytes())
            (guest / source.name).chmod(0o644)

    def _greet(self, listener: socket.socket, process: subprocess.Popen[bytes]) -> socket.socket:
        """Wait for the launcher and hear it out: its socket.

        Raises:
            SandboxError: it does not come.
        """
        deadline = time.monotonic() + _CONNECT_S
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                channel = listener.accept()[0]
                try:
                    channel.settimeout(_CONNECT_S)
                    hello = msgspec.json.decode(channel.recv(1 << 16), type=_Hello)
                    if hello.version < (3, 11):
                        raise SandboxError("its Python is older than 3.11")
                    channel.settimeout(None)
                except (msgspec.MsgspecError, OSError) as error:
                    channel.close()
                    raise SandboxError(f"the container does not answer: {one_line(error)}") from error
                except BaseException:
                    channel.close()
                    raise
                self._reads = hello.reads
                return channel
            if process.poll() is not None:
                said = self._errors.read_text(errors="replace").strip().splitlines() or ["it says nothing"]
                raise SandboxError(f"the container ended at once: {one_line(' '.join(said[-3:]))}")
        raise SandboxError(f"the container does not answer within {_CONNECT_S:g} s")

    def _config(self) -> dict[str, Any]:
        scratch = str(self._root / "scratch")
        reads = [*SYSTEM, *dict.fromkeys(self._reads)]
        own = {"settings": scratch, "folder": scratch, "packages": [], "reads": reads, "hidden": []}
        return super()._config() | own

    @property
    def _errors(self) -> Path:
        return self._root / "errors"

    def _remove(self) -> None:
        """Remove a container whose command had to be ended."""
        with suppress(OSError, subprocess.SubprocessError):
            command = [self._sandbox.command(self._root, self._name)[0], "rm", "--force", self._name]
            subprocess.run(command, capture_output=True, timeout=_REMOVE_S, check=False)


def _user() -> tuple[int, int]:
    """The container's user and group: this process's own, so that it may signal sessions; never root."""
    return (os.geteuid(), os.getegid()) if os.geteuid() else (_NOBODY, _NOBODY)


def _engine(docker: str) -> str:
    """The engine's version.

    Raises:
        EvalkitError: there is none.
    """
    other = "; without one, use the local sandbox"
    try:
        command = [docker, "info", "--format", "{{.ServerVersion}}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INFO_S, check=False)
    except OSError as error:
        raise EvalkitError(f"the docker sandbox needs the command {docker!r}: {error.strerror}{other}") from error
    except subprocess.TimeoutExpired:
        raise EvalkitError(f"the Docker engine does not answer within {_INFO_S:g} s{other}") from None
    version = done.stdout.strip()
    if done.returncode or not version:
        said = (done.stderr.strip().splitlines() or ["no version"])[-1]
        raise EvalkitError(f"the Docker engine does not answer: {one_line(said)}{other}")
    return one_line(version, 40)


def _drop(begun: asyncio.Future[tuple[subprocess.Popen[bytes], socket.socket]]) -> None:
    if not begun.cancelled() and begun.exception() is None:
        process, channel = begun.result()
        channel.close()
        # Waited for when it has ended; the thread is gone by then.
        asyncio.get_running_loop().run_in_executor(None, process.wait)
