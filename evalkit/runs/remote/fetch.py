"""A run in object storage brought to its folder on this machine, and what that folder has beyond it kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from evalkit.errors import DataError, InfrastructureError
from evalkit.records import AGENT
from evalkit.runs.folder import IMAGES, INFO, REPORT, SUMMARY, RunInfo, write_info, write_whole
from evalkit.runs.remote.bucket import Bucket
from evalkit.runs.remote.segments import Segment, digest_of, segments_in

STREAMS = ("searches", "samples")
"""Files that grow, without their ending; what a line of the second names is in the store before it."""
PICTURES = ("thumbnails", IMAGES)
"""Folders of images by content: those that each of the streams names."""
DERIVED = (SUMMARY, REPORT)

_PICTURE = re.compile(rf"(?:{'|'.join(PICTURES)})/([0-9a-f]{{64}})\.[a-z0-9]{{2,5}}")


class Fetched(msgspec.Struct):
    """How far the store and this machine's folder agree.

    Attributes:
        there: whether the store has anything of the run.
        sent: bytes of each stream, from its start, that the store has.
        numbers: the last segment of each stream.
        pictures: names of those that the store has, by folder.
        notes: what the user must know.
    """

    there: bool
    sent: dict[str, int]
    numbers: dict[str, int]
    pictures: dict[str, set[str]]
    notes: list[str] = []


def fetch(bucket: Bucket, folder: Path, *, pictures: bool) -> Fetched:
    """Bring a run's folder up to date with the store.

    Lines that only the folder has stay at its end, but for those of trajectories that the store got from elsewhere in
    the meantime.

    Args:
        bucket: the run's objects.
        folder: where it goes; made where it is not there. Nobody else writes to it.
        pictures: whether images are brought too.

    Raises:
        DataError: what the store has is damaged, or of another run than the folder.
        InfrastructureError: the store does not answer, or the disk is full.
    """
    listed = {name: size for name, size in bucket.sizes().items() if not name.startswith(".")}
    held = {name: size for name, size in listed.items() if _PICTURE.fullmatch(name)}
    names = {kind: {name.partition("/")[2] for name in held if name.startswith(f"{kind}/")} for kind in PICTURES}
    found = Fetched(there=False, sent={}, numbers={}, pictures=names)
    streams = {stream: segments_in(listed, stream, str(bucket)) for stream in STREAMS}
    found.there = INFO in listed or bool(streams["samples"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if pictures:
            _bring_pictures(bucket, folder, held)
        if INFO in listed:
            bring_info(bucket, folder)
        for stream, segments in streams.items():
            _join(bucket, folder, stream, segments, found)
        for name in DERIVED:
            if name in listed and not found.notes and (data := bucket.read(name)) is not None:
                write_whole(folder / name, data)
    except OSError as error:
        raise InfrastructureError(f"cannot write {folder}: {error.strerror}; free space there") from error
    return found


def _join(bucket: Bucket, folder: Path, stream: str, segments: list[Segment], found: Fetched) -> None:
    """Make the folder's file begin with what the store has."""
    file = folder / f"{stream}.jsonl"
    for left_behind in folder.glob(f".{file.name}.*"):
        left_behind.unlink()
    start, missing = _agreeing(bucket, file, segments)
    found.numbers[stream] = segments[-1].number if segments else 0
    found.sent[stream] = start
    if not missing:
        return
    part = file.with_name(f".{file.name}.{os.getpid()}")
    keys: set[tuple[str, str, int]] = set()
    try:
        with open(part, "wb") as out:
            for piece in _pieces(file, 0, start):
                out.write(piece)
            for data in _brought(bucket, missing):
                found.sent[stream] += out.write(data)
                keys.update(filter(None, map(_key, data.splitlines())) if stream == "samples" else ())
            kept = left = 0
            for line in _lines_after(file, start):
                if stream == "samples" and _key(line) in keys:
                    left += 1
                else:
                    kept += 1
                    out.write(line)
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    if stream == "samples" and left:
        found.notes.append(
            f"{bucket} was filled elsewhere in the meantime: {left} trajectories that only this machine had are there "
            f"from elsewhere too, and those count; {kept} more of this machine's are added"
        )


