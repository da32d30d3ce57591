"""What the tests of this folder share, beside their fixtures."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from evalkit.sandbox import ExecResult, LocalSandbox, ProcessSandbox

AnySandbox = LocalSandbox | ProcessSandbox
Cells = Callable[..., Awaitable[list[ExecResult]]]

NAMES = {
    "np": "import numpy as np",
    "plt": "import matplotlib.pyplot as plt",
    "math": "import math",
    "os": "import os",
    "sin": "from math import sin",
    "Image": "from PIL import Image",
    "absent": "import no_such_package as absent",
}


def children() -> set[str]:
    """Process ids of this process's children."""
    return {child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()}


def descriptors() -> set[str]:
    """What this process's open sockets and files in memory are, but those that a sandbox keeps for later sessions."""
    links = (Path("/proc/self/fd") / fd for fd in os.listdir("/proc/self/fd"))
    names = {os.readlink(link) for link in links if os.path.lexists(link)}
    return {name for name in names if name.startswith(("socket:", "/memfd:")) and "shared-images" not in name}


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def exists(path: str) -> bool:
    return os.path.lexists(path)


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is so, for a while."""
    end = time.monotonic() + seconds
    for _ in iter(lambda: time.monotonic() < end and not true(), False):
        await asyncio.sleep(0.01)
