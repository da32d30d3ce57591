"""Where one break takes place: the run's folder and options, and what it needs beside it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from tests.faults.harness import script
from tests.faults.harness.disk import Disk
from tests.faults.harness.model_server import FINE, MODEL
from tests.faults.harness.processes import end_with_parent
from tests.faults.harness.shim import Shim
from tests.faults.harness.victim import Victim

CONCURRENCY = 16
_DELAY_S = 0.02
_ROOT = Path(__file__).parents[3]


class Server:
    """The model server's process; its port stays the same when it is started again."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def pid(self) -> int:
        """Of the process; 0 where there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is not None:
            return
        command = [sys.executable, "-m", "tests.faults.harness.model_server", str(self.port)]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
        )
        self.port = int(self._said())

    def behave(self, mode: str) -> None:
        """From now on."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mode}\n")
        self._process.stdin.flush()
        self._said()

    def end(self, number: signal.Signals) -> None:
        """Send it a signal that ends it."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.send_signal(number)

    def _said(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Held(Protocol):
    """Something beside the run that is in a process of its own."""

    @property
    def pid(self) -> int:
        """Of the process."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Scene:
    """The place.

    Args:
        work: an empty folder for everything.
        boards: of the run, four samples each.
        served: whether the model is behind a server.
        rng: what is drawn.

    Attributes:
        run: the run's folder.
        options: of `evalkit run`.
        variables: more of its environment.
        server: of the model, where it is served.
        disk: of its own, where the run has one.
        shim: what the run is told of clock and disk, where it is lied to.
        nodes: of the Ray cluster, where there is one.
        victim: the run as it was started last.
        expected: ids of its samples.

    """

    def __init__(self, work: Path, boards: int, served: bool, rng: random.Random) -> None:
        self.work = work
        self.boards = boards
        self.rng = rng
        self.run = work / "run"
        self.variables: dict[str, str] = {}
        self.server = Server() if served else None
        self.disk: Disk | None = None
        self.shim: Shim | None = None
        self.nodes: Held | None = None
        self.victim: Victim | None = None
        self.expected = script.ids(boards)
        engine = ["--script", str(work / "script.json")]
        if self.server is not None:
            url = f"http://127.0.0.1:{self.server.port}/v1"
            engine = ["--engine", "openai", "--base-url", url, "--served-model", MODEL, "--request-timeout", "2"]
        concurrency = ("-c", str(CONCURRENCY))
        self.options = ["--model", "scripted", *script.TASK, "-T", f"boards={boards}", *concurrency, *engine]
        self.write_script()

    def write_script(self, hungry: frozenset[str] = frozenset()) -> None:
        """What the scripted engine says."""
        said = {"samples": script.turns(self.boards, hungry), "delay_s": _DELAY_S}
        (self.work / "script.json").write_text(json.dumps(said))

    def start(self) -> Victim:
        """Start the run, or resume it."""
        self.victim = Victim(self.options, self.run, self.work, self.variables)
        return self.victim

    @property
    def helpers(self) -> set[int]:
        """Processes below this one that are no part of the run."""
        held = (self.server, self.disk, self.nodes)
        return {each.pid for each in held if each is not None and each.pid}

    def close(self) -> None:
        """End what was started."""
        if self.victim is not None:
            self.victim.process.kill()
            self.victim.process.wait()
        if self.server is not None:
            self.server.end(signal.SIGKILL)
        if self.disk is not None:
            self.disk.close()
        if self.nodes is not None:
            self.nodes.close()


__all__ = ["FINE", "Scene", "Server"]
