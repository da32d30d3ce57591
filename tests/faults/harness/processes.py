"""Processes of a run and what is left of them: by the kernel's own word, for no process can hide from it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_SET_CHILD_SUBREAPER, _SET_PARENT_DEATH_SIGNAL = 36, 1
_LOOK_S = 0.02


def adopt_orphans() -> None:
    """From now on what loses its parent below this process becomes its child, and can be seen."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """End this process when its parent does, however that ends."""
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def begin_worker() -> None:
    """Make this process one in which breaks can be made."""
    end_with_parent()
    adopt_orphans()


def children(pid: int) -> list[int]:
    """Of all its threads, in the order in which they were begun."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return sorted(found, key=_born)


def below(pid: int) -> list[int]:
    """All descendants."""
    found = []
    for child in children(pid):
        found += [child, *below(child)]
    return found


def words(pid: int) -> str:
    """Its command line, empty where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return ""


def orphans(known: set[int], patience_s: float) -> list[str]:
    """What is left of a run whose own process has ended, after a while for it to end by itself.

    Args:
        known: processes below this one that are no part of the run.
        patience_s: how long to wait.

    Returns:
        Each in words. They are killed.
    """
    deadline = time.monotonic() + patience_s
    while True:
        left = []
        for pid in children(os.getpid()):
            if pid in known:
                continue
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    continue
            left.append(pid)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(_LOOK_S)
    said = [f"{pid}: {words(pid)[-120:] or _name(pid)}" for top in left for pid in (top, *below(top))]
    for top in left:
        for pid in (*below(top), top):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(OSError):
            os.waitpid(top, 0)
    return said


def _born(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "gone meanwhile"


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
