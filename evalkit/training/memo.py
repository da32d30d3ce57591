"""A sandbox with a memory: rollouts of one prompt mostly make the same call, and it is run once."""

from __future__ import annotations

import ast
import asyncio
import functools
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from evalkit.errors import DataError
from evalkit.sandbox.base import Capabilities, ExecResult, ExecStatus, Sandbox, Session, SessionSpec

Key = tuple[Any, ...]
_BYTES = 256 * 2**20
_MODULES = frozenset((
    "PIL", "numpy", "cv2", "math", "cmath", "statistics", "fractions", "decimal", "numbers", "re", "json", "string",
    "textwrap", "unicodedata", "colorsys", "itertools", "functools", "operator", "collections", "heapq", "bisect",
    "copy", "dataclasses", "enum", "typing",
))  # fmt: skip
_NAMES = frozenset((
    "open", "input", "id", "hash", "exec", "eval", "compile", "globals", "locals", "vars", "dir", "getattr", "setattr",
    "delattr", "object", "breakpoint", "help", "set", "frozenset",
))  # fmt: skip
_ATTRIBUTES = frozenset((
    # chance
    "random", "seed", "default_rng", "rand", "randn", "randint", "choice", "shuffle", "permutation", "normal",
    "uniform", "samples", "effect_noise", "theRNG", "randu",
    # clocks, and memory that nobody has written
    "now", "today", "getTickCount", "empty", "empty_like", "ndarray",
    # files
    "open", "save", "load", "savez", "fromfile", "tofile", "memmap", "imread", "imwrite", "loadtxt", "savetxt",
    "genfromtxt", "DataSource", "VideoCapture",
    # computed names
    "attrgetter", "methodcaller",
))  # fmt: skip
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


class Memory:
    """Results by what they follow from; the least recently used ones are dropped beyond 256 MiB."""

    def __init__(self) -> None:
        self._results: OrderedDict[Key, ExecResult] = OrderedDict()
        self._held = 0

    def get(self, key: Key) -> ExecResult | None:
        """The result, if it is remembered."""
        if (known := self._results.get(key)) is not None:
            self._results.move_to_end(key)
        return known

    def put(self, key: Key, result: ExecResult) -> None:
        """Remember a result."""
        if key in self._results:
            return
        self._results[key] = result
        self._held += _size(result)
        while self._held > _BYTES:
            self._held -= _size(self._results.popitem(last=False)[1])


class MemoSandbox:
    """Runs a cell only if no session with the same images has run it after the same cells.

    Sessions that differ get processes of their own, as ever; a cell that comes after remembered ones has those run
    first. What is remembered must follow from the images and the code alone, see `pure`; it is a success or an error
    of the code, never a timeout or a dead process, and shows no address of an object. All else is run each time.

    Args:
        sandbox: runs what is new; started and closed through this one.
        memory: of another one before, to go on with; None for a new one.
    """

    def __init__(self, sandbox: Sandbox, memory: Memory | None = None) -> None:
        self.sandbox = sandbox
        self.memory = memory or Memory()
        self._running: dict[Key, asyncio.Future[ExecResult | None]] = {}

    async def start(self) -> Capabilities:
        """See `Sandbox`."""
        return await self.sandbox.start()

    async def open(self, spec: SessionSpec) -> Session:
        """See `Sandbox`; a process starts with the first cell that is not remembered."""
        try:
            images = tuple([(await image.inspect()).sha256 for image in spec.images])
        except DataError:
            # the session says so when a cell touches the image
            return await self.sandbox.open(spec)
        return _MemoSession(self, spec, (images, tuple(sorted(spec.imports.items())), spec.limits))

    async def close(self) -> None:
        """See `Sandbox`."""
        await self.sandbox.close()

    def describe(self) -> dict[str, Any]:
        """As the sandbox: a remembered result is that of a cell that was run."""
        return self.sandbox.describe()

    async def get(self, key: Key, run: Callable[[], Awaitable[ExecResult]]) -> ExecResult:
        """The result under `key`, by `run` where none is remembered; a result in the making is waited for."""
        if (known := self.memory.get(key)) is not None:
            return known
        if (running := self._running.get(key)) is not None:
            result = await asyncio.shield(running)
            return await run() if result is None else result
        future = self._running[key] = asyncio.get_running_loop().create_future()
        result = None
        try:
            result = await run()
            return result
        finally:
            del self._running[key]
            kept = result if result is not None and _lasts(result) else None
            future.set_result(kept)
            if kept is not None:
                self._keep(key, kept)

    def _keep(self, key: Key, result: ExecResult) -> None:
        self.memory.put(key, result)


