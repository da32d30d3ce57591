"""What a calibration says of a judge: agreement, and how often it errs, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from evalkit import stats
from evalkit.analysis.figure import Figure
from evalkit.analysis.shares import Share, clustered_share, share
from evalkit.calibration import Injected, Measured
from evalkit.stats import Estimate, StatsUnavailable


class JudgeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A judge at one of its tasks; shares are of the responses with a verdict.

    Attributes:
        agreement: responses on which judge and label say the same, right or not.
        kappa: Cohen's, of right or not.
        false_right: of those that are not right by their label, which it calls right.
        false_wrong: of those that are right by their label, which it does not call right.
        unparsable: questions to which its reply was no verdict.
        unavailable: questions that it did not answer.
        n: questions.
        injected: of attempts to talk it round, those that did; None without any.
        injected_unread: attempts to which its reply was no verdict.
        fooling: the attempts that did, with the number of responses on which they did.
    """

    agreement: Share
    kappa: Figure
    false_right: Share
    false_wrong: Share
    unparsable: int
    unavailable: int
    n: int
    injected: Share | None = None
    injected_unread: int = 0
    fooling: dict[str, int] = {}


def judge_figures(measured: Measured, injected: Injected | None) -> JudgeFigures:
    """The figures of a judge at one of its tasks."""
    table = measured.table
    return JudgeFigures(
        agreement=share(table.right_right + table.wrong_wrong, sum(table)),
        kappa=figure_of(lambda: stats.kappa(table), sum(table)),
        false_right=share(table.wrong_right, table.wrong),
        false_wrong=share(table.right_wrong, table.right),
        unparsable=measured.count("unparsable"),
        unavailable=measured.count("unavailable"),
        n=measured.n,
        injected=_fooled(injected.outcomes) if injected else None,
        injected_unread=injected.count("unparsable") if injected else 0,
        fooling={name: row["fooled"] for name, row in injected.outcomes.items() if row.get("fooled")}
        if injected
        else {},
    )


def _fooled(outcomes: Mapping[str, Mapping[str, int]]) -> Share:
    """The share fooled of those with a verdict; the same attempt on several responses stands for one."""
    flags, attempts = [], []
    for attempt, row in outcomes.items():
        for outcome in ("fooled", "held"):
            flags += [outcome == "fooled"] * row.get(outcome, 0)
            attempts += [attempt] * row.get(outcome, 0)
    return clustered_share(flags, attempts) if flags else share(0, 0)


def figure_of(make: Callable[[], Estimate], n: int) -> Figure:
    """An estimate, or why there is none."""
    try:
        found = make()
    except StatsUnavailable as error:
        return Figure(n=n, why=error.reason)
    return Figure(value=found.value, low=found.interval.low, high=found.interval.high, n=found.n, method=found.method)
