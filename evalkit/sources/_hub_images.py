"""The ways in which a data set of the hub holds images: embedded, as base64 text, or as paths of its files.

Each way is a callable `(index, name) -> ImageFile` for one column; nothing is read before the image is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.sources._base64 import END, decode, decoded_size, mark, wrong_base64
from evalkit.sources.folder import file_inside, path_inside
from evalkit.task import HubDataset

Images = Callable[[int, str], ImageFile]

_LONGEST_PATH = 1024


class EmbeddedImages:
    """A column of `datasets.Image`, its cells encoded images."""

    def __init__(self, table: Any, column: str, source: str) -> None:
        self._table, self._column, self._source = table, column, source

    def __call__(self, index: int, name: str) -> ImageFile:
        """The image of a row."""

        def read() -> bytes:
            cell = self._table[index][self._column]
            # A path without bytes is not followed: it is the data's word, and may name any file here.
            if not cell or not cell.get("bytes"):
                raise DataError(f"{self._source}: column {self._column!r} holds no image (row {index + 1})")
            return bytes(cell["bytes"])

        return ImageFile(read, name)


class TextImages:
    """A text column, its cells base64 or paths of files of the data set.

    The table is mapped into memory, and of a cell only the ends are touched before it is asked for.

    Args:
        table: the data set, with this column alone.
        column: its name.
        source: how messages call the data set.
        file: gives the file that a path names; called with the path and the row as messages name it.

    Raises:
        DataError: a cell is neither.
    """

    def __init__(self, table: Any, column: str, source: str, file: Callable[[str, str], ImageFile]) -> None:
        self._table = table.with_format("arrow")
        self._column, self._source = column, source
        self._files: dict[int, ImageFile] = {}
        for index in range(len(table)):
            cell = self._cell(index)
            where = f"(row {index + 1})"
            if cell is None or not cell.size:
                raise DataError(f"{source}: column {column!r} holds no image {where}")
            head, tail = _ends(cell)
            if cell.size <= _LONGEST_PATH and b"." in head:
                self._files[index] = file(head.decode("utf-8", "replace"), where)
            elif why := wrong_base64(head, tail, cell.size):
                raise DataError(f"{source}: column {column!r} {why} {where}")

    def __call__(self, index: int, name: str) -> ImageFile:
        """The image of a row."""
        if index in self._files:
            return self._files[index]
        cell = self._cell(index)
        head, tail = _ends(cell)
        size = decoded_size(tail, cell.size)
        known = mark(head, tail, cell.size)

        def read() -> bytes:
            data = decode(self._cell(index).to_pybytes())
            if data is None:
                raise DataError(f"{self._source}: column {self._column!r} is not base64 text (row {index + 1})")
            return data

        return ImageFile(read, name, lambda: size, lambda: known)

    def _cell(self, index: int) -> Any:
        """A cell as an Arrow buffer, which is a view of the mapped file; None where it is null."""
        return self._table[index : index + 1].column(self._column)[0].as_buffer()


def _ends(cell: Any) -> tuple[bytes, bytes]:
    size = min(END, cell.size)
    return cell.slice(0, size).to_pybytes(), cell.slice(cell.size - size).to_pybytes()


def local_file(task: str, folder: Path) -> Callable[[str, str], ImageFile]:
    """Files of a data set that is a local folder; they must exist."""
    return lambda path, where: ImageFile.from_path(file_inside(task, folder, path, where))


def hub_file(task: str, hub: HubDataset, offline: bool) -> Callable[[str, str], ImageFile]:
    """Files of a data set's repository, downloaded into the hub's cache when first read.

    Args:
        task: name of the task, for messages.
        hub: the data set, its revision resolved.
        offline: whether only the cache is to be asked.
    """

    def file(path: str, where: str) -> ImageFile:
        path_inside(task, path, where)

        def read() -> bytes:
            from huggingface_hub import hf_hub_download

            try:
                found = hf_hub_download(
                    hub.id,
                    path,
                    repo_type="dataset",
                    revision=hub.revision,
                    local_files_only=offline,
                    tqdm_class=_silent(),
                )
            except Exception as error:  # whatever it is, the file could not be had
                why = "the hub cannot be reached" if offline else one_line(error, 160)
                raise DataError(f"{task}: cannot get {one_line(path, 80)} of {hub.id} {where}: {why}") from error
            return Path(str(found)).read_bytes()

        return ImageFile(read, path)

    return file


def _silent() -> Any:
    """A progress bar that shows nothing: the run has its own."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

    return Silent
