"""A file that grows, as objects that never change: each holds whole lines, and its name says which and checks them.

`samples/000002-9f86d081884c7d65.jsonl` holds the lines that follow those of number 1, and the digits are the
beginning of the SHA-256 of its bytes. Joined in order of number they are the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from evalkit.errors import DataError

SEGMENT_BYTES = 16 << 20
"""A segment is not longer, unless one line is."""

_NAME = re.compile(r"([a-z]+)/([0-9]{6})-([0-9a-f]{16})\.jsonl")


class Segment(msgspec.Struct, frozen=True):
    """One object of a file's lines.

    Attributes:
        name: of the object; that of the file itself for lines that were copied there whole.
        size: in bytes.
        number: its place, from 1; 0 for a file that was copied there whole.
        digest: what its bytes' SHA-256 begins with; empty where its name does not say.
    """

    name: str
    size: int
    number: int
    digest: str

    def fits(self, data: bytes) -> bool:
        """Whether these are its bytes."""
        return len(data) == self.size and digest_of(data).startswith(self.digest)


def segment_of(stream: str, number: int, data: bytes) -> Segment:
    """The segment that holds these lines."""
    digest = digest_of(data)
    return Segment(f"{stream}/{number:06d}-{digest}.jsonl", len(data), number, digest)


def digest_of(data: bytes) -> str:
    """What stands in the name of a segment of these bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def segments_in(listed: Mapping[str, int], stream: str, where: str) -> list[Segment]:
    """The segments of a file among objects, in order.

    Args:
        listed: sizes of objects by name.
        stream: "samples" or "searches".
        where: for messages.

    Raises:
        DataError: one is missing, or two writers have written the same place.
    """
    found: dict[int, Segment] = {}
    whole = f"{stream}.jsonl"
    if whole in listed:
        found[0] = Segment(whole, listed[whole], 0, "")
    for name, size in sorted(listed.items()):
        match = _NAME.fullmatch(name)
        if match is None or match[1] != stream:
            continue
        number = int(match[2])
        if (other := found.get(number)) is not None:
            raise DataError(
                f"{where} has {other.name} and {name}: two evalkits wrote to it at once; "
                "move one of the two away, and its rows are run again"
            )
        found[number] = Segment(name, size, number, match[3])
    numbers = sorted(number for number in found if number)
    if missing := next((at for at, number in enumerate(numbers, 1) if at != number), None):
        raise DataError(
            f"{where} lacks {stream}/{missing:06d}-….jsonl, which comes before {found[numbers[-1]].name}; "
            "put it back, or start again at another place"
        )
    return [found[number] for number in sorted(found)]


def next_lines(file: Path, start: int, size: int = SEGMENT_BYTES) -> bytes:
    """The whole lines of a file that begin at a byte: as many as fit, but at least one; empty where there is none.

    Args:
        file: one that is not there yet has no lines.
        start: where a line begins.
        size: bytes; -1 for all.
    """
    try:
        with open(file, "rb") as opened:
            opened.seek(start)
            data = opened.read(size)
            end = data.rfind(b"\n") + 1
            if end == 0 and data and size >= 0:
                data += opened.readline()
                end = len(data) if data.endswith(b"\n") else 0
    except FileNotFoundError:
        return b""
    return data[:end]
