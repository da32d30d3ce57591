"""V*Bench's rows from each of their sources, in one form and with the options as the source orders them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.records import Scalar
from evalkit.sources import HubTable, TsvTable, place, read_json

from .options import LETTERS, parse_text, plain

TASK = "vstar"
CATEGORIES = ("direct_attributes", "relative_position")
HUB_COLUMNS = {"text": str, "category": str, "label": str, "question_id": object}
TSV_COLUMNS = {"index": str, "question": str, "A": str, "B": str, "answer": str, "category": str}

_ANNOTATION = {"question": str, "options": list}
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One row.

    Attributes:
        id: "category/name of the image", or "category/number" where the source has only a number.
        options: at least two, all different, in the source's order.
        right: 0-based place of the right option.
        number: the row's number in the data set, 0 to 190, where the source has one.
        where: how messages name the row.
        metadata: see the card.
        row: as the source has it.
    """

    id: str
    category: str
    question: str
    options: tuple[str, ...]
    right: int
    image: ImageFile
    number: int | None = None
    where: str = ""
    metadata: dict[str, Scalar] = {}
    row: Mapping[str, Any] = {}


def folder_items(folder: Path) -> Iterator[Item]:
    """Rows of the official layout: an annotation beside each image, the right option first.

    Raises:
        DataError: a folder, an image or an annotation is missing or double, or an annotation is wrong.
    """
    for category in CATEGORIES:
        if not (folder / category).is_dir():
            both = " and ".join(CATEGORIES)
            raise DataError(f"{TASK}: no folder {category} in {folder}; --data takes the folder that holds {both}")
        images = _images(folder, category)
        for name, file in sorted(_files(folder / category, (".json",)).items()):
            if name not in images:
                raise DataError(f"{TASK}: no image for {category}/{file.name} in {folder}")
            yield _from_annotation(file, category, images.pop(name))
        if images:
            left = min(images.values())
            raise DataError(f"{TASK}: no annotation {left.stem}.json for {category}/{left.name} in {folder}")


def count_annotations(folder: Path) -> dict[str, int]:
    """How many annotations there are of each category."""
    return {category: len(_files(folder / category, (".json",))) for category in CATEGORIES}


def hub_items(table: HubTable) -> Iterator[Item]:
    """Rows of the hub's data sets, whose question and options are one text.

    Raises:
        DataError: a row's text, label, category or number cannot be read.
    """
    for at, row in enumerate(table.rows):
        where = f"{TASK}: {table.name}"
        spot = place(at + 1, row, "question_id")
        read = parse_text(row["text"])
        if read is None:
            raise DataError(f"{where}: cannot read question and options from {one_line(row['text'], 60)!r} {spot}")
        question, options = read
        yield _numbered(table, at, question, options, row["label"], row["question_id"], where, spot)


def tsv_items(table: TsvTable) -> Iterator[Item]:
    """Rows of VLMEvalKit's table.

    Raises:
        DataError: a row's answer, category or index cannot be read.
    """
    for at, row in enumerate(table.rows):
        cells = [str(row.get(letter, "")).strip() for letter in LETTERS]
        options = [cell for cell in cells if cell]
        where, spot = f"{TASK}: {table.name}", place(at + 1, row, "index")
        if any(cells[len(options) :]):
            raise DataError(f"{where}: an empty option before the last {spot}")
        yield _numbered(table, at, row["question"], options, row["answer"], row["index"], where, spot)


def _numbered(
    table: HubTable | TsvTable,
    at: int,
    question: str,
    options: list[str],
    letter: str,
    number: object,
    where: str,
    spot: str,
) -> Item:
    row = table.rows[at]
    category = row["category"].strip()
    if category not in CATEGORIES:
        raise DataError(f"{where}: unknown category {one_line(category, 40)!r} {spot}")
    label = str(number).strip().removesuffix(".0")
    if isinstance(number, bool) or not label.isdecimal() or len(label) > 9:
        raise DataError(f"{where}: {one_line(number, 40)!r} is no number of a row {spot}")
    _check(question, options, where, spot)
    if letter.strip() not in LETTERS[: len(options)] or not letter.strip():
        offered = ", ".join(LETTERS[: len(options)])
        raise DataError(f"{where}: answer {one_line(letter, 40)!r} is not among options {offered} {spot}")
    name = f"{category}/{int(label)}"
    image = table.image("image", at, name)
    # A table of paths calls an image by its path, so its row has the same id as in the folder layout.
    path = PurePath(image.name)
    named = path.suffix.lower() in _SUFFIXES and path.parent.name == category
    return Item(
        id=f"{category}/{path.stem}" if named else name,
        category=category,
        question=question.strip(),
        options=tuple(options),
        right=LETTERS.index(letter.strip()),
        image=image,
        number=int(label),
        where=f"{where} {spot}",
        metadata={"question_id": label},
        row=row,
    )


def _from_annotation(file: Path, category: str, image: Path) -> Item:
    content = read_json(TASK, file)
    name = f"{category}/{file.name}"
    if not isinstance(content, dict):
        raise DataError(f"{TASK}: {name} holds no object")
    for column, kind in _ANNOTATION.items():
        if not isinstance(content.get(column), kind):
            what = "lacks" if column not in content else "has no readable"
            raise DataError(f"{TASK}: {name} {what} {column!r}")
    options = content["options"]
    if not all(isinstance(option, str) for option in options):
        raise DataError(f"{TASK}: {name}: an option is no text")
    _check(content["question"], options, f"{TASK}: {name}", "")
    metadata: dict[str, Scalar] = {}
    if isinstance(targets := content.get("target_object"), list):
        metadata["target_object"] = "; ".join(map(str, targets))
    if isinstance(boxes := content.get("bbox"), list):
        metadata["bbox"] = json.dumps(boxes)
    return Item(
        id=f"{category}/{file.stem}",
        category=category,
        question=content["question"].strip(),
        options=tuple(option.strip() for option in options),
        right=0,
        image=ImageFile.from_path(image),
        where=f"{TASK}: {name}",
        metadata=metadata,
        row=content,
    )


def _check(question: str, options: Sequence[str], where: str, spot: str) -> None:
    problem = None
    if not question.strip():
        problem = "the question is empty"
    elif len(options) < 2:
        problem = "fewer than two options"
    elif len(options) > len(LETTERS):
        problem = f"{len(options)} options, more than there are letters"
    elif not all(plain(option) for option in options):
        problem = "an option is empty"
    elif len(set(map(plain, options))) < len(options):
        problem = "two options have the same text"
    if problem:
        raise DataError(f"{where}: {problem} {spot}".rstrip())


def _images(folder: Path, category: str) -> dict[str, Path]:
    return _files(folder / category, _SUFFIXES)


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The folder's files of one kind by stem; hidden ones are not the data's."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in suffixes and not file.name.startswith("."):
            if file.stem in found:
                raise DataError(f"{TASK}: {folder.name}/{file.stem} is double: {found[file.stem].name} and {file.name}")
            found[file.stem] = file
    return found
