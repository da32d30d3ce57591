"""One cell after the other, in one namespace."""

from __future__ import annotations

import _ast
import sys
from signal import SIGINT, signal
from typing import Any

from . import wire
from .capture import Budget, Capture
from .display import Screen, close_figures
from .names import LazyNames

_ONLY_AST = 0x400
"""`ast.PyCF_ONLY_AST`; importing `ast` takes longer than most cells."""


class Interpreter:
    """Runs cells as a notebook does.

    Args:
        namespace: the globals of all cells.
        names: bindings made on first mention.
        screen: takes images and figures.
        output_chars: printed text kept per cell, and characters of the value.
    """

    def __init__(self, namespace: dict[str, Any], names: LazyNames, screen: Screen, output_chars: int) -> None:
        self._namespace = namespace
        self._names = names
        self._screen = screen
        self._chars = output_chars
        self._budget = Budget(output_chars)
        self._stdout = Capture(self._budget, "<stdout>")
        self._stderr = Capture(self._budget, "<stderr>")
        self._sources: dict[str, str] = {}
        self._interruptible = False

    def run(self, code: str) -> tuple[dict[str, Any], list[bytes]]:
        """Run one cell; the reply's header (without the id) and its payload."""
        self._budget.refill()
        self._screen.clear()
        streams = sys.stdout, sys.stderr
        # A cell may have rebound the streams or the handler; each starts with working ones.
        sys.stdout, sys.stderr = self._stdout, self._stderr
        signal(SIGINT, self._interrupt)
        value = trace = ""
        try:
            try:
                self._interruptible = True
                value = self._cell(code)
            finally:
                self._interruptible = False
        except BaseException as error:
            trace = self._trace(error)
        sys.stdout, sys.stderr = streams
        return self._reply(value, trace)

    def _interrupt(self, *_: Any) -> None:
        # Once per cell, and never while the reply is made.
        if self._interruptible:
            self._interruptible = False
            raise KeyboardInterrupt

    def _cell(self, code: str) -> str:
        name = f"<cell {len(self._sources) + 1}>"
        self._sources[name] = code
        try:
            value = self._evaluate(code, name)
            text = "" if value is None or self._screen.show(value) else repr(value)
        except KeyboardInterrupt:
            close_figures()
            raise
        except BaseException:
            self._screen.show_figures()
            raise
        self._screen.show_figures()
        if len(text) > self._chars:
            self._budget.dropped += len(text) - self._chars
        return text[: self._chars]

    def _evaluate(self, code: str, name: str) -> Any:
        tree = compile(code, name, "exec", _ONLY_AST, True)
        assert isinstance(tree, _ast.Module)
        self._names.bind(tree)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, _ast.Expr) or code.rstrip().endswith(";"):
            exec(compile(tree, name, "exec", 0, True), self._namespace)
            return None
        tree.body.pop()
        exec(compile(tree, name, "exec", 0, True), self._namespace)
        return eval(compile(_ast.Expression(last.value), name, "eval", 0, True), self._namespace)

    def _trace(self, error: BaseException) -> str:
        try:
            text = _format(error, self._sources)
        except BaseException:
            # No memory left to import or run the formatter, or a hostile exception class.
            text = f"{type(error).__name__}\n"
        if len(text) <= wire.TRACEBACK_CHARS:
            return text
        half = wire.TRACEBACK_CHARS // 2 - 50
        return f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"

    def _reply(self, value: str, trace: str) -> tuple[dict[str, Any], list[bytes]]:
        stdout, stderr = self._stdout.take(), self._stderr.take()
        if trace and stderr and not stderr.endswith("\n"):
            stderr += "\n"
        texts = [text.encode("utf-8", "backslashreplace") for text in (stdout, stderr + trace, value)]
        header = {
            "ok": not trace,
            "texts": [len(text) for text in texts],
            "images": [image[:3] for image in self._screen.shown],
            "dropped_chars": self._budget.dropped,
            "dropped_images": self._screen.dropped,
        }
        return header, texts + [image[3] for image in self._screen.shown]


def _format(error: BaseException, sources: dict[str, str]) -> str:
    """The traceback as Python prints it, with the cells' own frames only."""
    import linecache
    from traceback import TracebackException

    for name, code in sources.items():
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    top = TracebackException(type(error), error, error.__traceback__, compact=True)
    todo: list[TracebackException | None] = [top]
    seen: set[int] = set()
    while todo:
        part = todo.pop()
        if part is not None and id(part) not in seen:
            seen.add(id(part))
            part.stack[:] = [frame for frame in part.stack if frame.filename in sources]
            todo += [part.__cause__, part.__context__, *(part.exceptions or ())]
    return "".join(top.format())
