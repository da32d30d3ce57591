"""From a row of the data to a sample, and whether all rows are there."""

from __future__ import annotations

import ast
import json
import math
import re
import string
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.records import Sample, Scalar
from evalkit.sources import Row

from .query import FLOAT, HINTS, INTEGER, LIST, TEXT, Kind, kind_of, query

SPLIT = "testmini"
ROWS = 1000
KINDS: Mapping[Kind, int] = {(TEXT, None): 540, (INTEGER, None): 418, (FLOAT, 1): 20, (FLOAT, 2): 20, (LIST, None): 2}
"""Rows of testmini by kind of answer."""
LISTS = ("225", "506")
"""The pids of the list rows, which tell whether rows are numbered as the authors number them."""
GROUPS = ("task", "context", "grade", "source", "language", "category")
"""Columns of the metadata that figures are grouped by, `skills` apart."""
SKILLS = "; "
"""What parts the skills of a row in a sample's metadata."""

_TYPES = {"multi_choice": (TEXT,), "free_form": (INTEGER, FLOAT, LIST)}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FLOAT = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LONGEST_LIST = 10_000


def sample_of(row: Row, image: ImageFile, split: str, source: str, where: str) -> Sample:
    """A row in the official layout as a sample.

    Args:
        row: `pid`, `question`, `answer`, `question_type`, `answer_type` and `metadata`, checked to be there;
            `choices`, `unit`, `precision`, and `query`, the prompt, where the source has it.
        image: the row's image.
        split: what the metadata must say, if it says it.
        source: start of messages: the task and the file.
        where: the row, as `place` names it.

    Raises:
        DataError: the row is of another split, or a value is missing or wrong.
    """
    metadata = row["metadata"]
    if metadata.get("split", split) != split:
        raise DataError(f"{source}: split {one_line(metadata['split'], 40)!r}, not {split} {where}")
    for column in ("pid", "question"):
        if not row[column].strip():
            raise DataError(f"{source}: empty {column} {where}")
    kind = _kind(row, source, where)
    choices = _choices(row, source, where) if kind[0] == TEXT else {}
    answer = _answer(row["answer"], kind, choices, source, where)
    unit = _text(row.get("unit"))
    facts: dict[str, Scalar] = {"question_type": row["question_type"], "answer_type": kind[0]}
    facts |= {"precision": kind[1]} if kind[1] is not None else {}
    facts |= {"unit": unit} if unit else {}
    facts |= {group: value for group in GROUPS if (value := _text(metadata.get(group)))}
    facts["skills"] = SKILLS.join(_skills(metadata.get("skills"), source, where))
    return Sample(
        id=row["pid"],
        question=_text(row.get("query")) or query(kind, row["question"], unit, choices),
        images=(image,),
        answer=answer,
        choices=choices,
        category=_text(metadata.get("task")),
        metadata=facts,
    )


def from_table(row: Row, first: int, source: str, where: str) -> Row:
    """A row of VLMEvalKit's table in the official layout.

    Args:
        row: the table's columns. `question` may be the prompt itself, hint included; `choices` and `skills`
            are lists as text; `answer_option` is the letter of a choice.
        first: the lowest `index` of the table, which stands for pid 1.
        source: see `sample_of`.
        where: see `sample_of`.

    Raises:
        DataError: a cell cannot be read, or the answer and its letter contradict each other.
    """
    pid = _text(row.get("pid")) or str(row["index"] - first + 1)
    asked = kind_of(row["question"])
    precision = _text(row.get("precision"))
    found: Row = {
        "pid": pid,
        "question": row["question"],
        "query": row["question"] if asked else "",
        "answer": row["answer"],
        "question_type": row["question_type"],
        "answer_type": row["answer_type"],
        "unit": _text(row.get("unit")),
        "precision": (asked[1] if asked else None) if not precision else _number(precision, source, where),
        "metadata": {key: row[key] for key in ("split", *GROUPS) if _text(row.get(key))},
    }
    found["metadata"]["skills"] = _list_text(row.get("skills"), "skills", source, where, alone=True)
    if row["question_type"] == "multi_choice":
        found["choices"] = _list_text(row.get("choices"), "choices", source, where)
        letters = dict(zip(string.ascii_uppercase, found["choices"], strict=False))
        letter = _text(row.get("answer_option"))
        if letter and row["answer"] not in (letter, letters.get(letter)):
            raise DataError(f"{source}: answer_option {one_line(letter, 20)!r} is not the choice of answer {where}")
        found["answer"] = letters.get(letter, row["answer"])
    return {column: cell for column, cell in row.items() if column != "choices"} | found


