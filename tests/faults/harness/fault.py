"""What a fault is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar

from tests.faults.harness.scene import Scene


class Lasts(Enum):
    """How long a cause is there."""

    MOMENT = "a moment"
    WHILE = "a while, and passes by itself"
    STAYS = "until somebody mends it"


class Fault(ABC):
    """One way to break a run.

    Attributes:
        name: in the table.
        served: whether the run's model is behind a server.
        anytime: whether it can also strike while the run starts or ends; else only while trajectories run.
        lasts: how long.
        exits: exit codes that the run may have.
        most_s: of seconds that the cause lasts, where it passes by itself.
    """

    name: str
    served: ClassVar[bool] = False
    anytime: bool = True
    lasts: ClassVar[Lasts] = Lasts.MOMENT
    exits: frozenset[int] = frozenset({0, 3})
    most_s: float = 4.0

    def why_not(self) -> str:
        """Why it cannot be made on this machine; empty where it can."""
        return ""

    def prepare(self, scene: Scene) -> None:  # noqa: B027
        """Before the run is started."""

    @abstractmethod
    def strike(self, scene: Scene) -> str | None:
        """Break it; what was drawn, in words, or None where there was nothing to break (any more)."""

    def mend(self, scene: Scene) -> None:  # noqa: B027
        """Take the cause away, where it does not go by itself."""

    def alike(self, scene: Scene) -> frozenset[str]:
        """Samples whose records may differ from the undisturbed run's; the figures may not."""
        return frozenset()
