"""A model server that misbehaves for a while, and a network that refuses for a while."""

from __future__ import annotations

from typing import ClassVar

from tests.faults.harness.fault import Fault, Lasts
from tests.faults.harness.model_server import FINE, REFUSE
from tests.faults.harness.scene import Scene

NAMES = {
    "429": "server says 429",
    "500": "server says 500",
    "502": "server says 502",
    "hang": "server hangs",
    "garbage": "server sends garbage",
    "truncated": "server cuts its replies short",
    "slow": "server drips (slow loris)",
    REFUSE: "network refuses, then is back",
}


class ServerMisbehaves(Fault):
    """The server behaves as it is told to, and well again after a while."""

    served: ClassVar[bool] = True
    lasts: ClassVar[Lasts] = Lasts.WHILE

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.name = NAMES[mode]

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.server is not None
        scene.server.behave(self.mode)
        return ""

    def mend(self, scene: Scene) -> None:
        """See `Fault`."""
        assert scene.server is not None
        scene.server.behave(FINE)
