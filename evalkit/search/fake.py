"""A provider for tests: a function stands for the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from evalkit.search.base import Hit, Kind, Search


class FakeProvider:
    """Answers every search by calling a function.

    Args:
        answer: the results of a search; it may raise what a provider may raise.

    Attributes:
        asked: every search, in order.
        closed: whether `close` was called.
    """

    name = "fake"
    kinds = frozenset(Kind)

    def __init__(self, answer: Callable[[Search], Sequence[Hit]] = lambda search: ()) -> None:
        self.asked: list[Search] = []
        self.closed = False
        self._answer = answer

    async def start(self) -> dict[str, Any]:
        """There is nothing to start."""
        return {"kind": self.name}

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """The function's answer."""
        self.asked.append(search)
        return tuple(self._answer(search))[: search.results]

    async def close(self) -> None:
        """Remembered."""
        self.closed = True
