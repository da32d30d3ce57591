"""A Ray cluster that loses a replica's process, or a node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from tests.faults.harness.fault import Fault, Lasts
from tests.faults.harness.processes import below, end_with_parent, words
from tests.faults.harness.scene import Scene

_ROOT = Path(__file__).parents[3]
_SEEK_S = 10.0
# what evalkit names its actors' class
_ACTOR = "ray::Host"


def why_not() -> str:
    """Why there is no Ray here; empty where there is."""
    return "" if find_spec("ray") else "Ray is not installed for this Python"


class Nodes:
    """The cluster's process."""

    def __init__(self) -> None:
        # Ray makes sockets in it, and their paths may not be long
        self._folder = tempfile.TemporaryDirectory(prefix="nodes-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness.ray_nodes", self._folder.name],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            preexec_fn=end_with_parent,
        )
        self.pid = self._process.pid
        self.address = self._said()
        if not self.address:
            raise RuntimeError("no Ray cluster could be started")

    def tell(self, word: str) -> None:
        """See `ray_nodes`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self._said()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        with self._process:
            self._process.kill()
        self._folder.cleanup()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class ActorEnds(Fault):
    """The process of one of two replicas gets a signal."""

    anytime = False

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        self.name = f"{number.name} of a Ray actor"

    def why_not(self) -> str:
        """See `Fault`."""
        return why_not()

    def prepare(self, scene: Scene) -> None:
        """See `Fault`."""
        scene.options += ["--replicas", "2"]

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.victim is not None
        deadline = time.monotonic() + _SEEK_S
        while scene.victim.lives and time.monotonic() < deadline:
            actors = [pid for pid in below(scene.victim.pid) if words(pid).startswith(_ACTOR)]
            if actors:
                with suppress(ProcessLookupError):
                    os.kill(scene.rng.choice(actors), self.number)
                    return ""
        return None


class NodeEnds(Fault):
    """A node with a replica on it is gone at once; later there is another."""

    name = "a node of the Ray cluster ends"
    anytime = False
    lasts: ClassVar[Lasts] = Lasts.WHILE

    def why_not(self) -> str:
        """See `Fault`."""
        return why_not()

    def prepare(self, scene: Scene) -> None:
        """See `Fault`."""
        self._nodes = scene.nodes = Nodes()
        scene.options += ["--ray", self._nodes.address, "--replicas", "2"]

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        self._nodes.tell("lose")
        return ""

    def mend(self, scene: Scene) -> None:
        """See `Fault`."""
        self._nodes.tell("add")
