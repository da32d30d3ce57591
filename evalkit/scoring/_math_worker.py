"""The process that does the algebra; run as a script, never imported by evalkit.

It imports the algebra library once and forks a child that answers questions, one JSON line each, so that a
question which takes too long or too much memory costs the child alone. The child's clock counts its own
processor time, not the wall's: a busy machine does not change an answer.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import resource
import select
import signal
import sys
import warnings
from typing import Any

CPU_SECONDS = 0.6
"""Processor time for one question."""
WALL_SECONDS = 8.0
"""Only for a child that neither works nor ends."""
MEMORY = 1 << 30
"""Bytes of address space of the child."""
FRESH_AFTER = 2000
"""Questions after which the child is replaced, so that the library's caches stay small."""

_WARM_UP = ("\\frac{\\sqrt{3}}{2}", "2\\pi x^{2}+3", "(a+b)^2", "\\sin (x)", "0.5", "-1/2")


class Algebra:
    """The library, as evalkit uses it. No text reaches it that `formula.read_formula` did not pass."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        library: Any = importlib.import_module("math_verify")
        self._parse, self._verify = library.parse, library.verify
        self._config = [library.LatexExtractionConfig()]
        self._read: dict[str, Any] = {}
        for text in _WARM_UP:
            self.equal(text, "\\frac{1}{2}")
            self.value(text)

    def read(self, latex: str) -> Any:
        """The expression, or None."""
        if latex not in self._read:
            if len(self._read) >= 64:
                self._read.clear()
            self._read[latex] = self._parsed(latex)
        return self._read[latex]

    def _parsed(self, latex: str) -> Any:
        found = self._parse(f"${latex}$", self._config, fallback_mode="no_fallback", parsing_timeout=None)
        return found[0] if len(found) == 1 else None

    def equal(self, first: str, second: str) -> bool | None:
        """Whether two formulas have one value, to 12 decimals where one is a decimal; None where one is not read."""
        a, b = self.read(first), self.read(second)
        if a is None or b is None:
            return None
        results = {
            bool(self._verify(gold, other, float_rounding=12, timeout_seconds=None)) for gold, other in ((a, b), (b, a))
        }
        return results.pop() if len(results) == 1 else None

    def value(self, latex: str) -> str | None:
        """The real number that a formula without variables is: "p/q" exactly, else 30 digits."""
        found = self.read(latex)
        if found is None or not getattr(found, "is_number", False):
            return None
        found = found.doit()
        if found.is_Rational:
            return str(found)
        number = found.evalf(30)
        return str(number) if number.is_Float and number.is_finite else None

    def answer(self, question: list[Any]) -> list[Any]:
        """The reply to `["equal", a, [b, …]]` or `["value", a]`."""
        if question[0] == "equal":
            return [_none_on_error(self.equal, question[1], other) for other in question[2]]
        return [_none_on_error(self.value, question[1])]


def _none_on_error(work: Any, *texts: str) -> Any:
    """The result, None where the library fails; a lack of memory or depth ends the child instead."""
    try:
        return work(*texts)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None


class Child:
    """A fork that answers questions until it is stopped or dies."""

    def __init__(self, algebra: Algebra) -> None:
        ask, self._ask = os.pipe()
        self._reply, reply = os.pipe()
        self.asked = 0
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._ask)
            os.close(self._reply)
            _serve(algebra, ask, reply)
        os.close(ask)
        os.close(reply)

    def put(self, line: bytes) -> dict[str, Any]:
        """The reply to one question; "timeout" or "crash" when the child died of it."""
        self.asked += 1
        try:
            os.write(self._ask, line)
            ready, _, _ = select.select([self._reply], [], [], WALL_SECONDS)
            reply = os.read(self._reply, 1 << 16) if ready else b""
        except OSError:
            ready, reply = [], b""
        if reply.endswith(b"\n"):
            return {"answers": json.loads(reply)}
        status = self.end()
        timed_out = not ready or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF)
        return {"failed": "timeout" if timed_out else "crash"}

    def end(self) -> int:
        """Kill the child and return its wait status."""
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid == 0:
                os.kill(self._pid, signal.SIGKILL)
                _, status = os.waitpid(self._pid, 0)
        finally:
            os.close(self._ask)
            os.close(self._reply)
        return status


def _serve(algebra: Algebra, ask: int, reply: int) -> None:
    """The child's life: the default action of SIGPROF ends it, in whatever code it is."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        while line := os.read(ask, 1 << 16):
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            answers = algebra.answer(json.loads(line))
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(reply, json.dumps(answers).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """Read questions from standard input until it closes or the parent is gone."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    parent = os.getppid()
    try:
        algebra = Algebra()
    except ImportError as error:
        os.write(out, json.dumps({"missing": str(error)}).encode() + b"\n")
        return
    os.write(out, b'{"ready": true}\n')
    child: Child | None = None
    while os.getppid() == parent:
        if not select.select([0], [], [], 2.0)[0]:
            continue
        line = os.read(0, 1 << 16)
        if not line:
            break
        if child is None:
            child = Child(algebra)
        reply = child.put(line)
        if "failed" in reply or child.asked >= FRESH_AFTER:
            if "failed" not in reply:
                child.end()
            child = None
        os.write(out, json.dumps(reply).encode() + b"\n")
    if child is not None:
        child.end()


if __name__ == "__main__":
    sys.setrecursionlimit(3000)
    main()
