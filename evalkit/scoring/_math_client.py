"""The way to the algebra process: started when first needed, one question at a time, safe in threads and forks."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import InfrastructureError, one_line

_SCRIPT = Path(__file__).with_name("_math_worker.py")
_START_SECONDS = 120.0
_ANSWER_SECONDS = 20.0


class Reply(msgspec.Struct, frozen=True):
    """What came of one question.

    Attributes:
        answers: one per comparison, or the value; empty where there is none.
        failed: "timeout" or "crash" when the question cost the child its life, else "".
    """

    answers: tuple[Any, ...] = ()
    failed: str = ""


class MathClient:
    """One algebra process of this process.

    The lock makes it safe in threads. After a fork the child starts a process of its own. A process that has
    died is started again, once per question.

    Attributes:
        asked: questions put so far.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self.asked = 0

    def ask(self, *question: Any) -> Reply:
        """Put one question and wait for the reply.

        Raises:
            InfrastructureError: the process cannot be started, or died twice.
        """
        line = json.dumps(question).encode() + b"\n"
        with self._lock:
            self.asked += 1
            for _ in range(2):
                try:
                    process = self._running()
                    assert process.stdin is not None
                    process.stdin.write(line)
                    reply = self._read(process, _ANSWER_SECONDS)
                except OSError as error:
                    reply = {"dead": one_line(error)}
                if "answers" in reply:
                    return Reply(tuple(reply["answers"]))
                if "failed" in reply:
                    return Reply(failed=reply["failed"])
                self._stop()
        raise InfrastructureError(
            f"the process that compares formulas died twice ({reply['dead']}); "
            f"run {sys.executable} {_SCRIPT} to see why"
        )

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._stop()

    def forget(self) -> None:
        """In a forked child: leave the parent's process alone."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        self._buffer = b""
        if process is not None:
            # The pipes are the parent's too: closing this copy of them ends nothing there.
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.returncode = 0

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        # -P keeps the working directory and the script's folder off the import path; a fixed hash seed keeps the
        # order in which the library tries things.
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        reply = self._read(process, _START_SECONDS)
        if "missing" in reply:
            self._stop()
            raise InfrastructureError(
                f"math-verify cannot be imported ({one_line(reply['missing'], 120)}); run: pip install math-verify"
            )
        if "ready" not in reply:
            raise OSError(reply.get("dead", "it did not start"))
        return process

    def _read(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
        assert process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                return {"dead": f"no reply within {seconds:g} s"}
            chunk = process.stdout.read(1 << 16)
            if not chunk:
                return {"dead": f"it ended with status {process.wait()}"}
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _stop(self) -> None:
        process, self._process = self._process, None
        self._buffer = b""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()


CLIENT = MathClient()
"""Shared by all of this process."""

atexit.register(CLIENT.close)
os.register_at_fork(after_in_child=CLIENT.forget)
