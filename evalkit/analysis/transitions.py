"""Which verdicts a change of rules moves where."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from evalkit.records import Outcome, Record, Rule


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that go from one verdict to another, or to another answer under the same verdict.

    Attributes:
        old: the verdict before.
        new: the verdict after.
        rows: (record before, record after), in order.
    """

    old: str
    new: str
    rows: tuple[tuple[Record, Record], ...]


def transitions(changes: Iterable[tuple[Record, Record]], rule: Rule = Rule.STRICT) -> list[Transition]:
    """The changes by verdict before and after, the most frequent first.

    Args:
        changes: (record before, record after).
        rule: whose verdicts.
    """
    groups: dict[tuple[str, str], list[tuple[Record, Record]]] = {}
    for old, new in changes:
        groups.setdefault((verdict_name(old.outcome, rule), verdict_name(new.outcome, rule)), []).append((old, new))
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [Transition(old=old, new=new, rows=tuple(rows)) for (old, new), rows in ordered]


def verdict_name(outcome: Outcome, rule: Rule) -> str:
    """The verdict under a rule, as a reader sees it; an error is one under both."""
    if rule is Rule.STRICT or outcome.verdict.is_error:
        return str(outcome.verdict)
    if outcome.official is None:
        return "no verdict"
    if outcome.official:
        return "correct"
    return "incorrect" if outcome.official_answer is not None else "unparsed"
