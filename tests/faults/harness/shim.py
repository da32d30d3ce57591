"""The library that lies to a run about the clock and the disk, and the page that says what it tells."""

from __future__ import annotations

import errno
import mmap
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")
_PAGE = struct.Struct("=qq")


def why_not() -> str:
    """Why there is no such library here; empty where there is."""
    return "" if shutil.which("gcc") else "no gcc is here"


@cache
def _built(scratch: Path) -> Path:
    # each worker has one of its own, which goes with the runs
    folder = Path(tempfile.mkdtemp(prefix="shim-", dir=scratch))
    library = folder / "shim.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"], check=True)
    return library


class Shim:
    """What one run is told.

    Args:
        page: file for the page, in the folder of one run, which stands beside those of others; made.
        folder: where writes fail when they are told to.
    """

    def __init__(self, page: Path, folder: Path) -> None:
        page.write_bytes(bytes(mmap.PAGESIZE))
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.environment = {
            "LD_PRELOAD": str(_built(page.parents[1])),
            "EVALKIT_SHIM_PAGE": str(page),
            "EVALKIT_SHIM_FOLDER": str(folder),
        }

    def jump(self, seconds: float) -> None:
        """Put the clock on or back."""
        self._page[: _PAGE.size] = _PAGE.pack(int(seconds * 1e9), 0)

    def read_only(self, on: bool) -> None:
        """Make the folder one that cannot be written, as a disk does that has found an error in itself."""
        self._page[: _PAGE.size] = _PAGE.pack(0, errno.EROFS if on else 0)
