"""A small disk of its own for a run: a file system in memory, in a mount namespace that ends with this process."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

_MB = 24
_BLOCK = 4096
_PLACE = "/mnt"


def _flags() -> list[str]:
    # with the right to mount no user namespace is needed, which some systems refuse
    return ["-m"] if os.geteuid() == 0 else ["-r", "-m"]


@cache
def why_not() -> str:
    """Why there can be none here; empty where there can."""
    try:
        tried = subprocess.run(
            ["unshare", *_flags(), "mount", "-t", "tmpfs", "evalkit", _PLACE],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "there is no unshare(1) here"
    return "" if tried.returncode == 0 else f"no file system can be mounted: {tried.stderr.strip()[:80]}"


class Disk:
    """The disk.

    Attributes:
        folder: where it can be reached while this process holds it.
        pid: of the process that keeps it.
    """

    def __init__(self) -> None:
        script = f"mount -t tmpfs -o size={_MB}m evalkit {_PLACE} && echo ready && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", *_flags(), "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        self.pid = self._holder.pid
        self.folder = Path(f"/proc/{self.pid}/root{_PLACE}")
        self._ballast = self.folder / "ballast"

    def fill(self, blocks_left: int) -> None:
        """Leave only so many blocks of 4 KB."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                for size in (2**20, _BLOCK):
                    while file.write(bytes(size)) == size:
                        continue
            except OSError:
                pass
            file.truncate(max(0, file.tell() - file.tell() % _BLOCK - blocks_left * _BLOCK))

    def free(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink()

    def close(self) -> None:
        """Let it go."""
        with self._holder:
            self._holder.kill()
