"""With tools against without: tables counted by hand, and what becomes of them when data are missing or extreme."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import DataSource, Outcome, Record, Rule, Sample, Task
from evalkit.analysis import Summary, summarise
from evalkit.analysis.counterfactual import Counterfactual, counterfactual
from evalkit.analysis.figure import Figure
from evalkit.analysis.need_notes import need_notes
from evalkit.reporting import figure_rows, run_markdown
from evalkit.reporting.need import cell_rows, need_rows, need_tables
from evalkit.runs.folder import RunInfo
from evalkit.stats import chance_corrected, paired_difference, share, solvable_share
from tests.arms import ERROR, NO_ANSWER, RIGHT, WRONG, cells, pair, record

# (called, right with tools, right without): 40 pairs, all sums different
TABLE = {
    (True, True, True): 7,
    (True, True, False): 9,
    (True, False, True): 1,
    (True, False, False): 3,
    (False, True, True): 12,
    (False, True, False): 2,
    (False, False, True): 1,
    (False, False, False): 5,
}


def table(records: list[Record], **more: bool) -> Counterfactual:
    found = counterfactual(records, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_run_without_the_direct_arm_has_no_table() -> None:
    assert counterfactual([record(0, RIGHT, calls=1)]) is None
    assert need_tables(None) is None


def test_the_eight_cells_and_the_names_that_overlap() -> None:
    found = table(cells(TABLE)).overall
    assert (found.called.kept, found.called.gain, found.called.harm, found.called.lost) == (7, 9, 1, 3)
    assert (found.abstained.kept, found.abstained.gain, found.abstained.harm, found.abstained.lost) == (12, 2, 1, 5)
    counts = {name: figure.count for name, figure in found.shares.items()}
    assert counts == {
        "gain": 11,
        "harm": 2,
        "redundant": 8,
        "futile": 3,
        "abstained well": 14,
        "missed": None,
    }
    assert found.shares["redundant"].value == 8 / 40


def test_need_figures_as_counted() -> None:
    need = table(cells(TABLE)).overall.need[0]
    assert need.counting == "first answer"
    assert need.need.raw.value == 19 / 40
    assert need.redundant_rate.raw.value == 8 / 20
    assert need.redundant_share.raw.value == 8 / 40
    assert need.precision.raw.value == 12 / 20
    assert need.recall.raw.value == pytest.approx(12 / 19)
    assert need.f1.raw.value == pytest.approx(2 * 12 / (20 + 19))
    assert (need.precision.raw.count, need.precision.raw.n) == (12, 20)
    assert (need.redundant_rate.raw.count, need.recall.raw.n, need.f1.raw.count) == (8, 19, None)


def test_need_figures_corrected_for_chance() -> None:
    # a wrong guess among four stands for 4/3 samples in need
    need = table(cells(TABLE)).overall.need[0]
    assert need.correction == "guessing among 4 options"
    assert need.need.corrected.value == pytest.approx(19 * 4 / 3 / 40)
    assert need.precision.corrected.value == pytest.approx(12 * 4 / 3 / 20)
    assert need.redundant_rate.corrected.value == pytest.approx(1 - 12 * 4 / 3 / 20)
    assert need.redundant_share.corrected.value == pytest.approx((20 - 16) / 40)
    assert need.recall.corrected.value == pytest.approx(need.recall.raw.value)
    assert need.f1.corrected.value == pytest.approx(2 * 16 / (20 + 19 * 4 / 3))


def test_with_one_number_of_options_the_correction_is_that_of_the_statistics() -> None:
    right = [7, 1, 12, 1]
    without = [True] * sum(right) + [False] * 19
    need = table(cells(TABLE)).overall.need[0]
    expected = chance_corrected(without, [0.25] * 40)
    corrected = need.need.corrected
    assert corrected.value == pytest.approx(1 - expected.value)
    assert (corrected.low, corrected.high) == pytest.approx((1 - expected.interval.high, 1 - expected.interval.low))
    of_called = chance_corrected([True] * 8 + [False] * 12, [0.25] * 20)
    rate = need.redundant_rate.corrected
    assert (rate.value, rate.low, rate.high) == pytest.approx((of_called.value, *of_called.interval))


def test_raw_figures_have_the_intervals_of_the_statistics() -> None:
    found = table(cells(TABLE)).overall
    raw = found.need[0].precision.raw
    assert (raw.low, raw.high) == pytest.approx(share([1] * 12 + [0] * 8).interval)
    new = [with_ for (_, with_, _), count in TABLE.items() for _ in range(count)]
    old = [without for (_, _, without), count in TABLE.items() for _ in range(count)]
    expected = paired_difference(new, old)
    assert found.difference.raw.value == pytest.approx((11 - 2) / 40)
    assert (found.difference.raw.low, found.difference.raw.high) == tuple(expected.interval)
    assert (found.difference.p_value, found.difference.test) == (expected.p_value, "mcnemar:mid-p")
    assert found.difference.corrected.value == pytest.approx((11 - 2) / 40 * 4 / 3)


def test_clusters_widen_the_intervals_and_take_the_test_for_clusters() -> None:
    alone = [r for i in range(40) for r in pair(i, called=i % 2 == 0, with_=True, without=i % 4 == 0)]
    tied = [
        r for i in range(40) for r in pair(i, called=i % 2 == 0, with_=True, without=i % 4 == 0, cluster=str(i % 4))
    ]
    one, other = table(alone).overall, table(tied).overall
    assert one.need[0].need.raw.value == other.need[0].need.raw.value
    assert width(other.need[0].need.raw) > width(one.need[0].need.raw)
    assert other.difference.test == "cluster_mcnemar:mid-p"


def width(figure: Figure) -> float:
    assert figure.low is not None
    assert figure.high is not None
    return figure.high - figure.low


def test_free_form_answers_need_no_correction() -> None:
    need = table(cells(TABLE, options=0)).overall.need[0]
    assert need.correction.startswith("none needed")
    for name in ("need", "redundant_rate", "redundant_share", "precision", "recall", "f1"):
        both = getattr(need, name)
        assert both.raw.value == both.corrected.value
        assert (both.raw.low, both.raw.high) == pytest.approx((both.corrected.low, both.corrected.high))


def test_each_row_is_corrected_by_its_own_number_of_options() -> None:
    rows: list[Record] = []
    for i, (options, without) in enumerate([(2, True), (2, False), (4, True), (4, False), (0, True), (0, False)]):
        rows += pair(i, called=True, with_=True, without=without, options=options)
    need = table(rows).overall.need[0]
    assert need.correction == "guessing among 2 to 4 options, none for free-form answers"
    # in need: 2 for the wrong one of two options, 4/3 for that of four, 1 for the free one
    assert need.need.corrected.value == pytest.approx((2 + 4 / 3 + 1) / 6)
    assert need.redundant_rate.corrected.value == pytest.approx(1 - (2 + 4 / 3 + 1) / 6)


def test_a_sample_without_an_answer_has_no_lucky_counterpart() -> None:
    rows = [record(0, RIGHT, calls=1), record(0, NO_ANSWER, arm="direct"), record(1, RIGHT, calls=1)]
    rows += [record(1, RIGHT, arm="direct"), record(2, RIGHT, calls=1), record(2, WRONG, arm="direct")]
    need = table(rows).overall.need[0]
    assert need.need.raw.value == pytest.approx(2 / 3)
    assert need.need.corrected.value == pytest.approx((1 + 4 / 3) / 3)


def test_a_single_option_cannot_be_corrected_and_says_which_sample() -> None:
    found = table(pair("lone", called=True, with_=True, without=True, options=1)).overall
    assert found.need[0].redundant_rate.raw.value == 1
    assert found.need[0].redundant_rate.corrected.why == "sample lone has one option only"
    assert found.difference.corrected.why == "a sample has one option only"


def test_below_chance_is_said_and_has_no_interval_of_zero_width() -> None:
    rows = [r for i in range(400) for r in pair(i, called=True, with_=True, without=i < 4)]
    corrected = table(rows).overall.need[0].redundant_rate.corrected
    assert corrected.value == 0
    assert corrected.low is None
    assert "fewer are right than guessing gives" in corrected.why


class TestNobodyWasLucky:
    """Small tables in which no guess was right: the weights' spread says nothing of luck."""

    NAMES = ("need", "redundant_rate", "redundant_share", "precision", "recall", "f1")

    def test_redundant_of_all_is_the_rate_of_the_called_times_how_many_called(self) -> None:
        rows = [r for i in range(20) for r in pair(i, called=i < 5, with_=True, without=i >= 5)]
        need = table(rows).overall.need[0]
        rate, of_all = need.redundant_rate.corrected, need.redundant_share.corrected
        assert (rate.value, rate.low) == (of_all.value, of_all.low) == (0, 0)
        assert rate.high == pytest.approx(0.246, abs=5e-4)
        assert of_all.high == pytest.approx((rate.high or 0) * 5 / 20)
        assert (of_all.n, of_all.why) == (20, "")

    def test_with_mixed_numbers_of_options_it_is_the_counts_interval_scaled(self) -> None:
        rows = [r for i in range(6) for r in pair(i, called=True, with_=True, without=False, options=4 + i % 2)]
        need = table(rows).overall.need[0]
        counted = share([1] * 6).interval.low
        assert [getattr(need, name).corrected.why for name in self.NAMES] == [""] * 6
        mean_weight = (4 / 3 + 5 / 4) / 2
        assert need.need.corrected.low == pytest.approx(counted * mean_weight)
        assert need.redundant_rate.corrected.high == pytest.approx(1 - counted * mean_weight)
        assert need.redundant_share.corrected == need.redundant_rate.corrected
        assert need.f1.corrected.low == pytest.approx(counted * 2 * mean_weight / (1 + mean_weight))

    def test_equal_weights_and_nearly_equal_ones_agree(self) -> None:
        def high(options: tuple[int, int]) -> float:
            rows = [
                r for i in range(6) for r in pair(i, called=True, with_=True, without=False, options=options[i % 2])
            ]
            return table(rows).overall.need[0].redundant_rate.corrected.high or 0.0

        assert high((5, 5)) > high((4, 5)) > high((4, 4)) == pytest.approx(0.187, abs=5e-4)

    def test_answers_that_are_missing_do_not_narrow_the_interval(self) -> None:
        rows = [record(i, RIGHT, calls=1) for i in range(4)]
        rows += [record(i, WRONG if i < 2 else NO_ANSWER, arm="direct") for i in range(4)]
        need = table(rows).overall.need[0]
        for figure in (need.redundant_rate.corrected, need.redundant_share.corrected):
            assert (figure.value, figure.low) == (0, 0)
            assert figure.high == pytest.approx(1 - share([1] * 4).interval.low * (2 * 4 / 3 + 2) / 4)

    def test_the_difference_too(self) -> None:
        rows = [r for i in range(10) for r in pair(i, called=True, with_=True, without=False, options=4 + i % 2)]
        change = table(rows).overall.difference
        assert change.raw.low is not None
        assert (change.corrected.value, change.corrected.high, change.corrected.why) == (1, 1, "")
        assert change.corrected.low == pytest.approx((4 / 3 + 5 / 4) / 2 - (1 - change.raw.low) * 4 / 3)

    def test_all_right_with_tools_and_none_answered_without(self) -> None:
        rows = [record(i, RIGHT, calls=1) for i in range(10)]
        rows += [record(i, NO_ANSWER, arm="direct") for i in range(10)]
        change = table(rows).overall.difference
        assert change.raw.low is not None
        assert (change.corrected.value, change.corrected.high) == (1, 1)
        assert change.corrected.low == pytest.approx(1 - (1 - change.raw.low) * 4 / 3)

    @pytest.mark.parametrize("options", [(4, 4), (4, 5)])
    def test_none_of_many_is_fewer_than_chance_explains_and_none_of_few_is_not(self, options: tuple[int, int]) -> None:
        for n, said in ((12, False), (24, True)):
            rows = [
                r for i in range(n) for r in pair(i, called=True, with_=True, without=False, options=options[i % 2])
            ]
            found = table(rows).overall
            figures = [getattr(found.need[0], name).corrected for name in self.NAMES if name not in ("recall", "f1")]
            for figure in figures:
                assert ("fewer are right" in figure.why) == said
                assert (figure.low is None) == said
                assert said or width(figure) > 0

    def test_a_difference_beyond_what_it_can_be_is_no_certainty(self) -> None:
        few = [r for i in range(10) for r in pair(i, called=True, with_=True, without=False)]
        many = [r for i in range(60) for r in pair(i, called=True, with_=True, without=False)]
        assert width(table(few).overall.difference.corrected) > 0
        corrected = table(many).overall.difference.corrected
        assert (corrected.value, corrected.low) == (1, None)
        assert "fewer are right" in corrected.why

    def test_the_one_sided_interval_ends_where_so_few_right_are_still_likely(self) -> None:
        # 12 wrong of 12: with a share x that guesses, that has chance (3/4 x) to the 12
        rows = [r for i in range(12) for r in pair(i, called=True, with_=True, without=False)]
        need = table(rows).overall.need[0].need.corrected
        assert (need.value, need.high, need.method) == (1, 1, "exact")
        assert need.low == pytest.approx(0.025 ** (1 / 12) / 0.75)

    def test_in_clusters_of_samples_a_cluster_is_one_guess(self) -> None:
        rows = [r for i in range(40) for r in pair(i, called=True, with_=True, without=False, cluster=str(i % 5))]
        need = table(rows).overall.need[0]
        assert need.need.corrected.why == ""
        assert width(need.need.corrected) > 0.1

    def test_forced_answers_too(self) -> None:
        rows = [r for i in range(6) for r in pair(i, called=False, with_=False, without=False, options=4 + i % 2)]
        rows += [record(i, WRONG, arm="forced", calls=1, options=4 + i % 2) for i in range(6)]
        corrected = table(rows).overall.missed_rate.corrected
        assert (corrected.value, corrected.low, corrected.why) == (0, 0, "")
        assert width(corrected) > 0.1


