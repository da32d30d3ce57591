"""A sandbox for tests: a function stands for the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evalkit.errors import SandboxError
from evalkit.sandbox.base import Capabilities, ExecResult, ExecStatus, SessionSpec, Tier


def _nothing(code: str) -> ExecResult:
    return ExecResult(status=ExecStatus.OK)


class FakeSandbox:
    """Answers every cell by calling a function; nothing is executed.

    Args:
        answer: the result of a cell, from its code; by default it succeeds and prints nothing.

    Attributes:
        cells: code of all cells, in the order in which they were run.
        opened: what each session was started with.
        closed: sessions that were closed.
    """

    def __init__(self, answer: Callable[[str], ExecResult] = _nothing) -> None:
        self.cells: list[str] = []
        self.opened: list[SessionSpec] = []
        self.closed = 0
        self._answer = answer

    async def start(self) -> Capabilities:
        """There is nothing to probe."""
        return Capabilities(tier=Tier.T0, isolated=True, details={"fake": "yes"})

    async def open(self, spec: SessionSpec) -> FakeSession:
        """A session that answers at once."""
        self.opened.append(spec)
        return FakeSession(self, self._answer)

    async def close(self) -> None:
        """There is nothing to end."""

    def describe(self) -> dict[str, Any]:
        """The kind."""
        return {"kind": "fake"}


class FakeSession:
    """One session of a `FakeSandbox`."""

    def __init__(self, sandbox: FakeSandbox, answer: Callable[[str], ExecResult]) -> None:
        self._sandbox = sandbox
        self._answer = answer
        self._closed = False

    async def run(self, code: str) -> ExecResult:
        """The function's answer.

        Raises:
            SandboxError: the session is closed.
        """
        if self._closed:
            raise SandboxError("the session is closed")
        self._sandbox.cells.append(code)
        return self._answer(code)

    async def close(self) -> None:
        """Counted once."""
        self._sandbox.closed += not self._closed
        self._closed = True