class _MemoSession:
    """One trajectory's session: its cells so far, and a process that has run some of them."""

    def __init__(self, memo: MemoSandbox, spec: SessionSpec, start: Key) -> None:
        self._memo = memo
        self._spec = spec
        self._start = start
        self._cells: tuple[str, ...] = ()
        self._real: Session | None = None
        self._ran = 0
        self._sure = True
        self._lock = asyncio.Lock()

    async def run(self, code: str) -> ExecResult:
        async with self._lock:
            self._sure = self._sure and pure(code, frozenset(self._spec.imports.items()))
            if self._sure:
                result = await self._memo.get((self._start, *self._cells, code), lambda: self._execute(code))
            else:
                result = await self._execute(code)
            self._cells += (code,)
            # what a lost process had done cannot be done again
            self._sure = self._sure and not result.state_lost
            return result

    async def close(self) -> None:
        if self._real is not None:
            await self._real.close()

    async def _execute(self, code: str) -> ExecResult:
        if self._real is None:
            self._real = await self._memo.sandbox.open(self._spec)
        for earlier in self._cells[self._ran :]:
            await self._real.run(earlier)
        result = await self._real.run(code)
        self._ran = len(self._cells) + 1
        return result


@functools.lru_cache(16_384)
def pure(code: str, imports: frozenset[tuple[str, str]] = frozenset()) -> bool:
    """Whether a cell's result can only follow from its code and its session's images.

    Said of code that imports nothing but libraries without a clock, files or chance, and that names nothing of theirs
    that has: no open or save, nothing random, no attribute looked up by a computed name, no uninitialised array, no set
    (whose order depends on the process). Code that cannot be parsed runs nothing, which is pure.

    Args:
        code: of the cell.
        imports: of the session: name and import statement.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return True
    except (RecursionError, MemoryError):
        return False
    bound = dict(imports)
    return all(_harmless(node, bound) for node in ast.walk(tree))


def _harmless(node: ast.AST, bound: dict[str, str]) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return _allowed(node)
    if isinstance(node, ast.Name):
        if node.id in bound and not all(_allowed(line) for line in ast.parse(bound[node.id]).body):
            return False
        return node.id not in _NAMES and not node.id.startswith("__")
    if isinstance(node, ast.Attribute):
        return node.attr not in _ATTRIBUTES and not node.attr.startswith("_")
    return not isinstance(node, ast.Set | ast.SetComp | ast.AsyncFunctionDef | ast.Await)


def _allowed(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import):
        return all(_modules(alias.name) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        named = [alias.name for alias in node.names]
        return not node.level and _modules(node.module or "") and not {*named} & {*_ATTRIBUTES, "*"}
    return False


def _modules(name: str) -> bool:
    root, *rest = name.split(".")
    return root in _MODULES and not {*rest} & _ATTRIBUTES


def _lasts(result: ExecResult) -> bool:
    texts = (result.stdout, result.stderr, result.value)
    return (
        result.status in (ExecStatus.OK, ExecStatus.ERROR)
        and not result.state_lost
        and not any(map(_ADDRESS.search, texts))
    )


def _size(result: ExecResult) -> int:
    texts = len(result.stdout) + len(result.stderr) + len(result.value)
    return texts + sum(image.size() or 0 for image in result.images)
