"""An Inspect log's file: its head, and its samples one at a time, within limits."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from evalkit.bridges.inspect.installed import PACKAGE, changed
from evalkit.errors import DataError, EvalkitError, one_line

LARGEST = 1 << 28
"""Unpacked bytes of one sample, and of the head: a log of some kilobytes can unpack to terabytes."""
SCHEMA = 2
"""The newest version of Inspect's log format that evalkit reads."""
_START = b"PK"
_ENCRYPTED = 1
_HEADS = ("header.json", "_journal/start.json")
_SAMPLES = "samples/"


class Archive(NamedTuple):
    """A log.

    Attributes:
        file: where it is.
        version: of Inspect.
        head: Inspect's `EvalLog` without samples.
    """

    file: Path
    version: str
    head: Any

    @property
    def name(self) -> str:
        """For messages."""
        return one_line(self.file, 200)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Every sample's tree, in the log's order; the last one of those with equal id and epoch.

        Raises:
            DataError: the file is damaged, or a sample is larger than `LARGEST`.
        """
        return _packed(self) if self.file.suffix == ".eval" else _plain(self)


def open_archive(file: Path, version: str) -> Archive:
    """Open a log and read its head.

    Args:
        file: ends in `.eval` or `.json`.
        version: of Inspect.

    Raises:
        EvalkitError: the name ends in something else.
        DataError: the file is missing, damaged, encrypted, of a newer format, or no log.
    """
    name = one_line(file, 200)
    if file.suffix not in (".eval", ".json"):
        raise EvalkitError(f"{name}: the name of an Inspect log ends in .eval or .json")
    newest = _checked(file, name) if file.suffix == ".eval" else None
    if newest is not None:
        _check_schema(name, newest, version)
    from inspect_ai.log import read_eval_log

    try:
        head = read_eval_log(str(file), header_only=True)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or one_line(error, 120)}") from None
    except (ImportError, AttributeError) as error:
        raise changed(version, error) from error
    except Exception as error:
        # whatever Inspect's parsers stumble over
        raise DataError(
            f"{name} is no Inspect log, or is damaged: {one_line(error.__cause__ or error, 160)}"
        ) from error
    _check_schema(name, head.version, version)
    return Archive(file, version, head)


def _check_schema(name: str, schema: object, version: str) -> None:
    if not isinstance(schema, int):
        raise DataError(f"{name} is no Inspect log, or is damaged: its version is {one_line(schema, 40)!r}")
    if schema > SCHEMA:
        raise DataError(
            f"{name} is of log format {schema}; this evalkit reads up to {SCHEMA} ({PACKAGE} {version}): "
            "install newer releases of both"
        )


def _checked(file: Path, name: str) -> object:
    """The format's version as the log itself says it, after a look at what it is made of."""
    with _opened(file, name) as log:
        infos = log.infolist()
        if any(info.flag_bits & _ENCRYPTED for info in infos):
            raise DataError(f"{name} is encrypted; unpack it with its password and pack it again without one")
        known = {info.filename for info in infos}
        head = next((member for member in _HEADS if member in known), None)
        if head is None:
            raise DataError(f"{name} is no Inspect log: it has none of {', '.join(_HEADS)}")
        tree = _tree(log, head, name)
    return tree.get("version", 1)


def _packed(log: Archive) -> Iterator[dict[str, Any]]:
    with _opened(log.file, log.name) as packed:
        # a name that is there twice stands for its last entry
        members = [name for name in packed.NameToInfo if name.startswith(_SAMPLES) and name.endswith(".json")]
        order = {str(id): place for place, id in enumerate(log.head.eval.dataset.sample_ids or ())}

        def place(member: str) -> tuple[int, str, int]:
            id, _, epoch = member.removeprefix(_SAMPLES).removesuffix(".json").rpartition("_epoch_")
            return order.get(id, len(order)), id, int(epoch) if epoch.isdecimal() else 0

        for member in sorted(members, key=place):
            yield _tree(packed, member, log.name)


def _tree(packed: zipfile.ZipFile, member: str, name: str) -> dict[str, Any]:
    """A member's JSON."""
    where = f"{name}, {one_line(member, 120)}"
    try:
        with packed.open(member) as stream:
            data = _bounded(stream, where)
        tree = json.loads(data)
    except EvalkitError:
        raise
    except RecursionError:
        raise DataError(f"{where} is nested too deeply") from None
    except Exception as error:
        # the decompressors, and the parser of texts that are no UTF-8, raise errors of their own
        raise DataError(f"{where} is damaged: {one_line(error, 120)}") from error
    if not isinstance(tree, dict):
        raise DataError(f"{where} is damaged: it holds no object")
    return tree


def _bounded(stream: IO[bytes], where: str) -> bytes:
    parts, size = [], 0
    while part := stream.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise DataError(
                f"{where} unpacks to more than {LARGEST >> 20} MB: log without images (--no-log-images), or delete it"
            )
    return b"".join(parts)


def _plain(log: Archive) -> Iterator[dict[str, Any]]:
    import ijson

    number = 0
    try:
        with log.file.open("rb") as stream:
            for tree in ijson.items(stream, "samples.item", use_float=True):
                number += 1
                if not isinstance(tree, dict):
                    raise DataError(f"{log.name}, sample {number} is no object")
                yield tree
    except OSError as error:
        raise DataError(f"cannot read {log.name}: {error.strerror or one_line(error, 120)}") from None
    except (ValueError, RecursionError, ijson.JSONError) as error:
        raise DataError(
            f"{log.name} cannot be read after sample {number} ({one_line(error, 120)}); where it has NaN in it, "
            f"turn it into .eval: inspect log convert --to eval --output-dir DIR {log.name}"
        ) from error


def _opened(file: Path, name: str) -> zipfile.ZipFile:
    try:
        with file.open("rb") as stream:
            if stream.read(2) != _START:
                raise DataError(f"{name} is no .eval file, or is damaged: it does not begin as a zip file does")
        return zipfile.ZipFile(file)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or one_line(error, 120)}") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{name} is truncated or damaged: {one_line(error, 120)}") from None
