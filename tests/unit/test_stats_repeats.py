"""Several answers to one sample, and what is left of a score when lucky guesses are taken out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import stats


@pytest.mark.parametrize(("c", "n", "k"), [(0, 5, 2), (5, 5, 2), (2, 5, 1), (2, 5, 3), (1, 8, 8), (3, 6, 4), (4, 5, 2)])
def test_pass_at_k_is_the_share_of_choices_of_k_with_a_right_one(c: int, n: int, k: int) -> None:
    answers = [True] * c + [False] * (n - c)
    chosen = list(itertools.combinations(answers, k))
    assert stats.pass_at_k([c], [n], k)[0] == pytest.approx(sum(map(any, chosen)) / len(chosen))
    assert stats.all_of_k([c], [n], k)[0] == pytest.approx(sum(map(all, chosen)) / len(chosen))


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 200)), min_size=1, max_size=20))
def test_more_tries_never_hurt_and_all_right_never_gets_easier(rows: list[tuple[int, int]]) -> None:
    n = np.array([repeats for _, repeats in rows])
    c = np.minimum([right for right, _ in rows], n)
    once, ks = c / n, range(1, int(n.min()) + 1, max(1, int(n.min()) // 5))
    at_least, every = [stats.pass_at_k(c, n, k) for k in ks], [stats.all_of_k(c, n, k) for k in ks]
    assert at_least[0] == pytest.approx(once)
    assert every[0] == pytest.approx(once)
    for before, after in itertools.pairwise(at_least):
        assert np.all(after >= before - 1e-12)
    for before, after in itertools.pairwise(every):
        assert np.all(after <= before + 1e-12)
    assert np.all((np.array(at_least) >= 0) & (np.array(at_least) <= 1))


def test_large_numbers_of_answers_neither_overflow_nor_round_to_nothing() -> None:
    assert stats.pass_at_k([1], [100_000], 50_000)[0] == pytest.approx(0.5)


def test_a_tie_is_no_majority() -> None:
    assert stats.majority_right([3, 2, 1, 0], [4, 4, 1, 3]).tolist() == [True, False, True, False]
    assert stats.majority(["A", "B", "A"]) == "A"
    assert stats.majority(["A", "B", "A", "B"]) is None
    assert stats.majority([]) is None


def test_consistency_is_the_share_of_pairs_that_agree() -> None:
    answers = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    expected = np.mean([np.mean([a == b for a, b in itertools.combinations(row, 2)]) for row in answers])
    assert stats.consistency([sum(row) for row in answers], [4, 4, 4]) == pytest.approx(expected)


def test_the_variance_split_is_the_one_of_a_hand_computed_table() -> None:
    # Three samples, two answers each, 2, 1 and 0 right. Mean squares: between (2 * (0.25 + 0 + 0.25)) / 2 = 0.5,
    # within 0.5 / 3 = 1/6; so between = (1/2 - 1/6) / 2 = 1/6 and the correlation is one half.
    found = stats.variance_split([2, 1, 0], [2, 2, 2])
    assert (found.between, found.within, found.correlation) == pytest.approx((1 / 6, 1 / 6, 0.5))
    assert (found.groups, found.repeats) == (3, 2)
    assert found.standard_error(3, 2) == pytest.approx(math.sqrt((1 / 6 + 1 / 12) / 3))


def test_the_variance_split_has_scipys_f_ratio_with_unequal_repeats() -> None:
    rng = np.random.default_rng(3)
    n = rng.integers(2, 9, 25)
    c = rng.binomial(n, rng.beta(1, 1, 25))
    rows = [np.repeat([1.0, 0.0], [right, repeats - right]) for right, repeats in zip(c, n, strict=True)]
    found = stats.variance_split(c, n)
    ratio = (found.repeats * found.between + found.within) / found.within
    assert ratio == pytest.approx(scipy.stats.f_oneway(*rows).statistic)
    assert found.within == pytest.approx(sum(((r - r.mean()) ** 2).sum() for r in rows) / (n.sum() - 25))
    labels = np.repeat(np.arange(25), n)
    assert stats.intraclass_correlation(np.concatenate(rows), labels) == pytest.approx(found.correlation)


def test_answers_drawn_with_one_chance_have_no_variance_between_samples() -> None:
    rng = np.random.default_rng(4)
    found = stats.variance_split(rng.binomial(8, 0.6, 4000), np.full(4000, 8))
    assert found.correlation == pytest.approx(0, abs=0.01)
    assert found.within == pytest.approx(0.24, abs=0.01)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=15))
def test_the_split_is_never_negative_or_says_why_there_is_none(rows: list[tuple[int, int]]) -> None:
    n = [repeats for _, repeats in rows]
    right = [min(row) for row in rows]
    if len(n) < 2 or max(n) < 2 or sum(right) in (0, sum(n)):
        with pytest.raises(stats.StatsUnavailable):
            stats.variance_split(right, n)
        return
    found = stats.variance_split(right, n)
    assert found.between >= 0
    assert found.within >= 0
    assert found.correlation <= 1


def test_the_correction_for_guessing_by_hand() -> None:
    # 20 items of 4 options, 14 right: the 6 wrong are three quarters of 8 guessed, so 12 were known.
    assert stats.correct_for_guessing(14 / 20, 0.25) == pytest.approx(12 / 20)
    assert stats.correct_for_guessing(0.25, 0.25) == 0
    assert stats.correct_for_guessing(0.1, 0.25) < 0
    found = stats.chance_corrected(np.repeat([1, 0], [14, 6]), np.full(20, 0.25))
    low, high = stats.wilson(14, 20)
    assert found.value == found.raw == pytest.approx(0.6)
    assert found.interval == pytest.approx(((low - 0.25) / 0.75, (high - 0.25) / 0.75))
    assert (found.observed, found.chance, found.n) == (0.7, 0.25, 20)


def test_fewer_right_than_by_guessing_is_none_solved_and_the_raw_figure_stays() -> None:
    found = stats.chance_corrected(np.repeat([1, 0], [10, 90]), np.full(100, 0.25))
    assert found.value == 0
    assert found.raw == pytest.approx(-0.2)
    assert found.interval == (0, 0)


def test_open_questions_cannot_be_guessed() -> None:
    found = stats.solvable_share([1, 0, 1, 1], [1, 1, 1, 1], [math.inf] * 4)
    assert found.value == pytest.approx(0.75)
    assert found.chance == 0


@pytest.mark.parametrize("rule", ["mean", "all", "any"])
def test_when_every_success_is_lucky_the_interval_covers_nothing_solved(rule: str) -> None:
    rng = np.random.default_rng(11)
    right = rng.binomial(8, 0.25, 300)
    found = stats.solvable_share(right, np.full(300, 8), np.full(300, 4), rule=rule)  # type: ignore[arg-type]
    assert found.observed == pytest.approx(found.chance, abs=0.03)
    assert found.interval.low == 0
    assert found.n == 300


@pytest.mark.parametrize("rule", ["mean", "all", "any"])
def test_what_is_truly_solved_is_found_under_every_rule(rule: str) -> None:
    rng = np.random.default_rng(12)
    options = rng.integers(3, 6, 600)
    right = np.where(rng.random(600) < 0.4, 4, rng.binomial(4, 1 / options))
    found = stats.solvable_share(right, np.full(600, 4), options, rule=rule)  # type: ignore[arg-type]
    assert found.interval.low < 0.4 < found.interval.high
    assert found.interval.low > 0.25


def test_repeats_that_always_agree_count_as_one_answer() -> None:
    right = np.repeat([8, 0], [50, 50])
    repeated = stats.solvable_share(right, np.full(100, 8), np.full(100, 4))
    once = stats.solvable_share(right // 8, np.ones(100), np.full(100, 4))
    assert repeated.value == pytest.approx(once.value)
    assert repeated.interval == pytest.approx(once.interval, abs=0.005)


def test_with_many_tries_a_guesser_is_sure_to_be_right_once() -> None:
    with pytest.raises(stats.StatsUnavailable, match="guesser"):
        stats.solvable_share([60, 60], [60, 60], [2, 2], rule="any")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(2, 6)), min_size=2, max_size=30))
@settings(max_examples=50)
def test_corrected_shares_lie_in_their_interval(rows: list[tuple[int, int, int]]) -> None:
    n, options = [row[1] for row in rows], [row[2] for row in rows]
    right = [min(row[0], row[1]) for row in rows]
    for rule in ("mean", "all", "any"):
        found = stats.solvable_share(right, n, options, rule=rule)  # type: ignore[arg-type]
        assert 0 <= found.interval.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.interval.high <= 1
