"""A report as one file that can be mailed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.reporting.page.assets import Source, assets
from evalkit.reporting.page.blobs import packed, rows_of
from evalkit.reporting.page.compose import Composer, Reach
from evalkit.reporting.page.room import held
from evalkit.reporting.writing import write_whole

if TYPE_CHECKING:
    from evalkit.reporting.report import Report

LIMIT = 15_000_000
"""Bytes that a report of one file takes at most, as far as that is a matter of its trajectories."""
_SPARE = 200_000


def write_html(report: Report, file: Path) -> None:
    """Write a report as one file: everything is in it, and it asks nobody for anything.

    Raises:
        EvalkitError: it cannot be written there, or all trajectories were asked for and one file has no room.
    """
    write_whole(file, one_file(report).encode("utf-8"))


def one_file(report: Report, limit: int = LIMIT) -> str:
    """The text of that file.

    Args:
        report: to write.
        limit: bytes; tables and charts are never cut.
    """
    composer = Composer(report)
    blobs = [("boards", packed(report.boards))]
    blobs += [(name, packed(rows)) for name, rows in rows_of(report.indexes)]
    made = assets(Source.INLINE)
    used = len(composer.body.encode("utf-8", "replace")) + sum(map(len, (*made.styles, *made.scripts)))
    used += sum(len(data) for _, data in blobs)
    found = held(report.indexes, report.rows, limit - used - _SPARE, report.trajectories)
    return composer.page(Source.INLINE, Reach(found.runs, note(report, found.runs)), [*blobs, *found.blobs]).html


def note(report: Report, rows: Sequence[Sequence[int]]) -> str:
    """How many trajectories are there, in a sentence."""
    total = sum(len(index.ids) for index in report.indexes)
    there, wanted = sum(map(len, rows)), sum(map(len, report.rows))
    if there == total:
        return f"All {total:,} trajectories are here."
    folder = "A folder has them all: evalkit report RUNS --trajectories all --html FOLDER"
    if not there:
        return f"The {total:,} trajectories are listed with their figures; none is here in full. {folder}"
    if report.trajectories == "failures" and there == wanted:
        return (
            f"{there:,} of {total:,} trajectories are here in full: the samples that a run has wrong or without score."
        )
    cut = "" if there == wanted else ", and no more than one file has room for"
    return (
        f"{there:,} of {total:,} trajectories are here in full: at most {report.trajectories} of each run, chosen so "
        f"that each kind is seen{cut}. The others are listed with their figures. {folder}"
    )
