"""In which order a training takes its samples."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """Something with an id of its own."""

    @property
    def id(self) -> str:
        """The id."""


T = TypeVar("T", bound=Named)


class Stream(Generic[T]):
    """Goes through all items in a random order, then through all in another one, and so on.

    The order follows from the seed alone, so that `drawn` is all there is to remember.

    Attributes:
        drawn: items that are behind.
    """

    def __init__(self, items: Sequence[T], seed: int, drawn: int = 0) -> None:
        """Begin after the first `drawn` items."""
        self._items = items
        self._seed = seed
        self._round = -1
        self._order: list[int] = []
        self.drawn = drawn

    def take(self, count: int, without: Collection[str] = ()) -> list[T]:
        """The next `count` items with ids of their own; fewer where there are not so many.

        Args:
            count: at most.
            without: ids that are passed over.
        """
        taken: dict[str, T] = {}
        for _ in range(2 * len(self._items)):
            if len(taken) == count:
                break
            item = self._next()
            if item.id not in without and item.id not in taken:
                taken[item.id] = item
        return list(taken.values())

    def _next(self) -> T:
        turn, place = divmod(self.drawn, len(self._items))
        if turn != self._round:
            self._order = list(range(len(self._items)))
            random.Random(f"{self._seed}/{turn}").shuffle(self._order)
            self._round = turn
        self.drawn += 1
        return self._items[self._order[place]]
