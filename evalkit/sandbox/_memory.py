"""All sessions together may use so much memory; beyond it the largest one goes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from evalkit.sandbox._forked import Forked

_EVERY_S = 0.5
# Looking must not become a load itself: at most a twentieth of the time.
_REST = 20.0
_SHARE_OF_FREE = 0.75
# Between these two no new session starts, but none has to go.
_FULL = 0.85
_KB_PER_MB = 1024
_UNKNOWN_MB = 1 << 20


class MemoryWatch:
    """Measures sessions, ends the largest while all together are over the cap, and lets new ones wait.

    A session counts with its proportional share of the pages it has in common with others (PSS), and with its
    resident pages where the system does not tell that.

    Args:
        cap_mb: of all sessions together; None for three quarters of what is free at the start.
    """

    def __init__(self, cap_mb: int | None = None) -> None:
        self.cap_mb = cap_mb or 0
        self._sessions: set[Forked] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self.cap_mb = self.cap_mb or int(free_mb() * _SHARE_OF_FREE)
        self._task = asyncio.create_task(self._watch())

    def add(self, session: Forked) -> None:
        """Watch a session until it is reaped."""
        self._sessions.add(session)

    async def room(self) -> None:
        """Wait until there is room for another session."""
        await self._room.wait()

    async def close(self) -> None:
        """Stop watching; safe to call twice."""
        task, self._task = self._task, None
        self._room.set()
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        pause = _EVERY_S
        while True:
            await asyncio.sleep(pause)
            begun = time.monotonic()
            self._sessions = {session for session in self._sessions if not session.ended}
            sizes = await asyncio.to_thread(_sizes, list(self._sessions))
            self._weigh(sizes)
            pause = max(_EVERY_S, _REST * (time.monotonic() - begun))

    def _weigh(self, sizes: dict[Forked, float]) -> None:
        total = sum(sizes.values())
        while total > self.cap_mb and sizes:
            largest = max(sizes, key=lambda session: sizes[session])
            mine = sizes.pop(largest)
            largest.reason = (
                f"was ended to free memory: all sessions together used {total:,.0f} MB of {self.cap_mb:,} MB, "
                f"this one, the largest, {mine:,.0f} MB"
            )
            largest.kill()
            total -= mine
        if total > _FULL * self.cap_mb:
            self._room.clear()
        else:
            self._room.set()


def free_mb() -> float:
    """Memory that can be had: of the machine, or of this process's cgroup if that is less."""
    free = float(_UNKNOWN_MB)
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = float(line.split()[1]) / _KB_PER_MB
    for cap, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):
            free = min(free, (float(Path(cap).read_text()) - float(Path(used).read_text())) / _KB_PER_MB**2)
    return max(free, 0.0)


def pss_mb(pid: int) -> float:
    """A process's proportional share of memory, its resident pages where that is not told, 0 if it is gone."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1]) / _KB_PER_MB
    with suppress(OSError, ValueError, IndexError):
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * 4096 / _KB_PER_MB**2
    return 0.0


def _sizes(sessions: list[Forked]) -> dict[Forked, float]:
    return {session: pss_mb(session.pid) for session in sessions if session.pid}
