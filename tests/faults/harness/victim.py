"""The run that is broken: started, watched and resumed as a user does it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.faults.harness.processes import end_with_parent

_LOOK_S = 0.004
_ROOT = Path(__file__).parents[3]
# neither a user's settings nor a proxy may change what is tried
_PASSED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH")


class Rows:
    """Counts the lines of a run's store, reading only what is new."""

    def __init__(self, run: Path) -> None:
        self._file = run / "samples.jsonl"
        self._read = 0
        self.count = 0

    def look(self) -> int:
        """Whole lines by now."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return self.count
        self._read += len(new)
        self.count += new.count(b"\n")
        return self.count


class Victim:
    """One start of `evalkit run`.

    Args:
        options: of the run.
        run: its folder.
        work: where its words go, and temporary files.
        variables: more of its environment.
    """

    def __init__(self, options: Sequence[str], run: Path, work: Path, variables: Mapping[str, str]) -> None:
        self.rows = Rows(run)
        self.rows.look()
        self.words = work / "words.log"
        temporary = work / "tmp"
        temporary.mkdir(exist_ok=True)
        self.began = time.monotonic()
        kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
        with self.words.open("ab") as out:
            out.write(b"--- start\n")
            out.flush()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "evalkit", "run", *options, "--run-dir", str(run)],
                cwd=_ROOT,
                env={**kept, "TMPDIR": str(temporary), "COLUMNS": "160", **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=end_with_parent,
            )

    @property
    def pid(self) -> int:
        """Of evalkit's own process."""
        return self.process.pid

    @property
    def lives(self) -> bool:
        """Whether it goes on."""
        return self.process.poll() is None

    def until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Wait; whether `done` came before its end and the limit."""
        deadline = time.monotonic() + limit_s
        while not done():
            if not self.lives or time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        return True

    def end(self, limit_s: float) -> int | None:
        """Its exit code; None where it did not end in time and was killed."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
