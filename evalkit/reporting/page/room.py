"""Trajectories for a report of one file: as many as there is room for, shared fairly by the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from evalkit.analysis.row_index import RowIndex
from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.reporting.page.blobs import packed
from evalkit.reporting.trajectories import Album, Details, Wanted, details, pooled

_ROUNDS = 4
_LEAST = 2_000
"""Bytes of a share below which no trajectory can be expected to fit."""


class Held(NamedTuple):
    """What a file holds of trajectories.

    Attributes:
        runs: row numbers of each run.
        blobs: name and packed data.
    """

    runs: list[list[int]]
    blobs: list[tuple[str, str]]


def held(indexes: Sequence[RowIndex], rows: Sequence[Sequence[int]], room: int, wanted: Wanted) -> Held:
    """The trajectories of a report of one file.

    A number is an offer: every run gets an equal share of the room, what some do not need goes to the others, and
    the rows that do not fit are left out. "all" and "failures" are meant.

    Args:
        indexes: of all runs.
        rows: of each run, in order of importance.
        room: bytes.
        wanted: what was asked for.

    Raises:
        EvalkitError: all or all failures were asked for, and do not fit.
    """
    whole = isinstance(wanted, str)
    album, seen = Album(), set[str]()
    found = [Details(rows={}, left_out=len(mine)) for mine in rows]
    for _ in range(1 if whole else _ROUNDS):
        hungry = [place for place, one in enumerate(found) if one.left_out]
        share = room if whole or not hungry else room // len(hungry)
        if share < _LEAST:
            break
        for place in hungry:
            done = len(rows[place]) - found[place].left_out
            more = readable(indexes[place], rows[place][done:], max(room, 0) if whole else share, album)
            found[place] = _joined(found[place], more)
            room -= _size(more, seen)
    if whole and any(one.left_out for one in found):
        raise EvalkitError(
            f"the trajectories asked for (--trajectories {wanted}) do not fit into one file that can be mailed; "
            "name a folder instead of a file, or a number of trajectories for each run"
        )
    slim, pictures = pooled(found)
    blobs = [("pictures", packed(pictures))] if pictures else []
    blobs += [(f"details/{number}", packed(one)) for number, one in enumerate(slim)]
    return Held([sorted({*one.rows, *one.unreadable}) for one in found], blobs)


def readable(index: RowIndex, rows: Sequence[int], room: int | None, album: Album) -> Details:
    """The trajectories of a run; where it cannot be read any more, each row says why."""
    try:
        return details(index, rows, room, album)
    except DataError as error:
        return Details(rows={}, unreadable=dict.fromkeys(rows, one_line(error)))


def _joined(first: Details, more: Details) -> Details:
    return msgspec.structs.replace(
        more,
        rows=first.rows | more.rows,
        pictures=first.pictures | more.pictures,
        unreadable=first.unreadable | more.unreadable,
    )


def _size(more: Details, seen: set[str]) -> int:
    """Bytes that these add to a file in which each picture is once."""
    new = {key: picture for key, picture in more.pictures.items() if key not in seen}
    seen |= new.keys()
    return len(packed(msgspec.structs.replace(more, pictures=new)))
