"""The valid rows of shards: that each is whole, that none is in two, and where their lines and images are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from evalkit.errors import EvalkitError, one_line
from evalkit.records import AGAIN, AGENT, DIRECT, FORCED, ISOLATED, Record, answer_arm
from evalkit.runs.arms import Arms, evenly
from evalkit.runs.lines import read_lines
from evalkit.runs.merge import ShardRun, asked
from evalkit.runs.store import Key, images_of, record_decoder

_Kind = tuple[str, int]


class Row(NamedTuple):
    """A trajectory's valid line.

    Attributes:
        start: byte at which it begins in `samples.jsonl`.
        images: file names in `images/` with their sizes.
        calls: after how many calls an answer can be forced: the calls that ran, 0 where it failed.
    """

    start: int
    images: tuple[tuple[str, int], ...]
    calls: int


class ShardRows(NamedTuple):
    """The rows of one shard, by key.

    Attributes:
        run: the shard.
        rows: in the order of first appearance.
    """

    run: ShardRun
    rows: Mapping[Key, Row]


def rows_of(shards: Sequence[ShardRun]) -> list[ShardRows]:
    """The rows of all shards.

    Raises:
        DataError: a line is corrupt.
        EvalkitError: a shard is not finished, or a row is in two; a line for each.
    """
    read = [ShardRows(run, _rows(run)) for run in shards]
    arms = asked(run.info for run in shards)
    if problems := [*_twice(read), *(problem for one in read for problem in _missing(one, arms))]:
        raise EvalkitError("\n".join(problems))
    return read


def _rows(run: ShardRun) -> dict[Key, Row]:
    return {record.key: _row(start, record) for start, record in read_lines(run.folder, record_decoder(run.folder))}


def _row(start: int, record: Record) -> Row:
    images = tuple((image.header.filename, image.header.size) for image in images_of(record))
    ran = 0 if record.outcome.verdict.is_error else sum(call.status.dispatched for call in record.trajectory.calls)
    return Row(start, images, ran)


def _twice(read: Sequence[ShardRows]) -> Iterator[str]:
    seen: dict[str, ShardRun] = {}
    for run, rows in read:
        ids = dict.fromkeys(id for id, _, _ in rows)
        both = [(id, seen[id]) for id in ids if id in seen]
        if both:
            id, other = both[0]
            yield f"{len(both)} rows of {run} are in {other} as well, e.g. {one_line(id, 80)!r}"
        seen.update(dict.fromkeys(ids, run))


def _missing(read: ShardRows, arms: Arms) -> Iterator[str]:
    """What a shard lacks, an arm a line; rows of which there are too many are told as well."""
    there = Counter((arm, repeat) for _, arm, repeat in read.rows)
    for (arm, repeat), due in _due(read, arms).items():
        found = there[arm, repeat]
        name = "" if arm == AGENT else f" of arm {arm}"
        name += f" (repeat {repeat})" if repeat else ""
        if found < due:
            yield f"{read.run} is not finished: {due - found} of {due} rows{name} are missing; run its command again"
        elif (arm, repeat) == (AGENT, 0) and found > due:
            yield f"{read.run} has {found} rows where {due} are its part: its files are not one run's"


def _due(read: ShardRows, arms: Arms) -> dict[_Kind, int]:
    """How many rows the shard must have of each arm and repeat."""
    run = read.run
    total, rows = run.info.expected_rows, run.info.due_rows
    due: Counter[_Kind] = Counter({(AGENT, repeat): rows for repeat in range(arms.repeats)})
    due.update({(DIRECT, repeat): rows for repeat in range(arms.direct_runs)})
    if FORCED in arms.names:
        due[FORCED, 0] = rows
    for arm, count in ((AGAIN, arms.again), (ISOLATED, arms.isolated)):
        chosen = set(evenly(range(total), count))
        due[arm, 0] = len(chosen.intersection(run.shard.of(range(total))))
    if arms.forced_answers:
        for (_, arm, repeat), row in read.rows.items():
            due.update({(answer_arm(calls), repeat): 1 for calls in range(row.calls) if arm == AGENT})
    return due
