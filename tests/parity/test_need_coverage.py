"""The corrected need figures in worlds where the true need is known: how often the interval holds it.

The worlds are small here and large behind `python benchmarks/need.py`.
"""

from __future__ import annotations

import pytest

from benchmarks.need import SMALL, WORLDS, coverage

TRIALS = 200
LOWEST = 0.91
"""Below 95 % by two and a half standard errors of the simulation."""
LOWEST_SMALL = 0.89
"""The lowest of 1,000 runs each is 91.8 %: redundant of called pairs, 20 samples with mixed numbers of options."""


@pytest.mark.parametrize("name", [name for name in WORLDS if "few calls" not in name])
def test_the_true_need_lies_in_the_interval_as_often_as_it_says(name: str) -> None:
    held = {found.figure: found for found in coverage(WORLDS[name], TRIALS, seed=7)}
    assert {figure: one.corrected for figure, one in held.items() if one.corrected < LOWEST * TRIALS} == {}
    # as counted, lucky guesses pass for waste: an interval that ignores them is wrong most of the time
    assert held["redundant_rate"].raw < 0.5 * TRIALS
    assert held["need"].raw < 0.5 * TRIALS


@pytest.mark.parametrize("name", SMALL)
def test_so_it_does_in_small_runs_where_often_nobody_is_lucky(name: str) -> None:
    held = list(coverage(SMALL[name], 2 * TRIALS, seed=7))
    assert {one.figure: one for one in held if one.corrected < LOWEST_SMALL * one.trials} == {}
    # a model that does guess is said to do worse than guessing at most as often as an end of the interval is wrong
    assert {one.figure: one for one in held if one.accused > 0.05 * one.trials} == {}
