"""Files that a killed process, or a disk that died, left unfinished."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InfrastructureError
from evalkit.runs.folder import remove_parts, write_whole
from evalkit.runs.store import RunStore


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_is_removed_at_the_next_start_and_nothing_else(tmp_path: Path) -> None:
    gone, mine = dead_pid(), os.getpid()
    left = [f".run.json.{gone}", f".summary.json.{gone}", ".report.md.99999999999999999999"]
    kept = [f".summary.json.{mine}", f".lock.host.{gone}", ".hidden", "notes.12", f"summary.json.{gone}"]
    for name in (*left, *kept):
        (tmp_path / name).write_text("half")
    RunStore(tmp_path).close()
    there = {path.name for path in tmp_path.iterdir()}
    assert there >= set(kept)
    assert not there & set(left)
    remove_parts(tmp_path / "not there")


def test_a_disk_that_became_read_only_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("write_bytes", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(InfrastructureError, match=r"cannot write .*run\.json: Read-only file system"):
        write_whole(tmp_path / "run.json", b"{}")