def check_complete(samples: Sequence[Sample], source: str) -> None:
    """All rows of testmini are there once, each with the kind of answer it should have.

    Raises:
        DataError: naming the pid that is missing, double or no row of testmini.
    """
    check_unique(samples, source)
    pids = {sample.id for sample in samples}
    wanted = {str(number) for number in range(1, ROWS + 1)}
    if strange := [sample.id for sample in samples if sample.id not in wanted]:
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise DataError(f"{source}: pid {one_line(strange[0], 40)}{more} is no row of {SPLIT}, which has 1 to {ROWS}")
    if missing := sorted(wanted - pids, key=int):
        more = f", {missing[1]}" + (", …" if len(missing) > 2 else "") if len(missing) > 1 else ""
        raise DataError(f"{source}: {len(missing)} of {ROWS} rows are missing: pid {missing[0]}{more}")
    found = Counter(_kind_of_sample(sample) for sample in samples)
    for kind, count in KINDS.items():
        if found[kind] != count:
            raise DataError(f"{source}: {found[kind]} rows with {_named(kind)} answers, not {count}")
    if any(sample.metadata["answer_type"] != LIST for sample in samples if sample.id in LISTS):
        raise DataError(
            f"{source}: the rows are not numbered as in {SPLIT}, where pid {' and '.join(LISTS)} ask a list"
        )


def check_unique(samples: Iterable[Sample], source: str) -> None:
    """No pid occurs twice.

    Raises:
        DataError: naming the pid.
    """
    seen: dict[str, int] = {}
    for number, sample in enumerate(samples, 1):
        if sample.id in seen:
            rows = f"rows {seen[sample.id]} and {number}"
            raise DataError(f"{source}: pid {one_line(sample.id, 40)} is double ({rows})")
        seen[sample.id] = number


def _kind_of_sample(sample: Sample) -> tuple[str, Scalar]:
    return str(sample.metadata["answer_type"]), sample.metadata.get("precision")


def _named(kind: Kind) -> str:
    return f"{kind[0]}" + (f" (precision {kind[1]})" if kind[1] is not None else "")


def _kind(row: Row, source: str, where: str) -> Kind:
    types = _TYPES.get(row["question_type"], ())
    if row["answer_type"] not in types:
        asked = f"{one_line(row['question_type'], 40)}/{one_line(row['answer_type'], 40)}"
        raise DataError(f"{source}: unknown question_type/answer_type {asked} {where}")
    if row["answer_type"] != FLOAT:
        return row["answer_type"], None
    precision = row.get("precision")
    if precision is None or (isinstance(precision, float) and math.isnan(precision)):
        raise DataError(f"{source}: a float answer without precision {where}")
    # 1.0 is 1 as a dictionary's key, and 1.5 is none of them
    if isinstance(precision, bool) or not isinstance(precision, int | float) or (FLOAT, precision) not in HINTS:
        raise DataError(f"{source}: precision {one_line(precision, 40)!r} is neither 1 nor 2 {where}")
    return FLOAT, int(precision)


def _choices(row: Row, source: str, where: str) -> dict[str, str]:
    choices = row.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise DataError(f"{source}: column 'choices' is no list of texts {where}")
    if not 2 <= len(choices) <= len(string.ascii_uppercase):
        raise DataError(f"{source}: {len(choices)} choices {where}")
    return dict(zip(string.ascii_uppercase, choices, strict=False))


def _answer(answer: str, kind: Kind, choices: Mapping[str, str], source: str, where: str) -> str:
    """The gold as samples have it: of a choice its first letter, else the number or the list as it stands."""
    if kind[0] == TEXT:
        if letter := next((letter for letter, text in choices.items() if text == answer), None):
            return letter
        raise DataError(f"{source}: answer {one_line(answer, 60)!r} is not among the choices {where}")
    if kind[0] == LIST:
        try:
            good = isinstance(json.loads(answer[:_LONGEST_LIST]), list)
        except (ValueError, RecursionError):
            good = False
    else:
        good = (_INTEGER if kind[0] == INTEGER else _FLOAT).fullmatch(answer) is not None
    if not good:
        raise DataError(f"{source}: answer {one_line(answer, 60)!r} is no {kind[0]} {where}")
    return answer


def _skills(skills: Any, source: str, where: str) -> list[str]:
    if not isinstance(skills, list) or not all(isinstance(skill, str) for skill in skills):
        raise DataError(f"{source}: the row's skills are no list of texts {where}")
    return skills


def _number(text: str, source: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{source}: precision {one_line(text, 40)!r} is no number {where}") from None


def _list_text(cell: Any, column: str, source: str, where: str, *, alone: bool = False) -> list[str]:
    """A list that a table holds as text, e.g. `['a', 'b']`; with `alone` a text without brackets is one entry."""
    text = _text(cell)
    if alone and not text.startswith("["):
        return [text] if text else []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash that escapes nothing, as in LaTeX
            found = ast.literal_eval(text) if len(text) <= _LONGEST_LIST else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(entry, str | int | float) for entry in found):
        raise DataError(f"{source}: column {column!r} is no list as text: {one_line(text, 60)!r} {where}")
    return [str(entry) for entry in found]


def _text(value: Any) -> str:
    """A cell that may be absent: None, a NaN of a table and "" are the same."""
    return value if isinstance(value, str) else ""
