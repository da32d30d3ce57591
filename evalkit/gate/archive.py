"""A baseline as one small file: who was right, calls, tokens, times and the configuration; no texts, no images."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from evalkit.analysis.kept import Kept
from evalkit.errors import DataError, InfrastructureError, one_line
from evalkit.gate.baseline import ARCHIVE, LONGEST, Samples, samples_of, shown
from evalkit.records import AGENT, Verdict
from evalkit.runs.folder import RunInfo, write_whole
from evalkit.version import __version__

FORMAT = "evalkit-baseline"
VERSION = 1
"""Raised when a column changes its meaning or goes."""
MAX_FILE = 64 * 2**20
MAX_TEXT = 256 * 2**20
"""Bytes, packed and unpacked, beyond which no file is a baseline."""

_T = TypeVar("_T")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]
_PER_SAMPLE = ("category", "cluster", "options", "question", "images", "prompt")


class _Head(msgspec.Struct, kw_only=True):
    """What every version has."""

    format: str
    version: int
    evalkit: str = ""


class _Samples(msgspec.Struct, kw_only=True):
    """Columns with one entry per sample."""

    id: list[str]
    category: list[str]
    cluster: list[str]
    options: list[_Count]
    question: list[str]
    images: list[str]
    prompt: list[str]


class _Rows(msgspec.Struct, kw_only=True):
    """Columns with one entry per trajectory."""

    sample: list[_Count]
    arm: list[str]
    repeat: list[_Count]
    verdict: list[Verdict]
    official: list[bool | None]
    answer: list[str | None]
    official_answer: list[str | None]
    reason: list[str]
    scorer: list[str]
    calls: list[_Count | None]
    calls_ok: list[_Count | None]
    emitted: list[_Count | None]
    prompt_tokens: list[_Count | None]
    completion_tokens: list[_Count | None]
    seconds: list[_Seconds | None]


class _File(_Head, kw_only=True):
    info: RunInfo
    samples: _Samples
    rows: _Rows


def save_baseline(folder: Path, file: Path) -> Path:
    """Archive a run as a baseline; equal runs give equal bytes.

    Args:
        folder: the run folder.
        file: what to write; its name may be any.

    Raises:
        DataError: the run cannot be read, has no finished trajectory, or figures that no run can have.
        InfrastructureError: the file cannot be written.
    """
    found = samples_of(folder)
    places: dict[str, int] = {}
    first: list[Kept] = []
    # what a comparison takes of a sample is what its first row of the agent says
    for row in sorted(found.rows, key=lambda row: row.arm != AGENT):
        if row.id not in places:
            places[row.id] = len(first)
            first.append(row)
    content = _File(
        format=FORMAT,
        version=VERSION,
        evalkit=__version__,
        info=found.info,
        samples=_Samples(**{name: [getattr(row, name) for row in first] for name in ("id", *_PER_SAMPLE)}),
        rows=_Rows(
            sample=[places[row.id] for row in found.rows],
            **{
                name: [getattr(row, name) for row in found.rows] for name in _Rows.__struct_fields__ if name != "sample"
            },
        ),
    )
    if file.is_dir():
        raise DataError(f"{file} is a folder: name a file, e.g. {file / 'baseline.json.gz'}")
    if not file.parent.is_dir():
        raise InfrastructureError(f"cannot write {file}: there is no folder {file.parent}")
    text = msgspec.json.encode(content)
    try:
        # what could not be read again is no baseline
        list(_rows(file, msgspec.json.decode(text, type=_File)))
    except (msgspec.MsgspecError, DataError) as error:
        raise DataError(f"{folder} makes no baseline: {one_line(error, 200)}") from error
    # a fixed time keeps the bytes of equal runs equal
    write_whole(file, gzip.compress(text, compresslevel=9, mtime=0))
    return file


def read_archive(file: Path) -> Samples:
    """A baseline that `save_baseline` wrote.

    Raises:
        DataError: it is none, damaged, too large, or of a newer version.
    """
    text = _unpacked(file)
    head = _decoded(file, text, _Head)
    if head.format != FORMAT:
        raise DataError(f"{file} is no archived baseline; evalkit baseline save RUN FILE writes one")
    if head.version > VERSION or head.version < 1:
        raise DataError(
            f"{file} is a baseline of version {head.version} (evalkit {one_line(head.evalkit, 20)}); "
            f"this evalkit reads up to {VERSION}: update evalkit, or save the baseline again"
        )
    content = _decoded(file, text, _File)
    for part in ("task", "model"):
        named = content.info.config.get(part)
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            raise _damaged(file, f"its config names no {part}")
    rows = tuple(_rows(file, content))
    if not any(row.arm == AGENT for row in rows):
        raise _damaged(file, "it has no trajectory of the agent")
    return Samples(name=shown(file), kind=ARCHIVE, info=content.info, rows=rows)


def _rows(file: Path, content: _File) -> Iterator[Kept]:
    samples, rows = content.samples, content.rows
    for columns in (samples, rows):
        lengths = {len(getattr(columns, name)) for name in columns.__struct_fields__}
        if len(lengths) > 1:
            raise _damaged(file, "its columns differ in length")
    if len(set(samples.id)) < len(samples.id):
        raise _damaged(file, "a sample stands in it twice")
    if any(place >= len(samples.id) for place in rows.sample):
        raise _damaged(file, "a row names a sample that is not there")
    if len(set(zip(rows.sample, rows.arm, rows.repeat, strict=True))) < len(rows.sample):
        raise _damaged(file, "a trajectory stands in it twice")
    if any(part is not None and (whole is None or part > whole) for part, whole in _parts(rows)):
        raise _damaged(file, "more calls succeeded than ran")
    names = [name for name in rows.__struct_fields__ if name != "sample"]
    for place, *values in zip(rows.sample, *(getattr(rows, name) for name in names), strict=True):
        shared = {name: getattr(samples, name)[place] for name in _PER_SAMPLE}
        yield Kept(id=samples.id[place], **shared, **dict(zip(names, values, strict=True)))


def _parts(rows: _Rows) -> Iterator[tuple[int | None, int | None]]:
    yield from zip(rows.calls_ok, rows.calls, strict=True)
    yield from zip(rows.calls, rows.emitted, strict=True)


def _unpacked(file: Path) -> bytes:
    """The text of the file, never more than `MAX_TEXT` of it."""
    try:
        with file.open("rb") as stream:
            packed = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or one_line(error)}") from error
    if len(packed) > MAX_FILE:
        raise DataError(f"{file} is no archived baseline: it is larger than {MAX_FILE // 2**20} MB")
    if not packed.startswith(b"\x1f\x8b"):
        raise DataError(f"{file} is no archived baseline; evalkit baseline save RUN FILE writes one")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(packed, MAX_TEXT + 1)
    except zlib.error as error:
        raise _damaged(file, one_line(error, 80)) from error
    if len(text) > MAX_TEXT:
        raise DataError(f"{file} is no archived baseline: it unpacks to more than {MAX_TEXT // 2**20} MB")
    if not unpacker.eof:
        raise _damaged(file, "its end is missing")
    if unpacker.unused_data:
        raise _damaged(file, "something follows its end")
    return text


def _decoded(file: Path, text: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(file, one_line(error, 120)) from error


def _damaged(file: Path, why: str) -> DataError:
    return DataError(f"baseline {file} is damaged ({why}); save it again with evalkit baseline save RUN FILE")
