"""The intervals of a judge's figures cover, in worlds where the truth is known; larger in `benchmarks/judging.py`."""

from __future__ import annotations

from benchmarks import judging as worlds
from tests.parity.test_stats_coverage import misses

LOWEST, HIGHEST = 0.93, 0.97


def test_rogan_and_gladens_share_covers() -> None:
    assert misses(worlds.rogan_gladen_coverage(1500), LOWEST, HIGHEST) == []
    assert misses(worlds.rogan_gladen_coverage(800, n=60, labelled=(40, 30)), LOWEST, 0.99) == []


def test_accuracy_corrected_for_a_judge_covers() -> None:
    assert misses(worlds.judged_share_coverage(500), LOWEST, HIGHEST) == []


def test_accuracy_corrected_for_a_judge_covers_in_clusters() -> None:
    assert misses(worlds.judged_share_coverage(400, judged=[0.3], size=4), LOWEST, HIGHEST) == []


def test_kappa_covers() -> None:
    assert misses(worlds.kappa_coverage(1000), LOWEST, HIGHEST) == []
