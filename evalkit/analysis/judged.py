"""Accuracy where a judge decided some rows: what it would be without the judge's errors, and within which bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evalkit import stats
from evalkit.analysis.calibrated import figure_of
from evalkit.analysis.figure import Figure
from evalkit.calibration import Calibration
from evalkit.records import Rule

NO_CALIBRATION = "how often the judge errs was not given (--judge-calibration)"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What rests on a judge's word; the official rules do not.

    Attributes:
        decided: rows that it decided.
        right: of these, the rows that it made right.
        undecided: rows of which it gave no verdict: errors, without a score.
        scored: rows with a score.
        worst: accuracy of the scored and the undecided rows if none of the judge's rows were right.
        best: the same if all of them were.
        truly_right: share of the decided rows that are right, by Rogan and Gladen.
        corrected: accuracy of the scored rows with that share; see `evalkit.stats.judged_share`.
        labels: name of the file that the judge was measured on; empty without a calibration.
    """

    decided: int
    right: int
    undecided: int
    scored: int
    worst: float
    best: float
    truly_right: Figure
    corrected: Figure
    labels: str = ""


def judged_accuracy(records: Sequence[Any], rule: Rule, calibration: Calibration | None) -> Judged | None:
    """What rests on a judge; None where nothing does.

    Args:
        records: `Record` or `LightRecord` of the agent's first try.
        rule: whose verdicts accuracy rests on; only evalkit's own are a judge's.
        calibration: of the judge.
    """
    asked = [record for record in records if record.outcome.ruling is not None]
    if not asked or rule is not Rule.STRICT:
        return None
    decided = [record for record in asked if not record.outcome.verdict.is_error]
    scored = [record for record in records if not record.outcome.verdict.is_error]
    undecided = len(asked) - len(decided)
    right = sum(record.outcome.right(rule) for record in decided)
    by_rules = sum(record.outcome.right(rule) for record in scored) - right
    rows = len(scored) + undecided
    truly, corrected = _corrected(scored, decided, right, calibration)
    return Judged(
        decided=len(decided),
        right=right,
        undecided=undecided,
        scored=len(scored),
        worst=by_rules / rows,
        best=(by_rules + len(asked)) / rows,
        truly_right=truly,
        corrected=corrected,
        labels=calibration.labels.name if calibration else "",
    )


def judged_line(judged: Judged) -> str:
    """All of it in one line."""
    of = f"{judged.decided} of {judged.scored} verdicts are a judge's"
    of += f", {judged.undecided} more rows it left undecided" if judged.undecided else ""
    figure = judged.corrected
    fixed = f"not corrected: {figure.why}" if figure.value is None else f"{_text(figure)} corrected for its errors"
    return f"{of}: accuracy {fixed}; {judged.worst:.1%} to {judged.best:.1%} if its rows are all wrong or all right"


def _corrected(
    scored: Sequence[Any], decided: Sequence[Any], right: int, calibration: Calibration | None
) -> tuple[Figure, Figure]:
    """The share of the judge's rows that are right, and accuracy with it."""

    def neither(why: str) -> tuple[Figure, Figure]:
        return Figure(n=len(decided), why=why), Figure(n=len(scored), why=why)

    if not decided:
        return neither("the judge decided no row")
    if calibration is None:
        return neither(NO_CALIBRATION)
    if {record.outcome.ruling.judge for record in decided} != {calibration.digest}:
        return neither("the calibration is of another judge than the one that decided")
    tasks = {record.outcome.ruling.asked for record in decided}
    measured = [one for asked, one in calibration.measured.items() if asked in tasks]
    if len(tasks) != 1 or not measured:
        return neither(f"the labels of the calibration do not measure a judge's {' and '.join(sorted(tasks))}")
    table = measured[0].table
    asked = {id(record) for record in decided}
    flags = [record.outcome.right(Rule.STRICT) for record in scored]
    by_judge = [id(record) in asked for record in scored]
    groups = [record.sample.cluster or record.sample.id for record in scored]
    alone = len(set(groups)) == len(groups)
    return (
        figure_of(lambda: stats.rogan_gladen(right, len(decided), table), len(decided)),
        figure_of(lambda: stats.judged_share(flags, by_judge, table, None if alone else groups), len(scored)),
    )


def _text(figure: Figure) -> str:
    return f"{figure.value:.1%} [{100 * (figure.low or 0):.1f}, {100 * (figure.high or 0):.1f}]"