def test_a_thousand_pairs_have_the_interval_of_their_own_spread() -> None:
    # (called, right with, right without): calls where they are needed, and everywhere
    nano = {(True, True, True): 130, (True, True, False): 368, (False, True, True): 502}
    sft = {(True, True, True): 629, (True, True, False): 371}
    for counts, expected in ((nano, (0.0073, 0, 0.0330)), (sft, (0.5053, 0.4648, 0.5445))):
        found = table(cells(counts)).overall.need[0].redundant_share.corrected
        assert (found.value, found.low, found.high) == pytest.approx(expected, abs=6e-5)


class TestTheForcedArm:
    """What a call would have done where none was made."""

    WRONG_AND_SILENT = (3, 4, 5, 6)

    def rows(self) -> list[Record]:
        made = [r for i in range(3) for r in pair(i, called=i == 0, with_=True, without=False)]
        return made + [r for i in self.WRONG_AND_SILENT for r in pair(i, called=False, with_=False, without=False)]

    def test_without_it_nobody_knows_what_was_missed(self) -> None:
        found = table(self.rows()).overall
        assert found.shares["missed"].value is None
        assert found.shares["missed"].why == "the forced arm was not run"
        assert found.missed_rate.raw.why == "the forced arm was not run"

    def test_it_counts_those_that_a_call_makes_right(self) -> None:
        forced = [record(i, RIGHT if i < 6 else WRONG, arm="forced", calls=1) for i in range(7)]
        found = table([*self.rows(), *forced]).overall
        assert (found.shares["missed"].count, found.shares["missed"].n) == (3, 7)
        assert (found.missed_rate.raw.value, found.missed_rate.raw.n) == (3 / 4, 4)
        assert found.missed_rate.corrected.value == pytest.approx((3 / 4 - 1 / 4) / (3 / 4))

    def test_one_that_did_not_call_all_the_same_tells_nothing(self) -> None:
        forced = [record(i, RIGHT, arm="forced", calls=int(i != 4)) for i in range(7)]
        found = table([*self.rows(), *forced])
        assert found.not_forced == 1
        assert found.overall.shares["missed"].value is None
        assert found.overall.shares["missed"].why.startswith("1 of 4 pairs")
        assert (found.overall.missed_rate.raw.value, found.overall.missed_rate.raw.n) == (1, 3)

    def test_half_finished_or_failed_it_still_gives_the_rate(self) -> None:
        forced = [record(3, RIGHT, arm="forced", calls=1), record(4, ERROR, arm="forced", calls=1)]
        found = table([*self.rows(), *forced]).overall
        assert (found.missed_rate.raw.value, found.missed_rate.raw.n) == (1, 1)
        assert found.shares["missed"].value is None

    def test_where_nothing_was_wrong_without_a_call_nothing_was_missed(self) -> None:
        found = table(pair(0, called=False, with_=True, without=True)).overall
        assert found.shares["missed"].value == 0
        assert found.missed_rate.raw.why == "no pair was wrong without a call"


