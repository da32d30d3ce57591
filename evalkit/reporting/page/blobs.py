"""Data inside a page or beside it: JSON, packed, in letters that no HTML or JavaScript acts on."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from evalkit.analysis.row_index import RowIndex

_LEVEL = 6
_OF_THE_TASK = ("ids", "categories")
"""Columns that runs of one benchmark have in common."""


def packed(value: Any) -> str:
    """A struct as gzip in base64; equal values give equal text."""
    return base64.b64encode(gzip.compress(as_json(value), _LEVEL, mtime=0)).decode("ascii")


def as_json(value: Any) -> bytes:
    """A struct as JSON; half of a surrogate pair, which is no Unicode, as JSON's own escape."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value, str_keys=True), separators=(",", ":")).encode("ascii")


def in_page(value: Any) -> str:
    """JSON to stand as it is in a `<script>` element that is not run: no character of it can end the element."""
    text = as_json(value).decode("utf-8")
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def for_page(index: RowIndex) -> RowIndex:
    """The columns that a list of trajectories shows and filters on."""
    return msgspec.structs.replace(index, offsets=[], direct_offsets=[], clusters=[])


def rows_of(indexes: Sequence[RowIndex]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and data of each run's rows, made small for a page that has those of many runs.

    Columns that an earlier run of the benchmark has too are there once: `like` is the number of that run, and the
    page puts its columns in the place of those that are missing. A checksum of a question gives way to its number
    among the different ones of its sample: all that a page asks is whether two runs have the same.
    """
    firsts: dict[str, int] = {}
    variants: dict[str, dict[str, list[int]]] = {}
    for number, index in enumerate(indexes):
        first = firsts.setdefault(index.task, number)
        columns = msgspec.structs.asdict(for_page(index))
        columns["questions"] = _numbered(index, variants.setdefault(index.task, {}))
        if first != number:
            same = [name for name in _OF_THE_TASK if columns[name] == getattr(indexes[first], name)]
            columns = {name: value for name, value in columns.items() if name not in same} | {"like": first}
        yield f"rows/{number}", columns


def _numbered(index: RowIndex, variants: dict[str, list[int]]) -> list[int]:
    numbers = []
    for id, checksum in zip(index.ids, index.questions, strict=True):
        known = variants.setdefault(id, [])
        if checksum not in known:
            known.append(checksum)
        numbers.append(known.index(checksum))
    return numbers
