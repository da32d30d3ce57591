"""Rows and files of a local folder in a benchmark's official layout."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.errors import DataError, one_line
from evalkit.sources.rows import Columns, Row, check_rows


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
    file = folder / path_inside(task, relative, where)
    if not file.is_file():
        raise DataError(f"{task}: no file {one_line(relative, 80)} in {folder} {where}")
    return file


def path_inside(task: str, relative: str, where: str) -> str:
    """A path that a row names, which must not lead out of the data's folder.

    Raises:
        DataError: it does.
    """
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts or any(c in relative for c in "\\:\0"):
        raise DataError(f"{task}: {one_line(relative, 80)!r} is no path inside the data's folder {where}")
    return relative