class TestSeveralDraws:
    """k answers without tools."""

    def rows(self, draws: int = 4) -> list[Record]:
        # right of the draws: 4, 3, 0, 0; the third and fourth answer was no answer once
        made = [record(i, RIGHT, calls=int(i % 2 == 0)) for i in range(4)]
        right = {0: "rrrr", 1: "wrrr", 2: "wwww", 3: "nwww"}
        verdict = {"r": RIGHT, "w": WRONG, "n": NO_ANSWER}
        for i, letters in right.items():
            made += [record(i, verdict[x], arm="direct", repeat=k) for k, x in enumerate(letters[:draws])]
        return made

    def test_mean_all_and_any(self) -> None:
        first, mean, all_, any_ = table(self.rows()).overall.need
        assert [n.counting for n in (first, mean, all_, any_)] == ["first answer", "mean of 4", "4 of 4", "pass@4"]
        assert first.need.raw.value == 3 / 4
        assert mean.need.raw.value == 9 / 16
        assert all_.need.raw.value == 3 / 4
        assert any_.need.raw.value == 2 / 4
        assert mean.redundant_rate.raw.value == 4 / 8
        assert all_.redundant_rate.raw.value == 1 / 2
        assert any_.redundant_rate.raw.value == 1 / 2

    def test_each_with_its_own_chance_of_luck(self) -> None:
        _, mean, all_, any_ = table(self.rows()).overall.need
        # 8 wrong answers among four options and one without an answer, of 16
        assert mean.need.corrected.value == pytest.approx((8 * 4 / 3 + 1) / 16)
        # all four right by luck: 1/256, and 0 where an answer is missing
        assert all_.need.corrected.value == pytest.approx((2 / (1 - 1 / 256) + 1) / 4)
        # four wrong guesses have chance (3/4)^4, three of them (3/4)^3; more than all pairs together
        assert any_.need.corrected.value == 1
        assert any_.need.corrected.high == 1

    def test_with_all_answers_given_they_are_the_statistics_own(self) -> None:
        wins = [4, 4, 4, 3, 1, 0, 2, 4, 4, 3]
        rows = [record(i, RIGHT, calls=1) for i in range(10)]
        for i, right in enumerate(wins):
            rows += [record(i, RIGHT if k < right else WRONG, arm="direct", repeat=k) for k in range(4)]
        _, mean, all_, any_ = table(rows).overall.need
        for figures, rule in ((mean, "mean"), (all_, "all"), (any_, "any")):
            expected = solvable_share(wins, [4] * 10, [4] * 10, rule=rule)  # type: ignore[arg-type]
            found = figures.redundant_rate.corrected
            assert found.value == pytest.approx(expected.value)
            assert (found.low, found.high) == pytest.approx(tuple(expected.interval))

    def test_answers_that_never_differ_are_no_independent_guesses(self) -> None:
        rows = [record(i, RIGHT, calls=1) for i in range(4)]
        rows += [record(i, RIGHT if i < 2 else WRONG, arm="direct", repeat=k) for i in range(4) for k in range(3)]
        _, mean, all_, any_ = table(rows).overall.need
        assert mean.need.corrected.value == pytest.approx(2 / 3)
        assert "not independent" in all_.need.corrected.why
        assert "not independent" in any_.correction
        assert any_.need.raw.value == 0.5

    def test_one_answer_that_differs_shows_that_they_are_no_copies(self) -> None:
        rows = [record(i, RIGHT, calls=1) for i in range(4)]
        rows += [record(i, RIGHT if i < 2 else WRONG, arm="direct", repeat=k) for i in range(4) for k in range(3)]
        rows[-1] = record(3, WRONG, arm="direct", repeat=2, answer="another wrong one")
        any_ = table(rows).overall.need[3]
        assert any_.correction == "guessing among 4 options"
        assert any_.need.corrected.value is not None

    def test_where_no_pair_has_all_draws_that_is_the_reason(self) -> None:
        rows = [record(i, RIGHT, calls=1) for i in range(3)]
        rows += [record(i, WRONG, arm="direct", repeat=k) for i in range(3) for k in range(2)]
        rows += [record(0, RIGHT, arm="direct", repeat=4)]
        found = table(rows)
        first, *more = found.overall.need
        why = "no pair has all 5 scored answers without tools"
        assert first.need.raw.value == 1
        assert [figures.counting for figures in more] == ["mean of 5", "5 of 5", "pass@5"]
        assert {figures.need.corrected.why for figures in more} == {figures.f1.raw.why for figures in more} == {why}
        reasons = [note for note in need_notes(found) if "because" in note]
        assert reasons == [f"all by mean of 5, all by 5 of 5, all by pass@5: not available, because {why}"]

    def test_a_reason_names_the_way_of_counting(self) -> None:
        rows = [record(i, RIGHT) for i in range(3)]
        rows += [record(i, RIGHT if k else WRONG, arm="direct", repeat=k) for i in range(3) for k in range(2)]
        note = next(note for note in need_notes(table(rows)) if "no pair called a tool" in note)
        assert note.startswith(
            "redundant of called pairs, precision of calling, redundant of called pairs, by mean of 2"
        )

    def test_draws_apart_that_have_not_begun_have_no_rows(self) -> None:
        found = table(self.rows(draws=1), drawn_apart=True)
        assert [figures.counting for figures in found.overall.need] == ["first answer"]
        assert not any("by mean" in row.name for row in need_rows(found))

    def test_pairs_with_too_few_scored_draws_are_left_out_and_counted(self) -> None:
        rows = self.rows()
        rows[-1] = record(3, ERROR, arm="direct", repeat=3)
        found = table(rows)
        assert found.incomplete == 1
        assert found.overall.pairs == 4
        assert found.overall.need[0].need.raw.n == 4
        assert found.overall.need[3].need.raw.n == 3

    def test_draws_at_a_temperature_of_their_own_leave_the_first_answer_out(self) -> None:
        found = table(self.rows(), drawn_apart=True).overall
        assert [n.counting for n in found.need] == ["first answer", "mean of 3", "3 of 3", "pass@3"]
        assert found.need[2].need.raw.value == 2 / 4
        single = table(self.rows(draws=2), drawn_apart=True).overall
        assert [n.counting for n in single.need] == ["first answer", "mean of 1"]


