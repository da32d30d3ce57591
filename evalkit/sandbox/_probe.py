"""Attacks on this machine from inside a session: a tier holds if all of them fail, and ordinary code works."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from evalkit.errors import one_line
from evalkit.images import ImageFile
from evalkit.sandbox.base import ExecResult, ExecStatus, Limits, SessionSpec

_ORDINARY = """
import json, math, random
import numpy as np
from PIL import Image
numbers = np.arange(12.0).reshape(3, 4)
crop = image_1.crop((1, 1, 5, 4)).resize((8, 6))
float(np.linalg.inv(np.eye(3))[0, 0]), int((numbers @ numbers.T).sum()), crop.size
"""
_ORDINARY_VALUE = "(1.0, 1134, (8, 6))"
_PLOT = """
import matplotlib.pyplot as plt
plt.plot([1, 2, 3])
plt.title("$x^2$")
"""
_ATTACKS = """
import ctypes, json, os, signal, socket
port, decoy, secret, token = {port}, {decoy}, {secret!r}, {token!r}
libc = ctypes.CDLL(None, use_errno=True)

def connect():
    with socket.create_connection(("127.0.0.1", port), 1):
        return True
def read_passwd():
    return bool(open("/etc/passwd").read(1))
def read_secret_file():
    return token in open(secret + "/secret").read()
def read_environment():
    return token in open(f"/proc/{{decoy}}/environ").read()
def write_outside():
    with open(secret + "/written", "w") as file:
        return True
def change_outside():
    os.chmod(secret + "/secret", 0o600)
    return True
def signal_parent():
    os.kill(os.getppid() or decoy, 0)
    return True
def trace_other():
    if libc.ptrace(16, decoy, None, None) != 0:
        return False
    os.waitpid(decoy, 0)
    libc.ptrace(17, decoy, None, None)
    return True
def signal_other():
    os.kill(decoy, signal.SIGTERM)
    return True
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return True
reached = {{}}
for attack in (connect, read_passwd, read_secret_file, read_environment, write_outside, change_outside,
               signal_parent, trace_other, signal_other, fork):
    try:
        reached[attack.__name__] = bool(attack())
    except (OSError, KeyError):
        reached[attack.__name__] = False
print(json.dumps(reached))
"""
_ATTACKED = 10
_EXEC = """
import os
try:
    os.execv({python!r}, ["python", "-c", ""])
except OSError:
    print("kept")
"""


class Probe:
    """Plants what the attacks are after, and takes it away again.

    Args:
        attack: also attack; else only run ordinary code.
        within: folder for what is planted, which goes even if this process is killed.
    """

    def __init__(self, attack: bool = True, within: Path | None = None) -> None:
        self._attack = attack
        self._within = within
        self._token = secrets.token_hex(16)
        self._asked = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="evalkit-probe-", dir=self._within))
        # Open to all: what keeps a session out must be the sandbox and not the file's mode.
        self._folder.chmod(0o777)
        secret = self._folder / "secret"
        secret.write_text(self._token)
        secret.chmod(0o666)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._decoy = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "import os; os.write(1, b'.'); os.read(0, 1)"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "EVALKIT_PROBE_TOKEN": self._token},
        )
        # The kernel fills in /proc/PID/environ after `Popen` has returned.
        assert self._decoy.stdout is not None
        self._decoy.stdout.read(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoy.kill()
        with self._decoy:
            pass
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def spec(self) -> SessionSpec:
        """What the session starts with."""
        from PIL import Image

        image = ImageFile.from_pil(Image.new("L", (8, 6), 100))
        return SessionSpec(images=(image,), limits=Limits())

    @property
    def cells(self) -> list[str]:
        """What it runs; `judge` takes the results in the same order."""
        cells = [_ORDINARY]
        if find_spec("matplotlib"):
            cells.append(_PLOT)
        self._plain = len(cells)
        if self._attack:
            port = self._listener.getsockname()[1]
            secret = str(self._folder)
            cells.append(_ATTACKS.format(port=port, decoy=self._decoy.pid, secret=secret, token=self._token))
            cells.append(_EXEC.format(python=sys.executable))
        return cells

    def judge(self, result: ExecResult) -> str:
        """What is wrong with the next cell's result, or nothing."""
        self._asked += 1
        if result.status is not ExecStatus.OK:
            what = "ordinary code fails" if self._asked <= self._plain else "an attack ended its session"
            return f"{what}: {one_line(result.stderr.rstrip().rpartition(chr(10))[2] or result.status)}"
        if self._asked == 1:
            return "" if result.value == _ORDINARY_VALUE else f"ordinary code gives {result.value!r}"
        if self._asked <= self._plain:
            return "" if len(result.images) == 1 else "a plot gives no image"
        if self._asked == self._plain + 2:
            return "" if result.stdout == "kept\n" else "exec succeeds"
        try:
            reached = json.loads(result.stdout)
        except ValueError:
            return "the attacks did not report"
        if len(reached) != _ATTACKED:
            return "the attacks did not report"
        done = [name.replace("_", " ") for name, success in reached.items() if success]
        return f"attacks succeed: {', '.join(done)}" if done else ""

    def aftermath(self) -> str:
        """What the attacks left behind, as this process sees it, or nothing."""
        with suppress(BlockingIOError):
            self._listener.accept()[0].close()
            return "a connection came out of the session"
        if self._decoy.poll() is not None:
            return "a signal came out of the session"
        if sorted(path.name for path in self._folder.iterdir()) != ["secret"]:
            return "a file was written from the session"
        return ""
