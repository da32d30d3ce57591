"""A server process of evalkit's own: started, waited for, and gone again with evalkit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evalkit.engines.openai import _watchdog
from evalkit.errors import EngineUnavailableError, InfrastructureError, one_line

_GRACE_S = 15.0
_LOOK_S = 0.5
_SAY_EVERY_S = 15.0
_TAIL_BYTES = 2**16
_COLOURS = re.compile(r"\x1b\[[0-9;]{0,20}m")
_RAISED = re.compile(r"\b[\w.]{1,80}(?:Error|Exception|Interrupt)\b: ?\S")


def free_port() -> int:
    """A TCP port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """A command that serves, in a process group of its own, with its words in a log file.

    It ends when `stop` is called, and when this process ends for whatever reason, killed or not.

    Args:
        command: what to run.
        log: file for its output; replaced.
        variables: its environment.
    """

    def __init__(self, command: Sequence[str], log: Path, variables: Mapping[str, str]) -> None:
        self.log = log
        self._command = command
        self._variables = variables
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the command; it need not serve yet.

        Raises:
            InfrastructureError: the log cannot be written.
        """
        watched = [sys.executable, "-I", "-S", _watchdog.__file__, str(_GRACE_S), *self._command]
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("wb") as out:
                self._process = await asyncio.create_subprocess_exec(
                    *watched,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=out,
                    stderr=asyncio.subprocess.STDOUT,
                    env=dict(self._variables),
                    start_new_session=True,
                )
        except OSError as error:
            raise InfrastructureError(f"cannot write {self.log}: {error.strerror}; choose another --out") from error

    async def ready(self, url: str, limit_s: float, say: Callable[[str], None]) -> None:
        """Wait until `url` answers with 200.

        Args:
            url: of the health check.
            limit_s: how long to wait.
            say: is told how it goes, a line every 15 s.

        Raises:
            EngineUnavailableError: the process ended, or is not ready in time.
        """
        began = said = time.monotonic()
        while not await asyncio.to_thread(_healthy, url):
            if self.code is not None:
                raise EngineUnavailableError(self.obituary())
            now = time.monotonic()
            if now - began > limit_s:
                raise EngineUnavailableError(
                    f"the server is not ready after {limit_s:g} s ({self.last_words()}); its log: {self.log}"
                )
            if now - said >= _SAY_EVERY_S:
                said = now
                say(f"the server has been starting for {now - began:.0f} s; {self.log}: {one_line(self._tail(), 120)}")
            await asyncio.sleep(_LOOK_S)

    @property
    def code(self) -> int | None:
        """The exit code once it has ended."""
        return self._process.returncode if self._process is not None else None

    async def ended(self) -> None:
        """Wait for the end of the process."""
        assert self._process is not None
        await self._process.wait()

    def obituary(self) -> str:
        """How it ended, in one line."""
        killed = ", killed: often the memory ran out" if self.code == 128 + signal.SIGKILL else ""
        return f"the server ended (exit code {self.code}{killed}): {self.last_words()}; its log: {self.log}"

    def last_words(self) -> str:
        """Why it ended, as far as its log says: the last exception named there, else the last line."""
        lines = self._lines()
        raised = [line[found.start() :] for line in lines if (found := _RAISED.search(line))]
        return one_line((raised or lines or ["it said nothing"])[-1])

    async def stop(self) -> None:
        """End it and all that it started; safe to call twice."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(3 * _GRACE_S):
                await process.wait()
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, TimeoutError):
                raise
            await process.wait()

    def _tail(self) -> str:
        return (self._lines() or [""])[-1]

    def _lines(self) -> list[str]:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line for line in (_COLOURS.sub("", line).strip() for line in text.splitlines()) if line]


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