def test_what_makes_no_pair_is_left_out_and_said() -> None:
    rows = [
        *pair("whole", called=True, with_=True, without=False),
        record("agent only", RIGHT),
        record("direct only", RIGHT, arm="direct"),
        record("broken", ERROR),
        record("broken", RIGHT, arm="direct"),
        record("broken too", RIGHT),
        record("broken too", ERROR, arm="direct"),
        record("table", RIGHT, partial=True),
        record("table", RIGHT, arm="direct"),
        record("whole", WRONG, repeat=1),
        record("whole", WRONG, arm="isolated"),
    ]
    found = table(rows)
    assert found.overall.pairs == 1
    assert found.left_out == {
        "no trajectory without tools": 1,
        "no trajectory with tools": 1,
        "an error with tools": 1,
        "an error without tools": 1,
        "calls not known: only the last response is recorded": 1,
    }
    assert "left out: 1 x an error without tools" in need_notes(found)


def test_an_arm_that_has_only_just_begun_gives_reasons_and_no_figures() -> None:
    found = table([record(0, RIGHT), record(1, RIGHT, arm="direct")])
    assert found.overall.pairs == 0
    assert found.overall.difference.raw.why == "there is no pair"
    assert found.overall.need[0].need.raw.why == "there is no pair"
    assert need_notes(found)[0] == "there is no pair"
    assert all(row.raw == "not available" for row in need_rows(found))


