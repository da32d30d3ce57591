"""Processes that end: of evalkit, of its sandbox, of its model's server."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import ClassVar

from tests.faults.harness.fault import Fault, Lasts
from tests.faults.harness.processes import children, words
from tests.faults.harness.scene import Scene

_LAUNCH = "evalkit_guest.launch"
_SEEK_S = 5.0


class EvalkitEnds(Fault):
    """evalkit itself gets a signal."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        self.name = f"{number.name} of evalkit"
        # before its own handler is there, SIGTERM ends it like any process
        self.exits = frozenset({-number, 128 + number} if number == signal.SIGTERM else {-number})

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.victim is not None
        if not scene.victim.lives:
            return None
        if scene.victim.rows.look() >= len(scene.expected):
            # while its figures are made nothing is left to stop: it ends as if nobody had asked
            self.exits |= {0}
        os.kill(scene.victim.pid, self.number)
        return ""


class ServerEnds(Fault):
    """The model's server gets a signal, and is started again after a while."""

    served: ClassVar[bool] = True
    lasts: ClassVar[Lasts] = Lasts.WHILE

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        self.name = f"{number.name} of the engine's server"

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.server is not None
        scene.server.end(self.number)
        return ""

    def mend(self, scene: Scene) -> None:
        """See `Fault`."""
        assert scene.server is not None
        scene.server.start()


class SandboxEnds(Fault):
    """A process of the sandbox gets a signal.

    Args:
        what: "fork server", "keeper" (which takes every session with it) or "session".
        number: the signal.
        name: in the table.
    """

    anytime = False

    def __init__(self, what: str, number: signal.Signals, name: str) -> None:
        self.what, self.number, self.name = what, number, name

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.victim is not None
        deadline = time.monotonic() + _SEEK_S
        while scene.victim.lives and time.monotonic() < deadline:
            found = self._find(scene.victim.pid, scene)
            if found:
                with suppress(ProcessLookupError):
                    os.kill(found, self.number)
                    return ""
        return None

    def _find(self, pid: int, scene: Scene) -> int:
        launchers = [child for child in children(pid) if _LAUNCH in words(child)]
        keepers = children(launchers[0]) if launchers else []
        servers = children(keepers[0]) if keepers else []
        if self.what == "keeper" or not servers:
            return keepers[0] if keepers else 0
        if self.what == "fork server":
            return servers[0]
        sessions = children(servers[0])
        return scene.rng.choice(sessions) if sessions else 0
