"""Prompts that a data set brings with its rows: which columns hold them, and how one is read.

The authors' own prompts are often in their copies of a benchmark. They are taken as they stand; evalkit brings none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.records import Sample

SYSTEM = "system:"
_IMAGE = "<image>"


class PromptColumns(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Columns with prompts; empty for none.

    Attributes:
        user: the user's turn in place of the protocol's own; or a list of messages with a system prompt too.
        system: the system prompt in place of the protocol's own.
    """

    user: str = ""
    system: str = ""

    def __bool__(self) -> bool:
        return bool(self.user or self.system)


def read_columns(given: Sequence[str]) -> PromptColumns:
    """The columns that `--prompt-from-dataset` names: COLUMN, or system:COLUMN.

    Raises:
        EvalkitError: a name is empty, or there are two for one turn.
    """
    found: dict[str, str] = {}
    for text in given:
        turn = "system" if text.startswith(SYSTEM) else "user"
        column = text.removeprefix(SYSTEM)
        if not column.strip():
            raise EvalkitError(f"--prompt-from-dataset takes COLUMN or {SYSTEM}COLUMN, not {one_line(text, 60)!r}")
        if turn in found:
            raise EvalkitError(
                f"--prompt-from-dataset names two columns for the {turn} prompt: {found[turn]!r} and {column!r}"
            )
        found[turn] = column
    return PromptColumns(**found)


def prompted(sample: Sample, columns: PromptColumns, row: Mapping[str, Any], where: str) -> Sample:
    """`sample` with the prompts that its row holds.

    A prompt is a text, or a list of messages (objects with "role" and "content", or that list as JSON text) with one
    user's turn and at most one system prompt before it. Images go before the user's text, as in every protocol; marks
    for them at its beginning are taken out.

    Args:
        sample: as the task made it.
        columns: see `PromptColumns`.
        row: with all of its columns.
        where: how messages name the row.

    Raises:
        DataError: the row has no such column, or no prompt in it.
    """
    system, user = sample.system, sample.prompt
    if columns.user:
        messages = _messages(_cell(row, columns.user, where), f"{where}: column {columns.user!r}")
        user = _without_marks(messages["user"], len(sample.images), f"{where}: column {columns.user!r}")
        system = messages.get("system", system)
    if columns.system:
        if system:
            raise DataError(f"{where}: column {columns.user!r} holds a system prompt, and so does {columns.system!r}")
        value = _cell(row, columns.system, where)
        if not isinstance(value, str):
            raise DataError(f"{where}: column {columns.system!r} is no text but {type(value).__name__}")
        system = value
    return msgspec.structs.replace(sample, system=system, prompt=user)


def _cell(row: Mapping[str, Any], column: str, where: str) -> Any:
    if column not in row:
        raise DataError(f"{where} has no column {column!r}; its columns: {one_line(', '.join(map(str, row)))}")
    value = row[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}: column {column!r} is empty")
    return value


def _messages(value: Any, where: str) -> dict[str, str]:
    """The turns by role."""
    if isinstance(value, str):
        listed = _listed(value)
        if listed is None:
            return {"user": value}
        value = listed
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise DataError(f"{where} is neither a text nor a list of messages but {type(value).__name__}")
    roles = [entry.get("role") for entry in value]
    if roles not in (["user"], ["system", "user"]):
        given = one_line(", ".join(map(str, roles)), 80) or "none"
        raise DataError(f"{where} has messages of {given}; a prompt is one user's turn, after a system prompt or none")
    return {entry["role"]: _content(entry.get("content"), where) for entry in value}


def _listed(text: str) -> list[Any] | None:
    """The list of messages that `text` is the JSON of; None where it is none."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and all(isinstance(v, dict) and "role" in v for v in value) else None


def _content(content: Any, where: str) -> str:
    """The text of a message; an image among its parts is a mark."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    texts: list[str] = []
    for part in parts if isinstance(parts, list) else [None]:
        fields: Mapping[str, Any] = part if isinstance(part, Mapping) else {}
        kind = fields.get("type")
        if kind == "text" and isinstance(fields.get("text"), str):
            texts.append(fields["text"])
        elif kind in ("image", "image_url"):
            texts.append(_IMAGE)
        else:
            raise DataError(f"{where}: the content of a message is neither a text nor a list of texts and images")
    text = "".join(texts)
    if not text.strip():
        raise DataError(f"{where}: a message is empty")
    return text


def _without_marks(text: str, images: int, where: str) -> str:
    """`text` without the marks of images at its beginning."""
    marks = 0
    rest = text
    while (after := rest.lstrip()).startswith(_IMAGE):
        rest, marks = after.removeprefix(_IMAGE), marks + 1
    if _IMAGE in rest:
        raise DataError(f"{where} has {_IMAGE} inside its text; evalkit shows a sample's images before it")
    if marks not in (0, images):
        raise DataError(f"{where} has {marks} {_IMAGE} marks, and the sample has {images} images")
    return rest.lstrip("\n") if marks else text
