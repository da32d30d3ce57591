"""Which samples of two runs are the same, and whether they can be paired at all."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from evalkit.analysis.side import Side, Unit
from evalkit.errors import EvalkitError, one_line
from evalkit.runs.remote.address import shown

ALLOWED = ("task", "version", "questions")
"""What two runs may differ in if the user says so."""


class Pair(NamedTuple):
    """One sample in two runs."""

    old: Unit
    new: Unit


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Which samples make pairs, and which do not.

    Attributes:
        both: samples that are in both runs.
        pairs: those of them that have a score in both.
        only_old: ids that only the reference has.
        only_new: ids that only the other run has.
        errors_old: ids in both whose every trajectory in the reference ended with an error.
        errors_new: the same in the other run.
        other_prompts: samples in both whose first prompt has another text.
        other_images: samples in both whose images have other bytes, of those with images in both.
        overridden: what would have forbidden the comparison and was allowed by the user.
    """

    both: int
    pairs: int
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    errors_old: tuple[str, ...]
    errors_new: tuple[str, ...]
    other_prompts: int
    other_images: int
    overridden: tuple[str, ...] = ()


def pair(old: Side, new: Side, allowed: Collection[str] = ()) -> tuple[list[Pair], Overlap]:
    """Pair two runs by sample id.

    Args:
        old: the reference; pairs come in its order.
        new: the other run.
        allowed: those of `ALLOWED` in which they may differ.

    Raises:
        EvalkitError: they cannot be paired; a line for each reason.
    """
    ids = [id for id in old.units if id in new.units]
    problems = _problems(old, new, ids)
    refused = [f"{text}{_mend(key) if ids else ''}" for key, text in problems if key not in allowed]
    if refused:
        raise EvalkitError("\n".join(f"{_name(new)} cannot be compared with {_name(old)}: {line}" for line in refused))
    both = [Pair(old.units[id], new.units[id]) for id in ids]
    pairs = [found for found in both if found.old.right is not None and found.new.right is not None]
    return pairs, Overlap(
        both=len(both),
        pairs=len(pairs),
        only_old=tuple(id for id in old.units if id not in new.units),
        only_new=tuple(id for id in new.units if id not in old.units),
        errors_old=tuple(found.old.id for found in both if found.old.right is None),
        errors_new=tuple(found.new.id for found in both if found.new.right is None),
        other_prompts=sum(found.old.prompt != found.new.prompt for found in both),
        other_images=sum(bool(a.images and b.images) and a.images != b.images for a, b in both),
        overridden=tuple(f"{key}: {text}" for key, text in problems),
    )


def _problems(old: Side, new: Side, ids: list[str]) -> list[tuple[str, str]]:
    """What forbids the comparison, each with the word that allows it ("" for nothing does)."""
    found = []
    ours, theirs = old.task["name"], new.task["name"]
    if ours != theirs:
        found.append(("task", f"the tasks differ ({one_line(theirs, 60)}, {one_line(ours, 60)})"))
    elif old.task.get("version") != new.task.get("version"):
        versions = (one_line(side.task.get("version"), 20) for side in (new, old))
        found.append(("version", f"the task's versions differ ({', '.join(versions)})"))
    if not ids:
        examples = (one_line(repr(next(iter(side.units))), 80) for side in (new, old))
        found.append(("", f"they have no sample id in common (the first ones are {' and '.join(examples)})"))
    other = [id for id in ids if old.units[id].question != new.units[id].question]
    if other:
        what = "another question, other options or another reference answer"
        found.append(
            ("questions", f"{len(other)} of {len(ids)} ids have {what}, the first {one_line(repr(other[0]), 80)}")
        )
    return found


def _mend(key: str) -> str:
    return f"; --allow-different {key} pairs them all the same" if key else ""


def _name(side: Side) -> str:
    return f"{side.label} ({shown(side.folder)})"