def test_a_call_that_is_emitted_without_tools_is_no_call_and_is_counted() -> None:
    rows = [record(0, RIGHT, calls=1), record(0, NO_ANSWER, arm="direct", not_run=1)]
    found = table(rows)
    assert found.asked_anyway == 1
    assert found.overall.called.gain == 1
    quiet = table([record(0, RIGHT, not_run=1), record(0, RIGHT, arm="direct")])
    assert quiet.overall.abstained.kept == 1


def test_no_calls_at_all() -> None:
    found = table([r for i in range(9) for r in pair(i, called=False, with_=i % 2 == 0, without=i % 2 == 0)])
    need = found.overall.need[0]
    assert need.precision.raw.why == need.redundant_rate.corrected.why == "no pair called a tool"
    assert (need.recall.raw.value, need.f1.raw.value) == (0, 0)
    assert (need.redundant_share.raw.value, need.redundant_share.corrected.value) == (0, 0)
    assert any("because no pair called a tool" in note for note in need_notes(found))


def test_all_right_on_both_sides() -> None:
    need = table([r for i in range(9) for r in pair(i, called=True, with_=True, without=True)]).overall.need[0]
    assert need.need.raw.value == 0
    assert need.redundant_rate.corrected.value == 1
    assert need.recall.raw.why == "no pair was wrong without tools"
    assert need.f1.raw.value == 0


