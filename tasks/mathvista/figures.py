"""Accuracy of the groups that the authors report, under both rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from evalkit.records import Record, Rule, Sample
from evalkit.task import Metric

from .rows import GROUPS, SKILLS

TYPES = ("question_type", "answer_type")


def group_figures(records: Iterable[Record]) -> tuple[Metric, ...]:
    """The share of right rows in every group, strict verdicts first, then "official." ones.

    Groups are the values of the question's and the answer's type, the skill, and all in `rows.GROUPS`
    (lupantech/MathVista@53d5258, evaluation/calculate_score.py). A row counts in each of its skills. A row
    whose verdict is an error has no score and counts in no group.

    Args:
        records: one arm's; a row counts once per repeat, the last record of it.
    """
    rows = list({record.key: record for record in records}.values())
    return tuple(figure for rule in Rule for figure in _figures(rows, rule))


def _figures(records: list[Record], rule: Rule) -> Iterator[Metric]:
    prefix = "official." if rule is Rule.OFFICIAL else ""
    right: dict[str, list[bool]] = defaultdict(list)
    lost: dict[str, int] = defaultdict(int)
    for record in records:
        for name in groups_of(record.sample):
            if record.outcome.verdict.is_error:
                lost[name] += 1
            else:
                right[name].append(record.outcome.right(rule))
    for name in sorted(right.keys() | lost.keys(), key=_rank):
        note = f"{lost[name]} more rows without a score" if lost[name] else ""
        yield Metric.share(prefix + name, right[name], note)


def groups_of(sample: Sample) -> Iterator[str]:
    """The names of the figures that a row counts in, e.g. "task.math word problem"."""
    for group in (*TYPES, *GROUPS):
        if value := sample.metadata.get(group):
            yield f"{group}.{value}"
    for skill in dict.fromkeys(str(sample.metadata.get("skills", "")).split(SKILLS)):
        if skill:
            yield f"skill.{skill}"


_ORDER = (*TYPES, "task", "context", "skill", *(group for group in GROUPS if group not in ("task", "context")))


def _rank(name: str) -> tuple[int, str]:
    return _ORDER.index(name.split(".", 1)[0]), name
