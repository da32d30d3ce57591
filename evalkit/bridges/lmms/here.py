"""A task that lmms-eval itself has loaded, in its own process: what `Child` is elsewhere, without one."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.bridges.lmms.child import Figure, Question, Scored
from evalkit.bridges.lmms.guest.documents import Documents
from evalkit.bridges.lmms.guest.network import Watch
from evalkit.bridges.lmms.guest.scoring import Scoring


class Here:
    """Some of a task's documents, asked and scored here.

    Args:
        messages: the task's own `doc_to_messages`.
        docs: the data set of the split that is evaluated.
        wanted: numbers of the documents, in order.
        watch: tells whether scoring asks the network; lmms-eval scores by itself, so that is not done twice.
    """

    def __init__(self, messages: Callable[..., Any], docs: Any, wanted: Sequence[int], watch: Watch) -> None:
        task = messages.__self__  # type: ignore[attr-defined]
        self._wanted = wanted
        self._lock = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="evalkit-lmms-", ignore_cleanup_errors=True)
        arguments = task.args if hasattr(task, "args") else None
        self._documents = Documents(task, docs)
        self._scoring = Scoring(task, watch, self._temporary.name)
        task.args = arguments

    def questions(self) -> Iterator[tuple[int, Question]]:
        """The documents, with their numbers."""
        for index in self._wanted:
            with self._lock:
                yield index, msgspec.convert(self._documents.question(index), Question)

    def image(self, index: int, which: int) -> Path:
        """The file of one of a document's images."""
        file = Path(self._temporary.name) / f"{index}-{which}"
        with self._lock:
            if not file.is_file():
                self._documents.save(index, self._temporary.name)
        return file

    def expect(self, rows: list[tuple[int, str]]) -> None:
        """Nothing: no other process is waited for."""

    def score(self, index: int, text: str) -> Scored:
        """The task's word on a response."""
        return msgspec.convert(self._scoring.score(index, text), Scored)

    def aggregate(self, rows: list[tuple[int, str]]) -> dict[str, Figure]:
        """The task's own figures."""
        return msgspec.convert(self._scoring.aggregate(rows), dict[str, Figure])
