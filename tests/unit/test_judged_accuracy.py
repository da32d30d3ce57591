"""Accuracy where a judge decided some rows: corrected only for these, and bounded whatever is known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from evalkit import Record, Rule, Verdict
from evalkit.analysis.judged import NO_CALIBRATION, Judged, judged_accuracy, judged_line
from evalkit.calibration import Calibration, Labelled, Measured
from evalkit.reporting.judged import judged_note, judged_rows
from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge import identity_digest
from tests.run_folders import row

IDENTITY = {"model": "judge"}
DIGEST = identity_digest(IDENTITY)
COUNTS = {"correct": {"correct": 95, "incorrect": 3, "unparsed": 2}, "unparsed": {"unparsed": 98, "correct": 2}}
CALIBRATION = Calibration(
    identity=IDENTITY,
    digest=DIGEST,
    labels=Labelled(name="labels.yaml", sha256="0", rows=200),
    measured={"extraction": Measured(asked="extraction", counts=COUNTS)},
    injected={},
    created="2026-01-01T00:00:00Z",
    evalkit="0.1.0",
)


def judged_row(id: object, right: bool | Verdict, digest: str = DIGEST, asked: str = "extraction") -> Record:
    """A row that a judge was asked about."""
    record = row(id, right)
    said = Said.UNPARSABLE if isinstance(right, Verdict) else Said.EXTRACTED
    ruling = Ruling(asked=asked, said=said, judge=digest)
    return replace(record, outcome=replace(record.outcome, ruling=ruling))


def rows(digest: str = DIGEST) -> list[Record]:
    """60 and 40 by the rules, 30 and 20 by the judge, 5 left by it, and 2 errors of another kind."""
    made = [row(f"r{n}", n < 60) for n in range(100)]
    made += [judged_row(f"j{n}", n < 30, digest) for n in range(50)]
    made += [judged_row(f"u{n}", Verdict.JUDGE_ERROR, digest) for n in range(5)]
    return made + [row(f"e{n}", Verdict.ENGINE_ERROR) for n in range(2)]


def found(records: Sequence[Record], calibration: Calibration | None = CALIBRATION) -> Judged:
    judged = judged_accuracy(records, Rule.STRICT, calibration)
    assert judged is not None
    return judged


def test_only_the_judges_rows_are_corrected_and_bounded() -> None:
    judged = found(rows())
    assert (judged.decided, judged.right, judged.undecided, judged.scored) == (50, 30, 5, 150)
    assert judged.worst == pytest.approx(60 / 155)
    assert judged.best == pytest.approx(115 / 155)
    truly = (0.6 + 0.98 - 1) / (0.95 + 0.98 - 1)
    assert judged.truly_right.value == pytest.approx(truly)
    assert judged.corrected.value == pytest.approx((60 + 50 * truly) / 150)
    assert judged.corrected.low is not None
    assert judged.corrected.high is not None
    assert judged.corrected.low < judged.corrected.value < judged.corrected.high


def test_without_a_calibration_the_bounds_remain() -> None:
    judged = found(rows(), None)
    assert judged.corrected.value is None
    assert judged.corrected.why == judged.truly_right.why == NO_CALIBRATION
    assert (judged.worst, judged.best) == (found(rows()).worst, found(rows()).best)


def test_nothing_is_said_where_no_judge_was_asked_or_by_the_official_rule() -> None:
    assert judged_accuracy([row(1), row(2)], Rule.STRICT, CALIBRATION) is None
    assert judged_accuracy(rows(), Rule.OFFICIAL, CALIBRATION) is None


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (rows("another"), "of another judge"),
        ([*rows(), judged_row("x", True, "another")], "of another judge"),
        ([judged_row("x", True, asked="equivalence")], "do not measure a judge's equivalence"),
        ([row(1), judged_row("x", Verdict.JUDGE_ERROR)], "decided no row"),
        ([judged_row(n, True) for n in range(300)], "calls more right"),
    ],
)
def test_what_cannot_be_corrected_says_why(records: list[Record], why: str) -> None:
    judged = found(records)
    assert judged.corrected.value is None
    assert why in judged.corrected.why
    assert why in judged.truly_right.why
    assert judged.worst <= judged.best


def test_rows_that_belong_together_widen_the_interval() -> None:
    records = rows()
    for place, record in enumerate(records):
        records[place] = replace(record, sample=replace(record.sample, cluster=f"c{place // 5}"))
    alone, together = found(rows()).corrected, found(records).corrected
    assert alone.value == together.value
    assert None not in (alone.low, alone.high, together.low, together.high)
    assert (together.high or 0) - (together.low or 0) > (alone.high or 0) - (alone.low or 0)


def test_the_figures_as_text() -> None:
    shown = {line.name: line for line in judged_rows(found(rows()))}
    assert shown["decided by the judge"].value == "50 of 150 rows, 30 right, 5 left undecided"
    assert shown["accuracy, its rows all wrong or right"].value == "38.7% to 74.2%"
    assert shown["accuracy, corrected for the judge"].value == "60.8%"
    assert " - " in shown["accuracy, corrected for the judge"].interval
    assert "labels.yaml" in judged_note(found(rows()))
    assert judged_note(found(rows(), None)) == judged_note(None) == ""
    assert "60.8% [" in judged_line(found(rows()))
    assert f"not corrected: {NO_CALIBRATION}" in judged_line(found(rows(), None))
