"""Which measured runs a chart shows, under which names, and what each looks like."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from evalkit.analysis.board import Board, Entry
from evalkit.reporting.charts.names import plain
from evalkit.reporting.charts.style import MARKS, Style, style
from evalkit.reporting.charts.words import listed

MOST = 12
"""Runs in one chart: more cannot be told apart."""


class Run(NamedTuple):
    """A run in a chart."""

    entry: Entry
    name: str
    look: Style


class Chosen(NamedTuple):
    """The runs of one chart, the most accurate first, and in words which others there are."""

    runs: tuple[Run, ...]
    left_out: str


class Runs:
    """All measured runs of a benchmark; each looks the same in all of its charts.

    Runs that no other beats come before others, and those by accuracy.
    """

    def __init__(self, board: Board) -> None:
        self.entries = board.entries
        front = {point.name for front in board.fronts for point in front.best}
        first = sorted(self.entries, key=lambda entry: entry.run not in front)
        self._rank = {entry.run: rank for rank, entry in enumerate(first)}
        models = {entry.model for entry in self.entries}
        self._by_model = len(models) == len(self.entries)

    def name(self, entry: Entry) -> str:
        """The model's where each run has another one, else the run's."""
        return plain(entry.model if self._by_model else entry.run)

    def with_data(
        self, has: Callable[[Entry], bool], what: str, first: Collection[str] = (), most: int = MOST
    ) -> Chosen:
        """The runs to show.

        Args:
            has: whether a run has what the chart shows.
            what: it, in words: "known seconds".
            first: runs that go before all others.
            most: runs that the chart has room for.
        """
        able = [entry for entry in self.entries if has(entry)]
        kept = sorted(able, key=lambda entry: (entry.run not in first, self._rank[entry.run]))[:most]
        looks = self._looks(kept)
        shown = tuple(Run(entry, self.name(entry), looks[entry.run]) for entry in self.entries if entry.run in looks)
        words = []
        if len(able) > len(kept):
            words.append(f"{len(able) - len(kept)} of {len(able)} runs are left out: less accurate, and on no front.")
        if lacking := [self.name(entry) for entry in self.entries if not has(entry)]:
            words.append(f"Without {what}: {listed(lacking)}.")
        return Chosen(shown, " ".join(words))

    def _looks(self, entries: Sequence[Entry]) -> dict[str, Style]:
        """The look of each run's rank; where a higher ranked one has it, the next that is free."""
        taken: dict[int, str] = {}
        for entry in entries:
            number = self._rank[entry.run] % len(MARKS)
            while number in taken:
                number = (number + 1) % len(MARKS)
            taken[number] = entry.run
        return {run: style(number) for number, run in taken.items()}