def test_all_wrong_on_both_sides() -> None:
    found = table([r for i in range(9) for r in pair(i, called=True, with_=False, without=False)]).overall
    assert found.shares["futile"].value == 1
    assert found.need[0].precision.raw.value == 1
    assert found.difference.raw.value == 0
    assert found.difference.p_value == 1


def test_one_cluster_has_values_and_no_intervals() -> None:
    rows = [r for i in range(4) for r in pair(i, called=True, with_=True, without=i < 2, cluster="board")]
    found = table(rows)
    raw = found.overall.need[0].precision.raw
    assert (raw.value, raw.low, raw.why) == (0.5, None, "all samples belong to one cluster")
    assert found.overall.difference.raw.value == 0.5
    assert any("its interval is not available" in note for note in need_notes(found))


def test_categories_have_tables_of_their_own_where_there_are_several() -> None:
    rows = [r for i in range(4) for r in pair(i, called=True, with_=True, without=False, category="hard")]
    assert table(rows).by_category == {}
    rows += [r for i in range(4, 9) for r in pair(i, called=False, with_=True, without=True, category="easy")]
    found = table(rows)
    assert list(found.by_category) == ["easy", "hard"]
    assert sum(one.pairs for one in found.by_category.values()) == found.overall.pairs == 9
    assert found.by_category["hard"].need[0].recall.raw.value == 1


