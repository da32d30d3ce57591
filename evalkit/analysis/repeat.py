"""Whether the same question, asked again, gets the same answer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalkit.analysis.shares import Share, clustered_share, clusters_of
from evalkit.records import AGAIN, AGENT, Record


class RepeatCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Samples that were run twice with the same settings, compared one by one.

    Attributes:
        n: pairs in which neither run ended with an error.
        same_text: pairs whose every turn has the same text.
        same_answer: pairs with the same extracted answer (or none in both).
        same_verdict: pairs with the same verdict.
        shares: the three as shares of the pairs, by "texts", "answers" and "verdicts".
        differing: ids of the samples whose answers differ, in order.
    """

    n: int
    same_text: int
    same_answer: int
    same_verdict: int
    shares: dict[str, Share] = {}
    differing: tuple[str, ...] = ()


def repeat_check(records: Sequence[Record]) -> RepeatCheck | None:
    """Compare the runs of `--repeat-check` with the first ones; None where nothing was run again."""
    again = {record.sample.id: record for record in records if (record.arm, record.repeat) == (AGAIN, 0)}
    if not again:
        return None
    first = {
        record.sample.id: record
        for record in records
        if (record.arm, record.repeat) == (AGENT, 0) and record.sample.id in again
    }
    pairs = [
        (a, b)
        for id, b in again.items()
        if (a := first.get(id)) and not a.outcome.verdict.is_error and not b.outcome.verdict.is_error
    ]
    same = {
        "texts": [_texts(a) == _texts(b) for a, b in pairs],
        "answers": [a.outcome.answer == b.outcome.answer for a, b in pairs],
        "verdicts": [a.outcome.verdict is b.outcome.verdict for a, b in pairs],
    }
    clusters = clusters_of(a for a, _ in pairs)
    return RepeatCheck(
        n=len(pairs),
        same_text=sum(same["texts"]),
        same_answer=sum(same["answers"]),
        same_verdict=sum(same["verdicts"]),
        shares={name: clustered_share(flags, clusters) for name, flags in same.items()},
        differing=tuple(a.sample.id for (a, _), equal in zip(pairs, same["answers"], strict=True) if not equal),
    )


def _texts(record: Record) -> list[str]:
    return [turn.text for turn in record.trajectory.turns]
