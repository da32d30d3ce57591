"""Files with one JSON value a line, read line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from evalkit.errors import DataError, one_line

LONGEST = 1 << 28
"""Bytes of one line; no row of a result file comes near it."""

T = TypeVar("T")


def read_jsonl(file: Path, kind: type[T], what: str) -> Iterator[tuple[int, T]]:
    """The values of a file with their line numbers from 1; blank lines are passed over.

    Python's own writer leaves NaN and lone surrogates in its JSON: both are read, a lone surrogate as a
    question mark.

    Args:
        file: UTF-8 text.
        kind: what every line must hold; fields that `kind` does not have are passed over.
        what: what messages call a line, e.g. "a row of a DeepEyes log".

    Raises:
        DataError: the file cannot be read, or a line is broken or holds something else; the message names
            the file and the line.
    """
    name = one_line(file, 200)
    try:
        with file.open("rb") as stream:
            number = 0
            while line := stream.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    raise DataError(f"{name} line {number} is longer than {LONGEST >> 20} MiB; it cannot be {what}")
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, decoded(line, kind, what, f"{name} line {number}")
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or one_line(error)}") from None


def decoded(line: bytes, kind: type[T], what: str, where: str) -> T:
    """One JSON value, as `read_jsonl` reads that of a line.

    Raises:
        DataError: it is broken or no `kind`.
    """
    try:
        try:
            return msgspec.json.decode(line, type=kind)
        except msgspec.ValidationError:
            raise
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.convert(_storable(json.loads(line)), type=kind)
    except msgspec.ValidationError as error:
        raise DataError(f"{where} is not {what}: {one_line(error, 120)}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is broken JSON ({one_line(error, 120)}); mend or delete it") from None


def _storable(value: Any) -> Any:
    """A JSON value without lone surrogates, which are no characters of any text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value
