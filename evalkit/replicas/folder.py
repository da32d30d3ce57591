"""The folder of the process that drives Ray: its log, and all files of a Ray of evalkit's own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from evalkit.errors import one_line
from evalkit.runs.lock import take_flock

LOG = "helper.log"
_PREFIX = "evalkit-ray-"
_LONGEST_FOLDER = 18
"""Ray makes sockets in it, whose whole path may have 107 characters."""
_YOUNG_S = 600.0
_TAIL = 4096
_ERROR = re.compile(r"^[\w.]{1,80}(Error|Exception|Lost)\b: ?\S")


def own_folder() -> tuple[Path, int]:
    """A new folder, and the open file that holds it: without one, a folder counts as left behind.

    Whoever is given the file holds the folder too. What killed processes have left behind is removed.
    """
    folder = Path(tempfile.gettempdir())
    where = folder if len(str(folder)) <= _LONGEST_FOLDER else Path("/tmp")
    for left in where.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            _remove_if_left(left)
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    hold = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    take_flock(hold)
    return made, hold


def last_words(folder: Path | None) -> str:
    """What the helper said last, in brackets; empty where it said nothing."""
    try:
        text = (folder / LOG).read_bytes()[-_TAIL:].decode("utf-8", "replace") if folder else ""
    except OSError:
        text = ""
    lines = [line for line in text.splitlines() if _ERROR.search(line)]
    return f" ({one_line(lines[-1], 300)})" if lines else ""


def _remove_if_left(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(opened)
        # a young one may not be held yet
        old = time.time() - found.st_mtime > _YOUNG_S
        if old and found.st_uid == os.geteuid() and take_flock(opened):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(opened)