def _agreeing(bucket: Bucket, file: Path, segments: list[Segment]) -> tuple[int, list[Segment]]:
    """How many bytes of the file are those of the first segments, and the segments that it has not."""
    at = 0
    try:
        with open(file, "rb") as mine:
            for index, segment in enumerate(segments):
                size = segment.size
                if segment.digest:
                    same = segment.fits(mine.read(size))
                else:
                    # the name of a file that was copied there says nothing of its content
                    whole = _whole_lines(bucket.read(segment.name) or b"")
                    size, same = len(whole), mine.read(len(whole)) == whole
                if not same:
                    return at, segments[index:]
                at += size
    except FileNotFoundError:
        return 0, segments
    return at, []


def _whole_lines(data: bytes) -> bytes:
    """What was copied while it was written may end within a line."""
    return data[: data.rfind(b"\n") + 1]


def _brought(bucket: Bucket, segments: list[Segment]) -> Iterator[bytes]:
    by_name = {segment.name: segment for segment in segments}
    for name, data in bucket.read_all({segment.name: segment.size for segment in segments}):
        if not by_name[name].fits(data):
            raise DataError(
                f"{bucket}/{name} is damaged: its bytes are {digest_of(data)}…, not what its name says; "
                "put back what was written, or move it and those after it away to have their rows run again"
            )
        yield _whole_lines(data)


def bring_info(bucket: Bucket, folder: Path) -> None:
    """Bring the store's `run.json`, with the starts of which it has not heard yet.

    Args:
        bucket: the run's objects.
        folder: where it goes; what stands there is of the same run.

    Raises:
        InfrastructureError: the store does not answer, or the disk is full.
    """
    data = bucket.read(INFO)
    if data is None:
        return
    try:
        mine = msgspec.json.decode((folder / INFO).read_bytes(), type=RunInfo)
        other = msgspec.json.decode(data, type=RunInfo)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        # whoever reads it says what is wrong with it
        write_whole(folder / INFO, data)
        return
    known = {session.started for session in other.sessions}
    unheard = [session for session in mine.sessions if session.started not in known]
    if unheard and known <= {session.started for session in mine.sessions}:
        # this machine was the last to write it
        return
    other.sessions = sorted([*other.sessions, *unheard], key=lambda session: session.started)
    write_info(folder, other)


def _bring_pictures(bucket: Bucket, folder: Path, held: Mapping[str, int]) -> None:
    for kind in PICTURES:
        if any(name.startswith(f"{kind}/") for name in held):
            (folder / kind).mkdir(exist_ok=True)
    missing = {name: size for name, size in held.items() if _size(folder / name) != size}
    for name, data in bucket.read_all(missing):
        match = _PICTURE.fullmatch(name)
        if match is None or hashlib.sha256(data).hexdigest() != match[1]:
            raise DataError(f"{bucket}/{name} is damaged: its content is not what its name says; put it back")
        write_whole(folder / name, data)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def _pieces(file: Path, start: int, stop: int) -> Iterator[bytes]:
    if start == stop:
        return
    with open(file, "rb") as opened:
        opened.seek(start)
        while start < stop and (data := opened.read(min(1 << 20, stop - start))):
            start += len(data)
            yield data


def _lines_after(file: Path, start: int) -> Iterator[bytes]:
    """The whole lines from this byte on."""
    with contextlib.suppress(FileNotFoundError), open(file, "rb") as opened:
        opened.seek(start)
        yield from (line for line in opened if line.endswith(b"\n"))


class _Sample(msgspec.Struct):
    id: str


class _Keyed(msgspec.Struct):
    sample: _Sample
    arm: str = AGENT
    repeat: int = 0


_KEYED = msgspec.json.Decoder(_Keyed)


def _key(line: bytes) -> tuple[str, str, int] | None:
    """Which trajectory a line is of; None for a damaged one, which whoever reads the file names."""
    try:
        keyed = _KEYED.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return keyed.sample.id, keyed.arm, keyed.repeat
