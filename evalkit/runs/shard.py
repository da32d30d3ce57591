"""A shard: every n-th row of a benchmark, run by a command of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from evalkit.errors import EvalkitError, one_line
from evalkit.records import Sample
from evalkit.runs.arms import Job

T = TypeVar("T")


class Shard(msgspec.Struct, frozen=True, order=True):
    """Which part of a run's rows: neighbours go to different shards, so that all take about as long.

    Attributes:
        index: from 1.
        count: how many shards there are.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"shard {self.index} of {self.count}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, rows: Sequence[T]) -> Sequence[T]:
        """Its part of all rows."""
        return rows[self.index - 1 :: self.count]

    def rows(self, count: int) -> int:
        """How many of so many rows are its own."""
        return len(range(self.index - 1, count, self.count))

    def jobs(self, jobs: Iterable[Job], samples: Sequence[Sample]) -> list[Job]:
        """Those jobs that are on its rows.

        Args:
            jobs: planned for all rows, so that a choice among them is the whole run's.
            samples: all rows.
        """
        mine = {sample.id for sample in self.of(samples)}
        return [job for job in jobs if job.sample.id in mine]

    def check(self, task: str, count: int) -> None:
        """Refuse more shards than rows.

        Raises:
            EvalkitError: see above.
        """
        if self.count > count:
            raise EvalkitError(f"--shard {self}: {task} has {count} rows; take at most {count} shards")

    def note(self, count: int) -> str:
        """What must be said of its figures where the benchmark has so many rows."""
        return f"shard {self.index} of {self.count}: {self.rows(count)} of {count} rows; evalkit merge joins all shards"


def read_shard(text: str) -> Shard:
    """A shard as the user writes it, e.g. "2/4".

    Raises:
        EvalkitError: it is none.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise EvalkitError(f"--shard {one_line(text, 40)!r}: write i/n with i from 1 to n, e.g. 2/4")
    return Shard(int(found[1]), int(found[2]))