def test_the_official_rule_pairs_by_its_own_verdicts() -> None:
    rows = [record(0, WRONG, calls=1, official=True), record(0, WRONG, arm="direct", official=False)]
    assert table(rows).overall.called.lost == 1
    found = counterfactual(rows, Rule.OFFICIAL)
    assert found is not None
    assert found.overall.called.gain == 1


def test_the_printed_table_adds_up() -> None:
    rows = cell_rows(table(cells(TABLE)).overall)
    assert [row.name for row in rows][::3] == ["called", "did not call", "all"]
    assert rows[0][1:] == ("8 redundant", "12 needed", "20")
    assert rows[1][1:] == ("7", "9 gain", "16")
    assert rows[2][1:] == ("1 harm", "3 futile", "4")
    assert rows[3][1:] == ("13", "7", "20")
    assert rows[4][1:] == ("12", "2 gain", "14 abstained well")
    assert rows[5][1:] == ("1 harm", "5", "6")
    assert rows[6][1:] == ("21", "19", "40")


def test_the_table_is_stored_and_read_back() -> None:
    found = table(cells(TABLE))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Counterfactual) == found


class Plain(Task):
    """A task without figures of its own."""

    name = "plain"

    def samples(self) -> Iterable[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Outcome:
        return Outcome(verdict=WRONG)


def test_a_runs_summary_and_report_have_the_table_only_where_there_are_two_arms() -> None:
    info = RunInfo(evalkit="0", created="", config={"model": {"name": "m"}}, config_hash="", expected_rows=40)
    both = cells(TABLE)
    for records in (both, [one for one in both if one.arm == "agent"]):
        summary = summarise(Plain(DataSource(kind="sample"), Path()), "m", 40, records)
        report = run_markdown(info, summary)
        there = records is both
        assert (summary.need is not None) == ("## Did it need its tools?" in report) == there
        assert ("| redundant of called pairs | 40.0% \\[21.9, 61.3\\] |" in report) == there
        assert (summary.done, summary.accuracy.n) == (40, 40)
        assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary
        assert [row.name for row in figure_rows(summary) if "0 calls" in row.name] == ["accuracy within 0 calls"]


pairs_drawn = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from([RIGHT, WRONG, NO_ANSWER, ERROR]),
        st.sampled_from([RIGHT, WRONG, NO_ANSWER, ERROR]),
        st.sampled_from([None, RIGHT, WRONG, ERROR]),
        st.sampled_from([0, 1, 2, 4]),
        st.sampled_from(["", "a", "b"]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(pairs_drawn)
def test_cells_sum_to_pairs_and_every_figure_is_a_share_or_has_a_reason(drawn: list[tuple[object, ...]]) -> None:
    rows: list[Record] = []
    for i, (called, with_, without, forced, options, cluster) in enumerate(drawn):
        more = {"options": options, "cluster": cluster, "category": str(i % 2)}
        rows.append(record(i, with_, calls=int(bool(called)), **more))  # type: ignore[arg-type]
        rows.append(record(i, without, arm="direct", **more))  # type: ignore[arg-type]
        if forced is not None:
            rows.append(record(i, forced, arm="forced", calls=1, **more))  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = table(rows)
        need_tables(found)
    assert found.overall.pairs + sum(found.left_out.values()) == len(drawn)
    for one in (found.overall, *found.by_category.values()):
        assert one.called.n + one.abstained.n == one.pairs
        need = one.need[0]
        figures = [*one.shares.values(), one.missed_rate.raw, one.missed_rate.corrected]
        for name in ("need", "redundant_rate", "redundant_share", "precision", "recall", "f1"):
            figures += [getattr(need, name).raw, getattr(need, name).corrected]
        assert all(sound(figure, 0) for figure in figures)
        assert sound(one.difference.raw, -1)
        assert sound(one.difference.corrected, -1)
        if need.precision.raw.value is not None:
            assert need.redundant_rate.raw.value == pytest.approx(1 - need.precision.raw.value)


def sound(figure: Figure, lowest: int) -> bool:
    """A value with its interval around it, or a reason."""
    if figure.value is None or figure.low is None or figure.high is None:
        return bool(figure.why) and (figure.value is None or lowest <= figure.value <= 1)
    slack = 1e-9
    return lowest <= figure.low <= figure.value + slack and figure.value <= figure.high + slack <= 1 + 2 * slack


def test_every_combination_of_a_single_pair() -> None:
    for called, with_, without, options in product((True, False), (True, False), (True, False), (0, 1, 2, 4)):
        found = table(pair(0, called=called, with_=with_, without=without, options=options))
        assert found.overall.pairs == found.overall.called.n + found.overall.abstained.n == 1
        assert need_tables(found) is not None
