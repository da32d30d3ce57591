"""Several rollouts of each sample: figures counted by hand."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import Record
from evalkit.analysis.rollouts import RolloutFigures, rollout_figures
from evalkit.reporting.repeats import rollout_rows
from evalkit.stats import consistency, pass_at_k, variance_split
from tests.arms import ERROR, NO_ANSWER, RIGHT, WRONG, record

VERDICTS = {"r": RIGHT, "w": WRONG, "n": NO_ANSWER, "e": ERROR}


def rollouts(*samples: str, arm: str = "agent") -> list[Record]:
    """Each text is a sample, each letter a rollout: right, wrong, no answer, error."""
    return [
        record(i, VERDICTS[letter], repeat=k, arm=arm)
        for i, text in enumerate(samples)
        for k, letter in enumerate(text)
    ]


def figures(records: list[Record]) -> RolloutFigures:
    found = rollout_figures(records)
    assert found is not None
    return found


def test_one_rollout_has_no_such_figures() -> None:
    assert rollout_figures(rollouts("r", "w")) is None
    assert rollout_figures([]) is None
    assert rollout_figures(rollouts("rw", arm="direct")) is None
    assert rollout_rows(None) == []


def test_mean_pass_and_all() -> None:
    found = figures(rollouts("rrrr", "rrww", "wwww"))
    assert found.repeats == 4
    assert found.mean.value == 6 / 12
    assert set(found.pass_at) == {1, 2, 4}
    assert found.pass_at[1].value == pytest.approx(6 / 12)
    assert found.pass_at[2].value == pytest.approx((1 + (1 - 1 / 6) + 0) / 3)
    assert found.pass_at[4].value == pytest.approx(2 / 3)
    assert found.all_of_k.value == pytest.approx(1 / 3)
    expected = pass_at_k([4, 2, 0], [4, 4, 4], 2)
    assert found.pass_at[2].value == pytest.approx(float(expected.mean()))


def test_two_answers_to_a_sample() -> None:
    found = figures(rollouts("rrrr", "rrww", "wwww"))
    assert found.consistency.value == pytest.approx((1 + 2 / 6 + 1) / 3)
    assert found.consistency.value == pytest.approx(consistency([4, 2, 0], [4, 4, 4]))
    rows = [record(0, WRONG, repeat=k, answer=text) for k, text in enumerate(["a", "b", "b"])]
    other = figures(rows)
    assert other.consistency.value == 1
    assert other.agreement.value == pytest.approx(1 / 3)


def test_the_majority_votes_on_answers_and_a_tie_is_none() -> None:
    rows = [record(0, RIGHT, repeat=0, answer="a")]
    rows += [record(0, WRONG, repeat=k, answer=text) for k, text in ((1, "b"), (2, "c"), (3, "d"), (4, "e"))]
    assert figures(rows).majority.value == 0
    assert figures(rows).ties == 1
    rows += [record(1, RIGHT, repeat=k, answer="a") for k in range(2)]
    rows += [record(1, WRONG, repeat=k, answer=str(k)) for k in range(2, 5)]
    found = figures(rows)
    # two of five are right, and the right answer is still the one most often given
    assert (found.majority.value, found.majority.n, found.ties) == (0.5, 2, 1)


def test_no_answer_is_no_vote() -> None:
    found = figures(rollouts("rnn", "nnn"))
    assert (found.majority.value, found.ties) == (0.5, 1)


def test_errors_leave_their_sample_with_fewer_answers() -> None:
    found = figures(rollouts("rrre", "wwww", "eeee"))
    assert (found.samples, found.short) == (2, 1)
    assert found.mean.value == 3 / 7
    assert (found.pass_at[2].n, found.pass_at[4].n) == (2, 1)
    assert (found.majority.n, found.all_of_k.n) == (1, 1)
    assert any(row.name == "samples with fewer answers" and row.value == "1" for row in rollout_rows(found))


def test_half_finished_repeats_give_what_they_can() -> None:
    records = [*rollouts("rr", "wr"), record(0, RIGHT, repeat=7)]
    found = figures(records)
    assert found.repeats == 8
    assert found.pass_at[2].value == pytest.approx((1 + 1) / 2)
    assert found.pass_at[8].why == "no sample has 8 scored answers"
    assert found.majority.why == "no sample has 8 scored answers"
    names = {row.name: row.value for row in rollout_rows(found)}
    assert names["pass@8"] == "not available, because no sample has 8 scored answers"


def test_variance_is_split_and_says_what_repeats_buy() -> None:
    found = figures(rollouts("rrrr", "rrww", "wwww", "rwww"))
    expected = variance_split([4, 2, 0, 1], [4, 4, 4, 4])
    assert (found.variation.between, found.variation.within) == (expected.between, expected.within)
    assert found.variation.error == expected.standard_error(4, 4)
    assert found.variation.error_once == expected.standard_error(4, 1)


@pytest.mark.parametrize("samples", [("rr", "rr"), ("ww",), ("nn", "nn", "nn"), ("ee", "ee")])
def test_answers_that_never_differ_have_no_variance_to_split(samples: tuple[str, ...]) -> None:
    found = figures(rollouts(*samples))
    assert found.variation.between is None
    assert found.variation.why
    assert any("not available, because" in row.value for row in rollout_rows(found))


def test_efficiency_is_over_right_rollouts_of_all_repeats() -> None:
    rows = [record(0, RIGHT, calls=1), record(0, RIGHT, calls=0, repeat=1), record(1, WRONG, calls=0)]
    rows += [record(1, RIGHT, calls=3, repeat=1), record(2, RIGHT, partial=True), record(2, WRONG, repeat=1)]
    found = figures(rows).efficiency
    assert found.value == pytest.approx((1 / 2 + 1 + 1 / 4) / 3)
    assert found.n == 3
    assert figures(rollouts("ww")).efficiency.why == "no rollout of which the calls are known is right"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("rwne", min_size=1, max_size=5), min_size=1, max_size=8))
def test_pass_never_falls_with_tries_and_every_figure_is_sound(samples: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rollout_figures(rollouts(*samples))
        rows = rollout_rows(found)
    if found is None:
        assert max(map(len, samples)) == 1
        return
    assert rows
    if not found.short:
        chances = [figure.value for figure in found.pass_at.values() if figure.value is not None]
        assert chances == pytest.approx(sorted(chances))
        if found.mean.value is not None:
            assert found.pass_at[1].value == pytest.approx(found.mean.value)
    for figure in (found.mean, found.all_of_k, found.majority, found.consistency, found.agreement, found.efficiency):
        assert figure.why if figure.value is None else 0 <= figure.value <= 1
