"""Data sets of the Hugging Face hub, through `datasets`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
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
