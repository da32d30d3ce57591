"""The process that lmms-eval runs in: started when first needed, one question at a time.

It has the imports of lmms-eval (half a minute), clients that its task modules make, and whatever they print. Its
death costs the question that it died of; the next one starts another and loads the task again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from evalkit.bridges.lmms.install import Install
from evalkit.bridges.lmms.listing import Listed
from evalkit.errors import EvalkitError, one_line

T = TypeVar("T")

LOAD_SECONDS = 3600.0
ANSWER_SECONDS = 900.0
DEATHS = 3
"""Times that the process may die in a row before it is left dead."""

_GUEST = Path(__file__).with_name("guest")
_BOOT = """
import importlib.util, sys
sys.path[:] = [path for path in sys.path if path]
folder, pipe = sys.argv[1], int(sys.argv[2])
spec = importlib.util.spec_from_file_location(
    "evalkit_lmms_guest", folder + "/__init__.py", submodule_search_locations=[folder])
module = sys.modules["evalkit_lmms_guest"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from evalkit_lmms_guest.serve import serve
serve(pipe)
"""


class Loaded(msgspec.Struct, frozen=True):
    """What is known of a task once it is loaded.

    Attributes:
        rows: evaluated documents.
        metrics: those it has an aggregation for, in its order.
        refusal: why it cannot be scored row by row; "" where it can.
    """

    rows: int
    metrics: tuple[str, ...]
    refusal: str = ""


class Question(msgspec.Struct, frozen=True):
    """A document as the task asks it.

    Attributes:
        images: of each, a mark of its content, and its length in bytes where that is known.
    """

    system: str
    text: str
    images: tuple[tuple[str, int | None], ...]
    choices: tuple[str, ...]
    target: str
    category: str


class Scored(msgspec.Struct, frozen=True):
    """The task's word on a response.

    Attributes:
        items: by metric, as `process_results` gives them.
        metric: the main one of this row.
        value: its number for this row alone; None where it has none.
        guessed: the scorer drew at random.
    """

    items: dict[str, Any]
    metric: str
    value: float | None
    guessed: bool = False


class Figure(msgspec.Struct, frozen=True):
    """One of the task's own figures; `value` is None where it is not available, and `note` says why."""

    value: Any
    n: int
    note: str = ""


class Harness:
    """One process of lmms-eval, shared by the tasks of a command. Its lock makes it safe in threads.

    Args:
        install: where lmms-eval is.

    Attributes:
        folder: for images and for what tasks write; it goes with this object.
    """

    def __init__(self, install: Install) -> None:
        self._install = install
        self._process: _Process | None = None
        self._pid = os.getpid()
        self.lock = threading.RLock()
        temporary = tempfile.TemporaryDirectory(prefix="evalkit-lmms-", ignore_cleanup_errors=True)
        self.folder = Path(temporary.name)
        self._end = weakref.finalize(self, temporary.cleanup)

    def running(self) -> _Process:
        """The process, started unless it runs."""
        if self._pid != os.getpid():
            # in a forked child: the process is the parent's
            if self._process is not None:
                self._process.forget()
            self._process, self._pid = None, os.getpid()
        if self._process is None:
            self._process = _Process(self._install, self.folder / "lmms-eval.log")
        return self._process

    def stop(self) -> None:
        """End the process; the next question starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.end()


@functools.cache
def harness(install: Install) -> Harness:
    """The process that the tasks of this command share."""
    return Harness(install)


class Child:
    """lmms-eval with one task.

    Args:
        install: where lmms-eval is.
        listed: the task.
        data: a folder of parquet files in the place of its data set; None for its own.
    """

    def __init__(self, install: Install, listed: Listed, data: Path | None = None) -> None:
        self._harness = harness(install)
        self._listed = listed
        self._data = None if data is None else str(data.resolve())
        self._key = f"{listed.name}/{self._data or ''}"
        self._folder = Path(tempfile.mkdtemp(dir=self._harness.folder))
        self._deaths = 0
        self._ready: dict[tuple[int, str], dict[str, Any]] = {}

    def load(self) -> Loaded:
        """Have the task loaded, if it is not yet.

        Raises:
            EvalkitError: it cannot be loaded; one line says why.
        """
        with self._harness.lock:
            return self._running().loaded[self._key]

    def questions(self) -> Iterator[tuple[int, Question]]:
        """All documents in order, with their numbers.

        Raises:
            EvalkitError: one of them cannot be asked.
        """
        rows, start = self.load().rows, 0
        while start < rows:
            found = self._ask(list[Question], "questions", "questions", start)
            yield from enumerate(found, start)
            start += len(found)

    def image(self, index: int, which: int) -> Path:
        """The file of one of a document's images, written when first asked for."""
        file = self._folder / f"{index}-{which}"
        with self._harness.lock:
            if not file.is_file():
                self._ask(dict[str, Any], "", "images", index, str(self._folder))
        return file

    def expect(self, rows: list[tuple[int, str]]) -> None:
        """Have responses scored in one go, that are about to be put to `score` one by one.

        Nothing is said of what goes wrong: a response without a score is put again, and then its own row fails.
        """
        with self._harness.lock:
            self._ready = {}
            if len(rows) < 2 or self._deaths:
                return
            reply = self._running().ask(("scores", self._key, rows), ANSWER_SECONDS)
            if "dead" in reply:
                self._harness.stop()
            self._ready = dict(zip(rows, reply.get("scores", ()), strict=False))

    def score(self, index: int, text: str) -> Scored:
        """Score a response.

        Raises:
            EvalkitError: the task's own code failed at it.
        """
        with self._harness.lock:
            ready = self._ready.pop((index, text), None)
        return self._taken(ready, Scored) if ready else self._ask(Scored, "", "score", index, text)

    def aggregate(self, rows: list[tuple[int, str]]) -> dict[str, Figure]:
        """The task's own figures over responses to its documents."""
        return self._ask(dict[str, Figure], "figures", "aggregate", rows)

    def _running(self) -> _Process:
        if self._deaths >= DEATHS:
            raise EvalkitError(f"task lmms:{self._listed.name}: its process died {self._deaths} times; it is left dead")
        process = self._harness.running()
        if self._key in process.loaded:
            return process
        task = (self._key, self._listed.name, self._listed.file, str(self._folder), self._data)
        reply = process.ask(("load", *task), LOAD_SECONDS)
        if "dead" in reply:
            self._died()
        if problem := reply.get("error"):
            raise EvalkitError(_unloaded(self._listed, self._data, str(reply.get("kind", "")), str(problem)))
        loaded = msgspec.convert(reply, Loaded)
        if loaded.refusal:
            raise EvalkitError(f"task lmms:{self._listed.name} cannot be scored: {one_line(loaded.refusal)}")
        process.loaded[self._key] = loaded
        return process

    def _ask(self, kind: type[T], part: str, question: str, *arguments: Any) -> T:
        with self._harness.lock:
            reply = self._running().ask((question, self._key, *arguments), ANSWER_SECONDS)
            if "dead" in reply:
                self._died()
            else:
                self._deaths = 0
        return self._taken(reply, kind, part)

    def _taken(self, reply: dict[str, Any], kind: type[T], part: str = "") -> T:
        if problem := reply.get("error"):
            raise EvalkitError(f"task lmms:{self._listed.name}: {one_line(problem)}")
        return msgspec.convert(reply[part] if part else reply, kind)

    def _died(self) -> None:
        self._deaths += 1
        self._harness.stop()


class _Process:
    """The process itself."""

    def __init__(self, install: Install, log: Path) -> None:
        self.loaded: dict[str, Loaded] = {}
        self._log = log
        self._buffer = b""
        ours, theirs = os.pipe()
        try:
            with log.open("wb") as out:
                self._popen = subprocess.Popen(
                    [install.python, "-c", _BOOT, str(_GUEST), str(theirs)],
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=out,
                    bufsize=0,
                    pass_fds=(theirs,),
                    # Ctrl-C is for evalkit, which still has rows to score then
                    start_new_session=True,
                    # some scorers go through sets, and take what comes first
                    env={**os.environ, "PYTHONHASHSEED": "0"},
                )
        except OSError as error:
            os.close(ours)
            raise EvalkitError(f"{one_line(install.python, 200)} cannot be started: {error.strerror}") from error
        finally:
            os.close(theirs)
        self._replies = ours
        self._finalizer = weakref.finalize(self, _end, self._popen, ours)

    def ask(self, question: tuple[Any, ...], seconds: float) -> dict[str, Any]:
        """Put a question; a reply with "error" where it went wrong, and with "dead" where the process is no more."""
        assert self._popen.stdin is not None
        try:
            _write(self._popen.stdin, msgspec.json.encode(question) + b"\n")
            line = self._line(seconds)
        except OSError as error:
            return self._dead(one_line(error))
        if line is None:
            return self._dead(
                f"it ended with status {self._popen.wait()}" if self._ended() else f"no word in {seconds:g} s"
            )
        reply: dict[str, Any] = msgspec.json.decode(line)
        return reply

    def end(self) -> None:
        """Stop it."""
        self._finalizer()

    def forget(self) -> None:
        """In a forked child: leave the parent's process alone."""
        self._finalizer.detach()
        self._popen.returncode = 0

    def _ended(self) -> bool:
        try:
            self._popen.wait(1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _dead(self, why: str) -> dict[str, Any]:
        last = ""
        with contextlib.suppress(OSError):
            lines = self._log.read_bytes()[-8000:].decode("utf-8", "replace").splitlines()
            last = next((line for line in reversed(lines) if line.strip()), "")
        said = f"; its last words: {one_line(last, 160)}" if last else ""
        return {"error": f"lmms-eval's process died: {why}{said}", "dead": True, "kind": "Died"}

    def _line(self, seconds: float) -> bytes | None:
        deadline = time.monotonic() + seconds
        pieces: list[bytes] = [self._buffer]
        while b"\n" not in pieces[-1]:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._replies], [], [], left)[0]:
                return None
            piece = os.read(self._replies, 1 << 20)
            if not piece:
                return None
            pieces.append(piece)
        line, self._buffer = b"".join(pieces).split(b"\n", 1)
        return line


