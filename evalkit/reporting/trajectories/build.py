"""The trajectories of a run that go into a report, within so many bytes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.reporting.trajectories.album import GIVEN_SIDE, SIDE, Album
from evalkit.reporting.trajectories.conversation import Conversation
from evalkit.reporting.trajectories.describe import describe
from evalkit.reporting.trajectories.detail import Detail, Details, Picture
from evalkit.reporting.trajectories.reader import RecordReader

if TYPE_CHECKING:
    from evalkit.analysis.row_index import RowIndex
    from evalkit.records import Record

_BASE64 = 4 / 3


def details(index: RowIndex, rows: Sequence[int], budget: int | None = None, album: Album | None = None) -> Details:
    """The trajectories of some rows, with their pictures.

    Args:
        index: of the run.
        rows: in order of importance.
        budget: bytes that they may take in a report of one file, where texts are packed and pictures that the album
            holds already cost nothing (see `pooled`); None for no limit. What follows the first row that does not
            fit is left out and counted.
        album: shared by the runs of a report, so that none makes a picture that another has made.

    Raises:
        DataError: the run's records cannot be read at all; a single one that cannot is said in its place.
    """
    album = album or Album()
    found: dict[int, Detail] = {}
    pictures: dict[str, Picture] = {}
    unreadable: dict[int, str] = {}
    spent = 0.0
    with RecordReader(Path(index.folder)) as reader:
        for place, row in enumerate(rows):
            try:
                record = reader.read(index.offsets[row], index.ids[row])
                direct = reader.read(at, index.ids[row]) if (at := index.direct_offsets[row]) >= 0 else None
            except DataError as error:
                unreadable[row] = one_line(error)
                continue
            shown = describe(record, direct)
            known = {image.picture for image in shown.images if image.picture in album}
            new = _pictures(record, shown, album)
            spent += _cost(shown, {key: picture for key, picture in new.items() if key not in known | set(pictures)})
            if budget is not None and spent > budget:
                return Details(rows=found, pictures=pictures, left_out=len(rows) - place, unreadable=unreadable)
            found[row] = shown
            pictures |= new
    return Details(rows=found, pictures=pictures, unreadable=unreadable)


def _pictures(record: Record, shown: Detail, album: Album) -> dict[str, Picture]:
    sides = [SIDE if place < shown.own else GIVEN_SIDE for place in range(len(shown.images))]
    files = Conversation(record).files
    return {
        image.picture: album.picture(file, side) for image, file, side in zip(shown.images, files, sides, strict=True)
    }


def _cost(shown: Detail, new: dict[str, Picture]) -> float:
    """Bytes in the file: texts packed and in base64; pictures, which packing does not shrink."""
    packed = len(zlib.compress(msgspec.json.encode(shown), 1)) * _BASE64
    return packed + sum(len(key) + len(picture.data or picture.why) for key, picture in new.items())
