"""Where tasks get their rows: a folder in the benchmark's official layout, or the hub.

Whatever is missing is a `DataError` of one line that names the task, the file, and the column and the
row where they matter. Rows count from 1.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.task import HubDataset

Row = dict[str, Any]
Columns = Mapping[str, type]

_NAMES = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}
_MEND = "download it and give its folder with --data DIR, or try --data sample"


def read_json(task: str, file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{task}: no {file.name} in {file.parent}; --data takes the folder with it") from None
    except OSError as error:
        raise DataError(f"{task}: cannot read {file}: {error.strerror or one_line(error)}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{task}: {file} is not valid JSON: {one_line(error, 120)}") from None


def read_rows(task: str, file: Path, columns: Columns, label: str) -> list[Row]:
    """The rows of a JSON file that holds a list of objects.

    Args:
        task: name of the task, for messages.
        file: the JSON file.
        columns: name and type of each column that every row must have.
        label: the column that names a row in messages.

    Raises:
        DataError: the file, a column or a value is missing or of the wrong type.
    """
    rows = read_json(task, file)
    if not isinstance(rows, list):
        raise DataError(f"{task}: {file.name} holds no list of rows")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{task}: {file.name} holds no object (row {number})")
    check_rows(task, file.name, rows, columns, label)
    return rows


def check_rows(task: str, name: str, rows: Sequence[Row], columns: Columns, label: str) -> None:
    """Check that every row has every column, with a value of the column's type.

    Raises:
        DataError: naming the column and the row.
    """
    for number, row in enumerate(rows, 1):
        for column, kind in columns.items():
            if column not in row:
                raise DataError(f"{task}: {name} lacks column {column!r} {place(number, row, label)}")
            value = row[column]
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                what = f"is {type(value).__name__}, not {_NAMES.get(kind, kind.__name__)}"
                raise DataError(f"{task}: {name}: column {column!r} {what} {place(number, row, label)}")


def place(number: int, row: Row, label: str) -> str:
    """How a message names a row: its number from 1, and its label."""
    mark = f", {label} {one_line(row[label], 60)}" if label in row else ""
    return f"(row {number}{mark})"


def file_inside(task: str, folder: Path, relative: str, where: str) -> Path:
    """A file that a row names, which must exist and lie in the data's folder.

    Symbolic links of the user's own are followed.

    Args:
        task: name of the task, for messages.
        folder: the data's folder.
        relative: the path in the row.
        where: the row, as `place` names it.

    Raises:
        DataError: the path leaves the folder, or there is no such file.
    """
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts or any(c in relative for c in "\\:\0"):
        raise DataError(f"{task}: {one_line(relative, 80)!r} is no path inside the data's folder {where}")
    file = folder / relative
    if not file.is_file():
        raise DataError(f"{task}: no file {one_line(relative, 80)} in {folder} {where}")
    return file


class HubTable:
    """A data set of the hub: the rows without their images, and the images on demand.

    Attributes:
        rows: all columns but the images.
        name: the data set's id.
        revision: the commit that was loaded; None when the hub could not tell (no network, a local folder).
    """

    def __init__(self, table: Any, name: str, images: Sequence[str], revision: str | None) -> None:
        self.name = name
        self.revision = revision
        self.rows: list[Row] = table.remove_columns(list(images)).to_list()
        self._table = table.select_columns(list(images))

    def image(self, column: str, index: int, name: str) -> ImageFile:
        """The encoded image of one cell, read from disk when needed.

        Args:
            column: an image column.
            index: 0-based row.
            name: what messages call the image.
        """

        def read() -> bytes:
            cell = self._table[index][column]
            # A path without bytes is not followed: it is the data's word, and may name any file here.
            if not cell or not cell.get("bytes"):
                raise DataError(f"{self.name}: column {column!r} holds no image (row {index + 1})")
            return bytes(cell["bytes"])

        return ImageFile(read, name)


def load_hub(task: str, hub: HubDataset, columns: Columns, images: Sequence[str], label: str) -> HubTable:
    """Load a data set through `datasets`, its images left as encoded bytes.

    Args:
        task: name of the task, for messages.
        hub: the data set; `hub.id` may also be a local folder of parquet files.
        columns: name and type of each column that every row must have, images not included.
        images: the image columns.
        label: the column that names a row in messages.

    Raises:
        DataError: the hub cannot be reached, or the data set, its split or a column does not exist.
    """
    with _quiet():
        import datasets

        revision, unreachable = _resolve(hub)
        try:
            with _offline() if unreachable else ExitStack():
                table = datasets.load_dataset(
                    hub.id, hub.config or None, split=hub.split, revision=revision or hub.revision
                )
        except Exception as error:  # whatever it is, the data set could not be had
            why = "the hub cannot be reached" if unreachable else one_line(error, 160)
            raise DataError(f"{task}: cannot load {hub.id} ({hub.split}): {why}; {_MEND}") from error
        for column in (*columns, *images):
            if column not in table.column_names:
                raise DataError(f"{task}: {hub.id} ({hub.split}) lacks column {column!r}")
        for column in images:
            try:
                table = table.cast_column(column, datasets.Image(decode=False))
            except Exception as error:
                raise DataError(f"{task}: column {column!r} of {hub.id} holds no images") from error
        found = HubTable(table, hub.id, images, revision)
    check_rows(task, hub.id, found.rows, columns, label)
    return found


def _resolve(hub: HubDataset) -> tuple[str | None, bool]:
    """The commit that a load would get, and whether the hub is known to be out of reach."""
    if Path(hub.id).is_dir():
        return None, False
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi().dataset_info(hub.id, revision=hub.revision, timeout=20).sha, False
    except (HfHubHTTPError, ValueError):
        return None, False
    except Exception:  # the HTTP library's own errors, which differ between versions
        return None, True


@contextmanager
def _offline() -> Iterator[None]:
    """Only the local cache is asked; five retries with growing pauses are spared."""
    import datasets
    from huggingface_hub import constants

    modules: tuple[Any, ...] = (constants, datasets.config)
    before = [module.HF_HUB_OFFLINE for module in modules]
    try:
        for module in modules:
            module.HF_HUB_OFFLINE = True
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, log lines and warnings of `datasets` and `huggingface_hub`."""
    with warnings.catch_warnings(), ExitStack() as after:
        warnings.simplefilter("ignore")
        import datasets
        from huggingface_hub.utils import logging as hub_logging

        if not datasets.are_progress_bars_disabled():
            datasets.disable_progress_bars()
            after.callback(datasets.enable_progress_bars)
        for module in (datasets.logging, hub_logging):
            after.callback(module.set_verbosity, module.get_verbosity())
            module.set_verbosity_error()
        yield
