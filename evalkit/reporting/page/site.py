"""A report as a folder: a page, and data that it reads when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import EvalkitError
from evalkit.reporting.page.assets import Source
from evalkit.reporting.page.blobs import as_json, packed, rows_of
from evalkit.reporting.page.compose import Composer, Reach
from evalkit.reporting.page.html import note
from evalkit.reporting.page.room import readable
from evalkit.reporting.trajectories import Album
from evalkit.reporting.writing import write_whole

if TYPE_CHECKING:
    from evalkit.reporting.report import Report

INDEX = "index.html"
DATA = "data"
CHUNK = 50
"""Trajectories of a data file."""
_OURS = b'<meta name="generator" content="evalkit '


def write_site(report: Report, folder: Path) -> None:
    """Write a report as a folder with `index.html`; it works from a disk and from any server.

    Data files come first and the page last, so that a page never asks for what there is not. Files of an earlier
    report in the folder are written over; others are left alone.

    Raises:
        EvalkitError: it cannot be written there, or there is a page that is no report.
    """
    page = Composer(report)
    _ready(folder)
    _write(folder, "boards", report.boards)
    for name, columns in rows_of(report.indexes):
        _write(folder, name, columns)
    rows = [sorted(chosen) for chosen in report.rows]
    for number, (index, chosen) in enumerate(zip(report.indexes, rows, strict=True)):
        for start in range(0, len(chosen), CHUNK):
            _write(
                folder,
                f"details/{number}/{start // CHUNK}",
                readable(index, chosen[start : start + CHUNK], None, Album()),
            )
    whole = [
        None if len(chosen) == len(index.ids) else chosen for chosen, index in zip(rows, report.indexes, strict=True)
    ]
    made = page.page(Source.SITE, Reach(whole, note(report, rows)))
    write_whole(folder / INDEX, made.html.encode("utf-8"))


def _ready(folder: Path) -> None:
    index = folder / INDEX
    try:
        if index.is_file():
            with index.open("rb") as start:
                if _OURS not in start.read(20_000):
                    raise EvalkitError(f"{index} is a page that evalkit did not make; name another folder")
        (folder / DATA).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvalkitError(f"{folder}: cannot be written: {error.strerror}; name another folder") from error


def _write(folder: Path, name: str, value: object) -> None:
    file = folder / DATA / f"{name}.js"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvalkitError(f"{file.parent}: cannot be written: {error.strerror}; name another folder") from error
    write_whole(file, b"evalkit.deliver(" + as_json(name) + b"," + as_json(packed(value)) + b")\n")