def _write(stream: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) or 0 :]


def _end(popen: subprocess.Popen[bytes], replies: int) -> None:
    with contextlib.suppress(OSError):
        os.close(replies)
    if popen.stdin is not None:
        with contextlib.suppress(OSError):
            popen.stdin.close()
    with contextlib.suppress(OSError):
        popen.kill()
    popen.wait()


def _unloaded(listed: Listed, data: str | None, kind: str, problem: str) -> str:
    """Why a task cannot be loaded, in one line, and what helps."""
    why = f"{kind}: {one_line(problem, 220)}"
    where = f"task lmms:{listed.name} cannot be loaded"
    if kind == "ModuleNotFoundError":
        return f"{where}: {why}; install what it needs beside lmms-eval"
    if "api_key" in problem.lower() or "api key" in problem.lower():
        return f"{where}: it needs a key: {why}"
    if data is None and listed.dataset and _of_the_network(kind, problem):
        return (
            f"{where}: its data set {one_line(listed.dataset, 80)} is not to be had ({why}); with a network, or with "
            "--data DIR, a folder of its parquet files"
        )
    return f"{where}: {why}"


def _of_the_network(kind: str, problem: str) -> bool:
    signs = (
        "connection",
        "offline",
        "timeout",
        "couldn't reach",
        "resolve",
        "gated",
        "401",
        "403",
        "localentry",
        "hub",
    )
    text = f"{kind} {problem}".lower()
    return any(sign in text for sign in signs)
