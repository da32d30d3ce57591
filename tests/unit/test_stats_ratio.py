"""A ratio of two sums: where it is a share, the share's own interval; else what the parts give."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evalkit.stats import StatsUnavailable, cluster_robust, cluster_wilson, ratio, wilson

shares = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 6)), min_size=2, max_size=40)


@given(st.integers(1, 60), st.integers(0, 60))
def test_of_independent_counts_it_is_wilsons(n: int, right: int) -> None:
    right = min(right, n)
    found = ratio([1.0] * right + [0.0] * (n - right), [1.0] * n)
    assert found.value == pytest.approx(right / n)
    assert tuple(found.interval) == pytest.approx(tuple(wilson(right, n)), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(shares)
def test_of_a_part_of_the_samples_it_is_that_parts_cluster_wilson(rows: list[tuple[bool, bool, int]]) -> None:
    part = [(right, cluster) for right, inside, cluster in rows if inside]
    clusters = [cluster for _, cluster in part]
    if len(set(clusters)) < 2 or len(set(clusters)) == len(clusters):
        return
    found = ratio([float(r and i) for r, i, _ in rows], [float(i) for _, i, _ in rows], [c for *_, c in rows])
    expected = cluster_wilson([right for right, _ in part], clusters)
    assert found.value == pytest.approx(expected.value)
    assert tuple(found.interval) == pytest.approx(tuple(expected.interval), abs=1e-9)
    assert (found.n, found.clusters) == (len(part), len(set(clusters)))


def test_a_scale_moves_the_ratio_and_its_interval() -> None:
    above, below = np.array([0.0, 4 / 3, 4 / 3, 0, 4 / 3]), np.ones(5)
    found, plain = ratio(above, below, top=4 / 3), ratio(above * 3 / 4, below)
    assert found.value == pytest.approx(plain.value * 4 / 3)
    assert tuple(found.interval) == pytest.approx(tuple(end * 4 / 3 for end in plain.interval))


def test_its_standard_error_is_that_of_the_linearised_ratio() -> None:
    rng = np.random.default_rng(0)
    below = rng.uniform(0.5, 2, 400)
    above = below * (rng.random(400) < 0.3)
    found = ratio(above, below)
    residual = (above - found.value * below) / below.mean()
    # the two differ by the small-sample correction alone
    assert found.standard_error == pytest.approx(cluster_robust(residual, list(range(400))).standard_error, rel=0.02)


def test_the_interval_contains_the_value_and_stays_within_its_bounds() -> None:
    for above in ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [0.5, 1.0, 1.5]):
        found = ratio(above, [1.0, 2.0, 3.0])
        assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1


def test_one_sample_is_as_wide_as_wilsons() -> None:
    assert tuple(ratio([1.0], [2.0]).interval) == pytest.approx(tuple(ratio([1.0, 0.0], [2.0, 0.0]).interval))
    assert tuple(ratio([2.0], [2.0]).interval) == pytest.approx(tuple(wilson(1, 1)))


@pytest.mark.parametrize(
    ("above", "below", "clusters", "reason"),
    [
        ([], [], None, "there is no sample"),
        ([0.0], [0.0], None, "there is no sample to count"),
        ([1.0, 0.0], [1.0, 1.0], ["a", "a"], "all samples belong to one cluster"),
        ([1.0, 1.0, 0.0], [1.0, 1.0, 0.0], ["a", "a", "b"], "all samples belong to one cluster"),
    ],
)
def test_what_the_data_cannot_give_has_a_reason(
    above: list[float], below: list[float], clusters: list[str] | None, reason: str
) -> None:
    with pytest.raises(StatsUnavailable, match=reason):
        ratio(above, below, clusters)


@pytest.mark.parametrize(
    ("above", "below", "top"), [([2.0], [1.0], 1.0), ([-0.1], [1.0], 1.0), ([0.0], [-1.0], 1.0), ([2.0], [1.0], 1.5)]
)
def test_numbers_out_of_range_are_refused(above: list[float], below: list[float], top: float) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        ratio(above, below, top=top)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 10), st.integers(0, 3)), min_size=1, max_size=20))
@example([(0.0, 2.0, 1), (0.0, 3.875, 1), (0.0, 5.960464477539063e-08, 0)])
def test_it_never_warns(rows: list[tuple[float, float, int]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = ratio([x * b for x, b, _ in rows], [b for _, b, _ in rows], [c for *_, c in rows])
        except StatsUnavailable:
            return
    assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1
