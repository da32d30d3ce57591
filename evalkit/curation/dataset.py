"""A Hugging Face data set of conversations with images: parquet files that say themselves what their columns are."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalkit.engines.base import Message
from evalkit.errors import DataError, EvalkitError, InfrastructureError, one_line
from evalkit.images import ImageFile
from evalkit.records import Scalar

if TYPE_CHECKING:
    import pyarrow

DATA = "data"
SHARD_BYTES = 400_000_000
"""Bytes of texts and images after which the next file begins."""
GROUP_BYTES = 32_000_000
"""Bytes of texts and images of one row group: a reader loads no less at a time."""
_GROUP_ROWS = 100
_VALUES: Mapping[type, str] = {str: "string", bool: "bool", int: "int64", float: "float64"}
_OWN = ("id", "images")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: a conversation and what is known of it.

    Attributes:
        id: names the row in the data set.
        messages: the conversation; their images, in order, become the column `images`.
        columns: further columns, each of the type that `write_dataset` is told, or None.
    """

    id: str
    messages: tuple[Message, ...]
    columns: Mapping[str, Scalar] = {}

    @property
    def images(self) -> tuple[ImageFile, ...]:
        """Every image of the conversation, in the order of their places in it."""
        return tuple(image for message in self.messages for image in message.images)


class DatasetFile(msgspec.Struct, frozen=True):
    """A file of a data set.

    Attributes:
        name: below the data set's folder.
        rows: in it.
        sha256: of its bytes, in hex.
    """

    name: str
    rows: int
    sha256: str


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What was written.

    Attributes:
        rows: conversations.
        images: in all of them together, repeated ones included.
        columns: names, in order.
        files: in order; none where there are no rows.
    """

    rows: int
    images: int
    columns: tuple[str, ...]
    files: tuple[DatasetFile, ...]


def write_dataset(
    rows: Iterable[Row], out: Path, columns: Mapping[str, type] = {}, conversation: str = "messages"
) -> DatasetInfo:
    """Write `out/data/train-*.parquet`, all of it or nothing; `datasets.load_dataset(out)` reads it.

    Columns: `id`; the conversation, a list of {role, content: [{type: "text" or "image", text}]}; `images`, the
    Hugging Face Image feature, one for each "image" of the conversation in order; then `columns`. Trainers that take
    conversations with pictures (TRL, for one) read this form. No rows leave no file.

    Args:
        rows: read one at a time; images are read when their row is written, and stored as their own bytes.
        out: the data set's folder; it may hold other files, and no data yet.
        columns: name to `str`, `bool`, `int` or `float`.
        conversation: name of the conversation's column; "prompt" for data without an answer.

    Raises:
        DataError: an image is gone, or is no longer the one that was recorded; the message names its row.
        EvalkitError: the folder has a data set already.
        InfrastructureError: it cannot be written.
        ValueError: a row has another column or another type than `columns` says.
    """
    if clash := {*_OWN, conversation} & columns.keys():
        raise ValueError(f"columns that every data set has: {sorted(clash)}")
    folder, part = out / DATA, out / f".{DATA}-{secrets.token_hex(6)}"
    if folder.exists():
        raise EvalkitError(f"{folder} is there already; name another --out, or delete it")
    try:
        part.mkdir(parents=True)
        info = _write(rows, part, columns, conversation)
        if info.rows:
            part.rename(folder)
    except OSError as error:
        raise InfrastructureError(
            f"cannot write {out}: {error.strerror or one_line(error)}; free space or choose --out"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return info


def _write(rows: Iterable[Row], part: Path, columns: Mapping[str, type], conversation: str) -> DatasetInfo:
    import pyarrow.parquet as pq

    schema = _schema(columns, conversation)
    written: list[tuple[Path, int]] = []
    images = 0
    writer: pq.ParquetWriter | None = None
    try:
        size = SHARD_BYTES
        for group, group_size in _groups(_cells(row, columns, conversation) for row in rows):
            if writer is None or size >= SHARD_BYTES:
                if writer is not None:
                    writer.close()
                written.append((part / f"{len(written)}", 0))
                writer, size = pq.ParquetWriter(written[-1][0], schema), 0
            writer.write_table(_table(group, schema))
            written[-1] = written[-1][0], written[-1][1] + len(group)
            images += sum(len(row["images"]) for row in group)
            size += group_size
    finally:
        if writer is not None:
            writer.close()
    files = []
    for index, (file, count) in enumerate(written):
        name = f"train-{index:05d}-of-{len(written):05d}.parquet"
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        file.rename(part / name)
        files.append(DatasetFile(f"{DATA}/{name}", count, digest))
    total = sum(file.rows for file in files)
    return DatasetInfo(rows=total, images=images, columns=tuple(schema.names), files=tuple(files))


def _schema(columns: Mapping[str, type], conversation: str) -> pyarrow.Schema:
    """The columns' types, with the Hugging Face features among its metadata."""
    from datasets import Features, Image, List, Value

    text = Value("string")
    return Features(
        {
            "id": text,
            conversation: List({"role": text, "content": List({"type": text, "text": text})}),
            "images": List(Image()),
            **{name: Value(_VALUES[kind]) for name, kind in columns.items()},
        }
    ).arrow_schema


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Rows as they are written together, with their bytes."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(image["bytes"]) for image in row["images"]) + 1000
        if size >= GROUP_BYTES or len(group) >= _GROUP_ROWS:
            yield group, size
            group, size = [], 0
    if group:
        yield group, size


def _table(group: list[dict[str, Any]], schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow

    return pyarrow.Table.from_pylist(group, schema=schema)


def _cells(row: Row, columns: Mapping[str, type], conversation: str) -> dict[str, Any]:
    if odd := row.columns.keys() ^ columns.keys():
        raise ValueError(f"row {row.id}: columns that are not in every row: {sorted(odd)}")
    for name, value in row.columns.items():
        if value is not None and type(value) is not columns[name]:
            raise ValueError(f"row {row.id}: {name} is {type(value).__name__}, not {columns[name].__name__}")
    return {
        "id": row.id,
        conversation: [
            {"role": message.role, "content": [_content(part) for part in message.parts]} for message in row.messages
        ],
        "images": [{"bytes": image_bytes(image, row.id), "path": image.header.filename} for image in row.images],
        **row.columns,
    }


def _content(part: str | ImageFile) -> dict[str, str | None]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "text": None}


def image_bytes(image: ImageFile, row: str) -> bytes:
    """The bytes of a recorded image.

    Args:
        image: whose header is known, as that of a run folder's image, or not yet.
        row: whose it is, for the message.

    Raises:
        DataError: it is gone, no image, or not the one that was recorded.
    """
    try:
        data = image.read()
        digest = image.header.sha256
    except DataError as error:
        raise DataError(f"row {one_line(row, 80)}: {error}; is the run folder whole?") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise DataError(f"row {one_line(row, 80)}: image {image.name} is not the one that was recorded")
    return data
