"""Data sets of the Hugging Face hub, through `datasets`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.sources._hub_images import EmbeddedImages, Images, TextImages, hub_file, local_file
from evalkit.sources.rows import Columns, Row, check_rows
from evalkit.task import HubDataset

_MEND = "download it and give its folder with --data DIR, or try --data sample"


class HubTable:
    """A data set of the hub: the rows without their images, and the images on demand.

    Attributes:
        rows: all columns but the images.
        name: the data set's id.
        revision: the commit that was loaded; None when the hub could not tell (no network, a local folder).
    """

    def __init__(self, rows: list[Row], name: str, images: Mapping[str, Images], revision: str | None) -> None:
        self.rows = rows
        self.name = name
        self.revision = revision
        self._images = images

    def image(self, column: str, index: int, name: str) -> ImageFile:
        """The encoded image of one cell, read from disk when needed.

        Args:
            column: an image column.
            index: 0-based row.
            name: what messages call the image.
        """
        return self._images[column](index, name)


def load_hub(task: str, hub: HubDataset, columns: Columns, images: Sequence[str], label: str) -> HubTable:
    """Load a data set through `datasets`, its images left as they are encoded.

    An image column holds images (`datasets.Image`), base64 text, or paths of files in the data set's
    repository.

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
        pinned = replace(hub, revision=revision or hub.revision)
        try:
            with _offline() if unreachable else ExitStack():
                table = datasets.load_dataset(hub.id, hub.config or None, split=hub.split, revision=pinned.revision)
        except Exception as error:  # whatever it is, the data set could not be had
            why = "the hub cannot be reached" if unreachable else one_line(error, 160)
            raise DataError(f"{task}: cannot load {hub.id} ({hub.split}): {why}; {_MEND}") from error
        folder = Path(hub.id)
        file = local_file(task, folder) if folder.is_dir() else hub_file(task, pinned, unreachable)
        return _opened(table, _Names(task, hub.id, f"{hub.id} ({hub.split})"), columns, images, label, file, revision)


def load_parquet(task: str, file: Path, columns: Columns, images: Sequence[str], label: str) -> HubTable:
    """Load one parquet file of a data set; see `load_hub`. Paths of images start at the file's folder.

    Raises:
        DataError: the file is missing or no parquet file, or a column does not exist.
    """
    if not file.is_file():
        raise DataError(f"{task}: no {file.name} in {file.parent}")
    with _quiet():
        import datasets

        try:
            table = datasets.Dataset.from_parquet(str(file))
        except Exception as error:  # whatever it is, the file could not be read
            raise DataError(f"{task}: cannot load {file}: {one_line(error, 160)}") from error
        names = _Names(task, file.name, file.name)
        return _opened(table, names, columns, images, label, local_file(task, file.parent), None)


class _Names(NamedTuple):
    """What messages call the task, the data set, and the split of it."""

    task: str
    source: str
    split: str


def _opened(
    table: Any,
    names: _Names,
    columns: Columns,
    images: Sequence[str],
    label: str,
    file: Callable[[str, str], ImageFile],
    revision: str | None,
) -> HubTable:
    """A loaded table, checked."""
    for column in (*columns, *images):
        if column not in table.column_names:
            raise DataError(f"{names.task}: {names.split} lacks column {column!r}")
    rows: list[Row] = table.remove_columns(list(images)).to_list()
    check_rows(names.task, names.source, rows, columns, label)
    ways = {column: _images(table, column, names, file) for column in images}
    return HubTable(rows, names.source, ways, revision)


def _images(table: Any, column: str, names: _Names, file: Callable[[str, str], ImageFile]) -> Images:
    """The column's way of holding images."""
    import datasets

    alone = table.select_columns([column])
    if getattr(table.features[column], "dtype", "") in ("string", "large_string"):
        return TextImages(alone, column, f"{names.task}: {names.source}", file)
    try:
        alone = alone.cast_column(column, datasets.Image(decode=False))
    except Exception as error:
        raise DataError(f"{names.task}: column {column!r} of {names.source} holds no images") from error
    return EmbeddedImages(alone, column, names.source)


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
