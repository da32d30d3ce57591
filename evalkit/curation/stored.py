"""A data set on disk as what it asks and shows: this package's own, or any of parquet files with chats and images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.curation.benchmarks import Against, open_benchmarks, read_benchmarks
from evalkit.curation.dataset import DATA
from evalkit.curation.images import Flaw, Look, Progress, Viewer, quiet
from evalkit.curation.leakage import Item, Leakage, leakage
from evalkit.errors import DataError, NothingEvaluatedError, one_line
from evalkit.images import ImageFile
from evalkit.sources import file_inside

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq

TEXTS = ("question", "prompt", "messages", "conversations", "problem", "query", "text")
"""Columns that may have what is asked, the first one there is taken: a text, or a chat, of which the user's turns are
read."""
IMAGES = ("images", "image", "decoded_image")
_IDS = ("id", "question_id", "pid", "index")
_ROWS = 64
_ASKING = ("user", "human")


class StoredRow(NamedTuple):
    """One row: its id, or its place, what is asked, and the images."""

    id: str
    text: str
    images: tuple[ImageFile, ...]


class Stored:
    """The parquet files of a data set, opened.

    Args:
        folder: the data set's folder, with the files in it, in `data/`, or below; or one file.

    Raises:
        DataError: it has none, one cannot be read, or there is no column with questions.
        NothingEvaluatedError: it has no rows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder if folder.is_dir() else folder.parent
        self.files = [folder] if folder.is_file() else _files(folder)
        if not self.files:
            raise DataError(f"no parquet files in {folder}: name the folder of a data set, or one file of it")
        opened = [_open(file) for file in self.files]
        names = opened[0].schema_arrow.names
        self.text = next((name for name in TEXTS if name in names), None)
        if self.text is None:
            raise DataError(f"{self.files[0]} has no column with questions ({', '.join(TEXTS)}): {', '.join(names)}")
        self.images = _images(opened[0].schema_arrow)
        self.id = next((name for name in _IDS if name in names), None)
        self.count = sum(file.metadata.num_rows for file in opened)
        if not self.count:
            raise NothingEvaluatedError(f"{folder} has no rows")

    def rows(self) -> Iterator[StoredRow]:
        """The rows, a few at a time.

        Raises:
            DataError: a file is damaged, or has other columns than the first.
        """
        columns = [name for name in (self.id, self.text, self.images) if name is not None]
        place = 0
        for file in self.files:
            try:
                for batch in _open(file).iter_batches(_ROWS, columns=columns):
                    for row in batch.to_pylist():
                        yield self._row(row, f"{file.name} row {place}", str(place))
                        place += 1
            except (OSError, ValueError, KeyError, NotImplementedError) as error:
                raise DataError(f"cannot read {file}: {one_line(error, 160)}") from error

    def items(self, viewer: Viewer, progress: Progress = quiet) -> Iterator[Item]:
        """The rows with their images looked at.

        Args:
            viewer: looks at them.
            progress: see `Progress`.

        Raises:
            DataError: see `rows`.
        """
        done = progress("looking at the data set", self.count)
        pending: list[StoredRow] = []
        for row in self.rows():
            pending.append(row)
            if len(pending) >= _ROWS:
                yield from _items(pending, viewer)
                pending.clear()
            done()
        yield from _items(pending, viewer)

    def _row(self, row: Mapping[str, Any], where: str, place: str) -> StoredRow:
        assert self.text is not None
        cells = row[self.images] if self.images else None
        cells = cells if isinstance(cells, list) else [cells] if cells is not None else []
        images = tuple(self._image(cell, f"{where} image {i + 1}") for i, cell in enumerate(cells))
        named = row[self.id] if self.id else None
        return StoredRow(place if named is None else str(named), asked(row[self.text]), images)

    def _image(self, cell: Any, name: str) -> ImageFile:
        if isinstance(cell, bytes):
            return ImageFile.from_bytes(cell, name)
        if isinstance(cell, dict) and cell.get("bytes"):
            return ImageFile.from_bytes(cell["bytes"], name)
        path = cell.get("path") if isinstance(cell, dict) else cell

        def read() -> bytes:
            if not isinstance(path, str):
                raise DataError(f"{name} is empty")
            # a path is the data's word: it may name files of the data set, and no others
            return ImageFile.from_path(file_inside("leakage", self.folder, path, name)).read()

        return ImageFile(read, name)


def asked(cell: Any) -> str:
    """What is asked in a cell: the text itself, or the user's turns of a chat."""
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, list):
        return ""
    turns = [turn for turn in cell if isinstance(turn, dict)]
    return "\n".join(_content(turn) for turn in turns if (turn.get("role") or turn.get("from")) in _ASKING)


def _content(turn: Mapping[str, Any]) -> str:
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    # where images stand in a chat that is a text
    return str(content or "").replace("<image>", " ")


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.parquet")) or sorted((folder / DATA).glob("*.parquet"))
    return found or sorted(folder.rglob("*.parquet"))


def _images(schema: pyarrow.Schema) -> str | None:
    """The column with images: one that holds them goes before one that only names their files."""
    import pyarrow.types as types

    there = [name for name in IMAGES if name in schema.names]
    return min(there, key=lambda name: types.is_string(schema.field(name).type), default=None)


def _open(file: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {one_line(error, 160)}") from error


def _items(rows: list[StoredRow], viewer: Viewer) -> Iterator[Item]:
    looks = viewer.look(image for row in rows for image in row.images)
    for row in rows:
        yield Item(row.id, row.text, tuple(next(looks) for _ in row.images))


def leakage_of(
    dataset: Path, against: Sequence[Against], task_dirs: Sequence[Path] = (), progress: Progress = quiet
) -> Leakage:
    """What a data set on disk shares with benchmarks.

    Args:
        dataset: see `Stored`.
        against: the benchmarks, at least one.
        task_dirs: folders of the user's further tasks.
        progress: see `Progress`.

    Raises:
        EvalkitError: a benchmark or the data set cannot be read, all images of one are gone, or no row of the data set
            says what is asked.
    """
    tasks, stored, viewer = open_benchmarks(against, task_dirs), Stored(dataset), Viewer()
    benchmarks = read_benchmarks(tasks, viewer, progress)
    gone: list[Look] = []
    there = 0

    def counted() -> Iterator[Item]:
        nonlocal there
        for item in stored.items(viewer, progress):
            missing = [look for look in item.looks if look.flaw is Flaw.MISSING]
            gone.extend(missing[: 1 - len(gone)])
            there += len(item.looks) - len(missing)
            yield item

    found = leakage(counted(), benchmarks)
    if found.without_text == found.rows:
        raise DataError(
            f"no row of {dataset} says in its column {stored.text} what is asked: "
            "it may be a text, or a chat with turns of the user"
        )
    if gone and not there:
        raise DataError(f"none of the images of {dataset} is there ({gone[0].detail}): nothing can be compared")
    return found
