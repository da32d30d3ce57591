"""A rubric: what a judge gives marks for, what each mark means, and which marks are good enough."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.yaml_text import parse_yaml

STRATEGIC = Path(__file__).parent / "rubrics" / "strategic_tool_use.yaml"
"""The rubric that ships."""
_Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]


class Criterion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that marks are given for.

    Attributes:
        name: of its mark.
        asks: the question that the mark answers.
        marks: mark to what it means, from 0 up without a gap.
    """

    name: _Name
    asks: str
    marks: Annotated[dict[int, str], msgspec.Meta(min_length=2)]


class Rubric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a judge is asked.

    Attributes:
        name: for reports.
        version: its author's.
        task: who the judge is and what counts, in its own words.
        least: the mark that every criterion needs.
        criteria: in the order in which they are asked.
    """

    name: _Name
    version: int
    task: str
    least: int
    criteria: Annotated[tuple[Criterion, ...], msgspec.Meta(min_length=1)]

    @property
    def digest(self) -> str:
        """Of all of it, in hex."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the criteria."""
        return tuple(criterion.name for criterion in self.criteria)

    def good(self, marks: Mapping[str, int]) -> bool:
        """Whether no mark is below `least`."""
        return all(marks[name] >= self.least for name in self.names)


def read_rubric(file: Path = STRATEGIC) -> Rubric:
    """A rubric from its YAML file.

    Raises:
        DataError: it cannot be read, or is none.
    """
    try:
        rubric = msgspec.convert(parse_yaml(file.read_bytes()), Rubric)
    except OSError as error:
        raise DataError(f"cannot read rubric {file}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DataError(f"rubric {file} is none: {one_line(error)}") from error
    if len(set(rubric.names)) < len(rubric.names) or "why" in rubric.names:
        raise DataError(f'rubric {file}: every criterion needs a name of its own, other than "why"')
    for criterion in rubric.criteria:
        if sorted(criterion.marks) != list(range(len(criterion.marks))):
            raise DataError(f"rubric {file}: the marks of {criterion.name} must go from 0 up without a gap")
        if rubric.least not in criterion.marks:
            raise DataError(f"rubric {file}: {criterion.name} has no mark {rubric.least}, which `least` asks for")
    return rubric
