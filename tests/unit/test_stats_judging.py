"""Shares corrected for a judge's errors, and agreement with it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.stats import JudgeTable, StatsUnavailable, judged_share, kappa, rogan_gladen, wilson

GOOD = JudgeTable(95, 5, 2, 98)


def test_the_estimate_undoes_what_the_judge_does() -> None:
    # of 1,000 samples 400 are right; the judge calls 0.95 * 400 + 0.02 * 600 = 392 right
    assert rogan_gladen(392, 1000, GOOD).value == pytest.approx(0.4)


def test_the_interval_is_lang_and_reiczigels() -> None:
    """Worked out step by step from the paper's formulas, at 95 %."""
    z = 1.959963984540054
    seen, n = (392 + z * z / 2) / (1000 + z * z), 1000 + z * z
    se, sp = 96 / 102, 99 / 102
    youden = se + sp - 1
    centre = (seen + sp - 1) / youden
    vse, vsp = se * (1 - se) / 102, sp * (1 - sp) / 102
    error = math.sqrt(seen * (1 - seen) / n + vse * centre**2 + vsp * (1 - centre) ** 2) / youden
    shift = 2 * z * z * (centre * vse - (1 - centre) * vsp)
    found = rogan_gladen(392, 1000, GOOD)
    assert found.interval == pytest.approx((centre + shift - z * error, centre + shift + z * error))
    assert found.standard_error == pytest.approx(error)


def test_it_is_cut_to_what_a_share_can_be_and_its_interval_holds_it() -> None:
    low, high = rogan_gladen(0, 200, GOOD), rogan_gladen(195, 200, GOOD)
    assert (low.value, high.value) == (0, 1)
    assert low.interval.low == 0 < low.interval.high < 0.1
    assert 0.9 < high.interval.low < high.interval.high == 1


def test_what_the_measured_errors_cannot_explain_is_not_corrected() -> None:
    with pytest.raises(StatsUnavailable, match="calls more right than its errors"):
        rogan_gladen(200, 200, GOOD)
    with pytest.raises(StatsUnavailable, match="calls fewer right than its errors"):
        judged_share([0] * 400, [1] * 400, JudgeTable(90, 10, 30, 70))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (JudgeTable(0, 0, 2, 98), "no labelled sample that is right"),
        (JudgeTable(95, 5, 0, 0), "no labelled sample that is wrong"),
        (JudgeTable(50, 50, 50, 50), "no better than chance"),
        (JudgeTable(2, 98, 98, 2), "no better than chance"),
        (JudgeTable(3, 2, 2, 3), "cannot be told from chance"),
    ],
)
def test_a_judge_that_says_nothing_corrects_nothing(table: JudgeTable, reason: str) -> None:
    for figure in (lambda: rogan_gladen(50, 100, table), lambda: judged_share([1, 0, 1], [1, 1, 0], table)):
        with pytest.raises(StatsUnavailable, match=reason):
            figure()


def test_no_sample_and_wrong_counts() -> None:
    with pytest.raises(StatsUnavailable, match="no sample"):
        rogan_gladen(0, 0, GOOD)
    with pytest.raises(ValueError, match="between 0 and n"):
        rogan_gladen(5, 4, GOOD)
    with pytest.raises(ValueError, match="negative"):
        rogan_gladen(1, 4, JudgeTable(-1, 5, 2, 98))
    with pytest.raises(ValueError, match="lengths differ"):
        judged_share([1, 0], [1], GOOD)


def test_only_what_the_judge_decided_is_corrected() -> None:
    right = [1] * 60 + [0] * 40 + [1] * 30 + [0] * 20
    judged = [0] * 100 + [1] * 50
    truly = (0.6 + 0.98 - 1) / (0.95 + 0.98 - 1)
    assert judged_share(right, judged, GOOD).value == pytest.approx((60 + 50 * truly) / 150)


def test_without_judged_samples_it_is_the_plain_share() -> None:
    right = [1] * 70 + [0] * 30
    found = judged_share(right, [0] * 100, GOOD)
    assert found.value == 0.7
    assert found.interval == pytest.approx(wilson(70, 100), abs=0.003)


def test_the_interval_grows_with_the_judges_part_its_errors_and_its_few_labels() -> None:
    right = [1, 0, 1, 1] * 50

    def width(part: int, table: JudgeTable) -> float:
        low, high = judged_share(right, [place < part for place in range(200)], table).interval
        return high - low

    assert width(0, GOOD) < width(50, GOOD) < width(200, GOOD)
    assert width(200, GOOD) < width(200, JudgeTable(80, 20, 20, 80))
    assert width(200, JudgeTable(950, 50, 20, 980)) < width(200, GOOD) < width(200, JudgeTable(19, 1, 1, 19))


def test_rows_that_belong_together_widen_it() -> None:
    right = [float(place % 8 < 4) for place in range(200)]
    judged = [place % 2 for place in range(200)]
    alone = judged_share(right, judged, GOOD)
    together = judged_share(right, judged, GOOD, [place // 4 for place in range(200)])
    assert together.clusters == 50
    assert alone.clusters is None
    assert together.interval.high - together.interval.low > 1.5 * (alone.interval.high - alone.interval.low)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40),
    st.tuples(*[st.integers(0, 60)] * 4),
)
def test_every_interval_holds_its_value_within_0_and_1(rows: list[tuple[bool, bool]], cells: tuple[int, ...]) -> None:
    table = JudgeTable(*cells)
    right, judged = [r for r, _ in rows], [j for _, j in rows]
    for figure in (lambda: rogan_gladen(sum(right), len(right), table), lambda: judged_share(right, judged, table)):
        try:
            found = figure()
        except StatsUnavailable:
            continue
        assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1


def test_kappa_and_its_error_are_those_of_statsmodels() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    for table in (GOOD, JudgeTable(60, 30, 5, 120), JudgeTable(3, 40, 2, 9)):
        theirs = inter_rater.cohens_kappa([[table[0], table[1]], [table[2], table[3]]])
        ours = kappa(table)
        assert ours.value == pytest.approx(theirs.kappa)
        assert ours.standard_error == pytest.approx(theirs.std_kappa)
        assert ours.interval.low < ours.value < ours.interval.high


def test_kappa_where_judge_and_labels_never_differ_or_the_judge_says_one_thing_only() -> None:
    same = kappa(JudgeTable(50, 0, 0, 50))
    assert same.value == 1 == same.interval.high
    assert 0.8 < same.interval.low < 1
    blind = kappa(JudgeTable(0, 50, 0, 50))
    assert blind.value == 0
    assert blind.interval.low < 0 < blind.interval.high
    with pytest.raises(StatsUnavailable, match="all labels are the same"):
        kappa(JudgeTable(0, 0, 2, 8))
    with pytest.raises(StatsUnavailable, match="no sample"):
        kappa(JudgeTable(0, 0, 0, 0))
