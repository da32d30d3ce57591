"""Whether the same question, asked again, gets the same answer."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from evalkit.records import AGAIN, AGENT, Record


class RepeatCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Samples that were run twice with the same settings, compared one by one.

    Attributes:
        n: pairs in which neither run ended with an error.
        same_text: pairs whose every turn has the same text.
        same_answer: pairs with the same extracted answer (or none in both).
        same_verdict: pairs with the same verdict.
        differing: ids of the samples whose answers differ, in order.
    """

    n: int
    same_text: int
    same_answer: int
    same_verdict: int
    differing: tuple[str, ...] = ()


def repeat_check(records: Iterable[Record]) -> RepeatCheck | None:
    """Compare the runs of `--repeat-check` with the first ones; None where nothing was run again."""
    first: dict[str, Record] = {}
    again: dict[str, Record] = {}
    for record in records:
        if record.repeat == 0 and record.arm in (AGENT, AGAIN):
            (first if record.arm == AGENT else again)[record.sample.id] = record
    if not again:
        return None
    pairs = [
        (a, b)
        for id, b in again.items()
        if (a := first.get(id)) and not a.outcome.verdict.is_error and not b.outcome.verdict.is_error
    ]
    differing = [a.sample.id for a, b in pairs if a.outcome.answer != b.outcome.answer]
    return RepeatCheck(
        n=len(pairs),
        same_text=sum(_texts(a) == _texts(b) for a, b in pairs),
        same_answer=len(pairs) - len(differing),
        same_verdict=sum(a.outcome.verdict is b.outcome.verdict for a, b in pairs),
        differing=tuple(differing),
    )


def _texts(record: Record) -> list[str]:
    return [turn.text for turn in record.trajectory.turns]
