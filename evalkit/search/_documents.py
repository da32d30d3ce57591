"""The documents of a folder, in an order that never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from evalkit.errors import DataError, EvalkitError, one_line

SUFFIXES = (".txt", ".md", ".jsonl")
_FORM = '{"title": "...", "url": "...", "text": "..."}'


class Document(msgspec.Struct, frozen=True):
    """One document.

    Attributes:
        title: on one line.
        url: what the model is shown as its address; for a file without one, its path in the folder.
        text: all of it.
    """

    title: str
    url: str
    text: str


class _Row(msgspec.Struct, frozen=True):
    text: str | None = None
    contents: str | None = None
    title: str = ""
    url: str = ""
    id: str | int = ""


def read_documents(folder: Path) -> tuple[list[Document], str]:
    """Every document under a folder and a fingerprint of all: files by path, rows by line.

    A .txt or .md file is one document; a .jsonl file has one in each line, an object with `text` (or `contents`)
    and, where they are known, `title` and `url`.

    Raises:
        EvalkitError: the folder is not there, or holds no document.
        DataError: a file is not UTF-8, nor is its name, it lies elsewhere behind a link, or a row has another form;
            the message names it.
    """
    if not folder.is_dir():
        raise EvalkitError(f"--search corpus: {folder} is no folder")
    files = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    root, sha = folder.resolve(), hashlib.sha256()
    documents: list[Document] = []
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in files):
        _check_place(path, name, root)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        sha.update(msgspec.json.encode((name, len(data))) + data)
        documents += _rows(path, name, data) if path.suffix.lower() == ".jsonl" else [_file(path, name, data)]
    if not any(document.text.strip() for document in documents):
        raise EvalkitError(f"--search corpus: {folder} holds no document ({', '.join(SUFFIXES)})")
    return documents, sha.hexdigest()[:16]


def _check_place(path: Path, name: str, root: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{one_line(repr(str(path)))}: its name is not UTF-8; rename it") from None
    # what a link in somebody's folder leads to would be shown to a model, and recorded
    if not path.resolve().is_relative_to(root):
        raise DataError(f"{path} is a link to a file outside of {root}; copy the file there")


def _file(path: Path, name: str, data: bytes) -> Document:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start})") from error
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    heading = first.lstrip("#").strip() if path.suffix.lower() == ".md" and first.startswith("#") else ""
    return Document(one_line(heading or path.stem), name, text)


def _rows(path: Path, name: str, data: bytes) -> Iterator[Document]:
    decoder = msgspec.json.Decoder(_Row)
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"{path} line {number}: {one_line(error, 120)}; a row looks like {_FORM}") from None
        text = row.text if row.text is not None else row.contents
        if text is None:
            raise DataError(f"{path} line {number} has no text; a row looks like {_FORM}")
        title = one_line(row.title or row.id or f"{path.stem} {number}")
        yield Document(title, row.url or f"{name}#{row.id or number}", text)
