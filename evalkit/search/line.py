"""The recorded form of searches: one line each in a run's `searches.jsonl`, thumbnails beside it by content."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.images import decode_hook
from evalkit.search.base import Hit, Search

SEARCHES = "searches.jsonl"
THUMBNAILS = "thumbnails"
VERSION = 1


class Ended(StrEnum):
    """How a search ended."""

    OK = "ok"
    """With results, or with none."""
    FAILED = "failed"
    """The model was told that it failed."""
    TIMEOUT = "timeout"
    """It failed because it took too long; the model was told."""
    BROKEN = "broken"
    """No search was to be had; the trajectory ended with an error."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One search that was made, and what the model was given of it.

    Attributes:
        provider: what was searched.
        search: what was asked.
        status: see `Ended`.
        version: of this form.
        hits: as given to the model.
        error: why it failed.
        at: seconds since the epoch, at its start.
        seconds: it took, tries and waits included.
    """

    provider: str
    search: Search
    status: Ended
    version: int = VERSION
    hits: tuple[Hit, ...] = ()
    error: str = ""
    at: float = 0.0
    seconds: float = 0.0


def read_lines(file: Path) -> Iterator[Line]:
    """The searches in a file, in the order in which they ended; a torn last line is left out.

    Raises:
        DataError: the file cannot be read, or a line in the middle is corrupt or of a newer version.
    """
    decoder = msgspec.json.Decoder(Line, dec_hook=decode_hook(file.parent / THUMBNAILS))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    for number, text in enumerate(data.splitlines(keepends=True), 1):
        if not text.endswith(b"\n"):
            return
        try:
            line = decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"{file} line {number} is no recorded search: {one_line(error, 120)}") from error
        if line.version > VERSION:
            raise DataError(f"{file} line {number} is of version {line.version}; this evalkit reads up to {VERSION}")
        yield line
