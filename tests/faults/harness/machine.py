"""What a machine does to a run: its disk, its clock, its memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from tests.faults.harness import disk, shim
from tests.faults.harness.fault import Fault, Lasts
from tests.faults.harness.scene import Scene

_NEEDED_MB = 4096
_DAY_S = 86_400.0


class DiskFull(Fault):
    """The disk is full from now on, but for a few blocks; later somebody makes room."""

    name = "disk full while writing"
    lasts: ClassVar[Lasts] = Lasts.STAYS

    def why_not(self) -> str:
        """See `Fault`."""
        return disk.why_not()

    def prepare(self, scene: Scene) -> None:
        """See `Fault`."""
        scene.disk = disk.Disk()
        scene.run = scene.disk.folder / "run"

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.disk is not None
        assert scene.victim is not None
        if not scene.victim.lives:
            return None
        blocks = scene.rng.randrange(8)
        scene.disk.fill(blocks)
        return f"{blocks} blocks left"

    def mend(self, scene: Scene) -> None:
        """See `Fault`."""
        assert scene.disk is not None
        scene.disk.free()


class DiskReadOnly(Fault):
    """The disk cannot be written from now on, as one that has found an error in itself; later it is repaired."""

    name = "disk read-only while writing"
    lasts: ClassVar[Lasts] = Lasts.STAYS

    def why_not(self) -> str:
        """See `Fault`."""
        return shim.why_not()

    def prepare(self, scene: Scene) -> None:
        """See `Fault`."""
        scene.shim = shim.Shim(scene.work / "page", scene.run)
        scene.variables |= scene.shim.environment

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.shim is not None
        assert scene.victim is not None
        if not scene.victim.lives:
            return None
        scene.shim.read_only(True)
        return ""

    def mend(self, scene: Scene) -> None:
        """See `Fault`."""
        assert scene.shim is not None
        scene.shim.read_only(False)


class ClockJumps(Fault):
    """The clock on the wall is put on or back by up to ten days, and right again after a while."""

    lasts: ClassVar[Lasts] = Lasts.WHILE
    exits = frozenset({0})
    most_s = 1.0

    def __init__(self, way: int) -> None:
        self.way = way
        self.name = f"clock jumps {'ahead' if way > 0 else 'back'}"

    def why_not(self) -> str:
        """See `Fault`."""
        return shim.why_not()

    def prepare(self, scene: Scene) -> None:
        """See `Fault`."""
        scene.shim = shim.Shim(scene.work / "page", scene.run)
        scene.variables |= scene.shim.environment

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        assert scene.shim is not None
        seconds = 10 ** scene.rng.uniform(0, 6)
        scene.shim.jump(self.way * min(seconds, 10 * _DAY_S))
        return f"{seconds:.0f} s"

    def mend(self, scene: Scene) -> None:
        """See `Fault`."""
        assert scene.shim is not None
        scene.shim.jump(0)


class MemoryEaten(Fault):
    """The code of one sample really takes memory until it gets no more."""

    name = "code that eats memory"
    anytime = False
    exits = frozenset({0})

    def why_not(self) -> str:
        """See `Fault`."""
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:") and int(line.split()[1]) < _NEEDED_MB * 1024:
                return f"less than {_NEEDED_MB} MB of memory are free"
        return ""

    def prepare(self, scene: Scene) -> None:
        """See `Fault`."""
        self.hungry = scene.rng.choice(scene.expected[::4])
        scene.write_script(frozenset({self.hungry}))

    def strike(self, scene: Scene) -> str | None:
        """See `Fault`."""
        # it strikes by itself when the sample's turn comes
        time.sleep(0)
        return f"sample {self.hungry}"

    def alike(self, scene: Scene) -> frozenset[str]:
        """See `Fault`."""
        return frozenset({self.hungry})
