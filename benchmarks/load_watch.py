"""A command that is watched while it runs: its memory, its descriptors, the lines of a file that it writes."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

EVERY_S = 0.1
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


class Watch:
    """Runs a command and looks at it ten times a second.

    Args:
        command: what to run.
        file: whose lines count; None for none.

    Attributes:
        seconds: since the start.
        busy: seconds of processors, of the command's own process and of those below it that have ended.
        lines: of the file.
        memory_mb: resident, of the command's own process.
        most_mb: the most of it since the start or `forget`.
        all_mb: the most of it and all processes below it together; what they share counts in each.
        descriptors: most open at one time in the command's own process.
        child_descriptors: most open in one of the processes below it.
    """

    def __init__(self, command: list[str], file: Path | None = None) -> None:
        self.seconds = self.busy = self.memory_mb = self.most_mb = self.all_mb = 0.0
        self.lines = self.descriptors = self.child_descriptors = 0
        self._command = command
        self._file = file
        self._read = 0
        self._ended = False

    def until_end(self, look: Callable[[Watch], None] = lambda watch: None) -> None:
        """Run it; `look` is called at each look."""
        began, before = time.perf_counter(), children()
        with subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            said = b""
            while process.poll() is None:
                self._look(process.pid)
                self.busy = processors(process.pid)
                said = (said + (process.stdout.read() or b""))[-2000:]
                self.seconds = time.perf_counter() - began
                look(self)
                if self._ended:
                    process.kill()
                    process.wait()
                    return
                time.sleep(EVERY_S)
            self.seconds = time.perf_counter() - began
            said += process.stdout.read() or b""
        self.busy = children() - before
        if process.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(self._command)} ended with {process.returncode}:\n{said.decode()}")

    def end(self) -> None:
        """Kill the command."""
        self._ended = True

    def forget(self) -> None:
        """Count the most memory from here on."""
        self.most_mb = 0.0

    def _look(self, root: int) -> None:
        found = below(root)
        self.memory_mb = resident(root)
        self.most_mb = max(self.most_mb, self.memory_mb)
        self.all_mb = max(self.all_mb, sum(resident(pid) for pid in found))
        self.descriptors = max(self.descriptors, opened(root))
        self.child_descriptors = max([self.child_descriptors, *(opened(pid) for pid in found if pid != root)])
        if self._file is not None and self._file.is_file():
            with self._file.open("rb") as file:
                file.seek(self._read)
                while part := file.read(1 << 20):
                    self._read += len(part)
                    self.lines += part.count(b"\n")


def below(root: int) -> set[int]:
    """A process and all below it."""
    found, due = {root}, [root]
    while due:
        pid = due.pop()
        try:
            children = [int(one) for task in os.listdir(f"/proc/{pid}/task")
                        for one in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]  # fmt: skip
        except OSError:
            continue
        due += [child for child in children if child not in found]
        found.update(children)
    return found


def resident(pid: int) -> float:
    """MB of a process; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB
    except (OSError, IndexError):
        return 0.0


def processors(pid: int) -> float:
    """Seconds of processors of a process and of its children that have ended; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def children() -> float:
    """The same of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def opened(pid: int) -> int:
    """Descriptors of a process; 0 where it is gone, or another user's."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0
