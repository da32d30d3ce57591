"""Checks of rows, and how a message names one. Rows count from 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.errors import DataError, one_line

Row = dict[str, Any]
Columns = Mapping[str, type]

_NAMES = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


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
