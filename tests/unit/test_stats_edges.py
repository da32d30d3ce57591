"""Every function on data that cannot answer, and on arguments that make no sense: a reason, never a warning."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evalkit import stats
from evalkit.stats import Interval, StatsUnavailable

ONE_ARRAY: dict[str, Callable[[Any], Any]] = {
    "share": stats.share,
    "mean": stats.mean,
    "share in clusters": lambda values: stats.share(values, [0] * len(values)),
    "cluster_robust": lambda values: stats.cluster_robust(values, list(range(len(values)))),
    "cluster_wilson": lambda values: stats.cluster_wilson(values, list(range(len(values)))),
    "cluster_bootstrap": stats.cluster_bootstrap,
    "intraclass_correlation": lambda values: stats.intraclass_correlation(values, [0] * len(values)),
    "holm": stats.holm,
    "pass_at_k": lambda values: stats.pass_at_k(values, [1] * len(values), 1),
    "all_of_k": lambda values: stats.all_of_k(values, [1] * len(values), 1),
    "majority_right": lambda values: stats.majority_right(values, [1] * len(values)),
    "variance_split": lambda values: stats.variance_split(values, [1] * len(values)),
    "consistency": lambda values: stats.consistency(values, [1] * len(values)),
    "chance_corrected": lambda values: stats.chance_corrected(values, [0.25] * len(values)),
    "solvable_share": lambda values: stats.solvable_share(values, [1] * len(values), [4] * len(values)),
}
TWO_ARRAYS: dict[str, Callable[[Any, Any], Any]] = {
    "paired_counts": stats.paired_counts,
    "paired_difference": stats.paired_difference,
    "paired_mean_difference": stats.paired_mean_difference,
    "paired_cluster_bootstrap": stats.paired_cluster_bootstrap,
    "cluster_mcnemar": lambda new, old: stats.cluster_mcnemar(new, old, list(range(len(new)))),
    "non_inferiority": lambda new, old: stats.non_inferiority(new, old, 0.05),
    "equivalence": lambda new, old: stats.equivalence(new, old, 0.05),
}


def attempt(call: Callable[[], Any]) -> Any:
    """The result, or the reason (a text) why it is not available."""
    try:
        return call()
    except StatsUnavailable as error:
        return error.reason


@pytest.mark.parametrize("name", ONE_ARRAY)
def test_no_sample_is_not_available_and_says_so(name: str) -> None:
    with pytest.raises(StatsUnavailable, match="no sample"):
        ONE_ARRAY[name]([])


@pytest.mark.parametrize("name", TWO_ARRAYS)
def test_no_pair_is_not_available_and_says_so(name: str) -> None:
    with pytest.raises(StatsUnavailable, match="no sample"):
        TWO_ARRAYS[name]([], [])


@pytest.mark.parametrize("bad", [[0, float("nan")], [1, float("inf")], [0, None], ["right", "wrong"], [[0, 1]], 1])
@pytest.mark.parametrize("name", ONE_ARRAY)
def test_what_is_no_array_of_finite_numbers_is_refused(name: str, bad: Any) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        ONE_ARRAY[name](bad)
    assert not isinstance(caught.value, StatsUnavailable)


@pytest.mark.parametrize("name", TWO_ARRAYS)
def test_pairs_that_do_not_pair_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lengths differ"):
        TWO_ARRAYS[name]([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match="not finite"):
        TWO_ARRAYS[name]([0, 1, float("nan")], [0, 1, 1])


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("name", ONE_ARRAY)
def test_one_sample_all_right_and_all_wrong_give_a_figure_or_a_reason(name: str, n: int, value: int) -> None:
    assert attempt(lambda: ONE_ARRAY[name](np.full(n, value))) is not None


@pytest.mark.parametrize(("new", "old"), [(0, 0), (1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("name", TWO_ARRAYS)
def test_pairs_that_all_agree_or_all_differ_give_a_figure_or_a_reason(name: str, n: int, new: int, old: int) -> None:
    assert attempt(lambda: TWO_ARRAYS[name](np.full(n, new), np.full(n, old))) is not None


REASONS: list[tuple[Callable[[], object], str]] = [
    (lambda: stats.wilson(0, 0), "no sample"),
    (lambda: stats.clopper_pearson(0, 0), "no sample"),
    (lambda: stats.tango(0, 0, 0), "no sample"),
    (lambda: stats.mean([3.0]), "one sample"),
    (lambda: stats.mean([0.1] * 9), "equal"),
    (lambda: stats.cluster_robust([0.1] * 9, [0, 0, 0, 1, 1, 1, 2, 2, 2]), "do not differ"),
    (lambda: stats.cluster_robust([0, 1, 0, 1], "aabb"), "do not differ"),
    (lambda: stats.cluster_robust([0, 1, 0, 1], "aaaa"), "one cluster"),
    (lambda: stats.cluster_wilson([0, 1, 0, 1], "aaaa"), "one cluster"),
    (lambda: stats.paired_difference([0, 1], [1, 1], "aa"), "one cluster"),
    (lambda: stats.cluster_mcnemar([0, 1], [1, 1], "aa"), "one cluster"),
    (lambda: stats.non_inferiority([0, 1], [1, 1], 0.1, "aa"), "one cluster"),
    (lambda: stats.cluster_bootstrap([0, 1] * 9), "at least 20 clusters"),
    (lambda: stats.cluster_bootstrap([0, 1] * 30, np.repeat(np.arange(30), 2)), "do not differ"),
    (lambda: stats.paired_cluster_bootstrap([1] * 30, [1] * 30), "do not differ"),
    (lambda: stats.variance_split([1], [4]), "one sample"),
    (lambda: stats.variance_split([1, 0], [1, 1]), "second answer"),
    (lambda: stats.variance_split([4, 4], [4, 4]), "equal"),
    (lambda: stats.intraclass_correlation([0.1] * 6, [0, 0, 1, 1, 2, 2]), "equal"),
    (lambda: stats.consistency([1, 1], [1, 2]), "one answer"),
]


@pytest.mark.parametrize(("call", "reason"), REASONS)
def test_the_reason_is_the_right_one(call: Callable[[], object], reason: str) -> None:
    with pytest.raises(StatsUnavailable, match=reason):
        call()


MISTAKES: list[Callable[[], object]] = [
    lambda: stats.wilson(2, 1),
    lambda: stats.wilson(-1, 1),
    lambda: stats.wilson(1, 2, 1.0),
    lambda: stats.clopper_pearson(3, 2),
    lambda: stats.tango(2, 2, 3),
    lambda: stats.tango(2, 0, 3, 0),
    lambda: stats.share([0, 2]),
    lambda: stats.share([0, 1], confidence=95),
    lambda: stats.mean([1, 1e200]),
    lambda: stats.cluster_robust([0, 1, 1], [0, 1]),
    lambda: stats.cluster_robust([0, 1, 1], ["a", None, "b"]),
    lambda: stats.cluster_robust([0, 1, 1], [1.0, float("nan"), 2.0]),
    lambda: stats.cluster_robust([0, 1, 1], ["a", "", ""]),
    lambda: stats.cluster_robust([0, 1, 1], ["a", pd.NA, "b"]),
    lambda: stats.cluster_robust([0, 1, 1], [["a"], ["a"], ["b"]]),  # type: ignore[list-item]
    lambda: stats.paired_power(10**9, 0.1, 0.05),
    lambda: stats.paired_power(float("inf"), 0.1, 0.05),  # type: ignore[arg-type]
    lambda: stats.cluster_bootstrap([0, 1] * 20, draws=10),
    lambda: stats.cluster_bootstrap([0, 1] * 20, method="other"),  # type: ignore[arg-type]
    lambda: stats.t_test(stats.share([0, 1])),
    lambda: stats.mcnemar(-1, 2),
    lambda: stats.mcnemar(1.5, 2),  # type: ignore[arg-type]
    lambda: stats.non_inferiority([0, 1], [0, 1], 2),
    lambda: stats.non_inferiority([0, 1], [0, 1], 0.02, alpha=0.7),
    lambda: stats.equivalence([0, 1], [0, 1], 0),
    lambda: stats.holm([0.5, 1.5]),
    lambda: stats.paired_power(0, 0.1, 0.05),
    lambda: stats.paired_power(10, 0, 0),
    lambda: stats.paired_power(10, 0.1, 0.2),
    lambda: stats.paired_power(10, 0.1, float("nan")),
    lambda: stats.paired_power(10, 0.1, 0.05, alpha=0),
    lambda: stats.paired_power(10, 0.1, 0.05, design_effect=0.5),
    lambda: stats.needed_n(0.1, 0.05, power=1),
    lambda: stats.minimal_detectable_effect(100, 0.1, power=0.04),
    lambda: stats.discordance_if_independent(1.2, 0),
    lambda: stats.against_published(0.9, Interval(0.8, 0.95), 91.1),
    lambda: stats.against_published(0.9, Interval(0.91, 0.95), 0.5),
    lambda: stats.against_published(0.9, Interval(0.8, 0.95), 0.5, published_n=0),
    lambda: stats.granularity("88.7 %", 191),
    lambda: stats.granularity("101.0", 191),
    lambda: stats.granularity("88.7", 0),
    lambda: stats.pass_at_k([2], [1], 1),
    lambda: stats.pass_at_k([1, 1], [2], 1),
    lambda: stats.pass_at_k([1], [2], 3),
    lambda: stats.pass_at_k([1], [2], 0),
    lambda: stats.pass_at_k([0.5], [2], 1),
    lambda: stats.pass_at_k([0], [0], 1),
    lambda: stats.variance_split([1, 1], [2, 2]).standard_error(0, 1),
    lambda: stats.correct_for_guessing(0.5, 1),
    lambda: stats.chance_corrected([0, 1], [0.25, 1]),
    lambda: stats.chance_corrected([0, 1], [0.25]),
    lambda: stats.solvable_share([1], [1], [1]),
    lambda: stats.solvable_share([1], [1], ["four"]),
    lambda: stats.solvable_share([1, 0], [1, 1], [4, 4], ["a"]),
    lambda: stats.solvable_share([1, 0], [1, 1], [4, 4], rule="best"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("call", MISTAKES)
def test_what_the_caller_got_wrong_is_a_plain_value_error(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        call()
    assert not isinstance(caught.value, StatsUnavailable)


def test_tables_of_pandas_come_in_as_they_are() -> None:
    rows = pd.DataFrame({"right": [True, False, True, True], "old": [1, 1, 0, 1], "image": ["a", "a", "b", "c"]})
    rows.index = pd.Index([9, 9, 3, 1])
    assert stats.share(rows.right, rows.image) == stats.share([1, 0, 1, 1], "aabc")
    assert stats.paired_difference(rows.right, rows.old, rows.image).clusters == 3
    assert stats.solvable_share(rows.old, [1, 1, 1, 1], [4, 4, 4, 4], rows.image).n == 4


def test_importing_the_package_loads_neither_numpy_nor_scipy() -> None:
    probe = "import sys, evalkit.stats as s; s.wilson(1, 2); print({'numpy', 'scipy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in stats.__all__:
        assert getattr(stats, name).__doc__
        assert not isinstance(getattr(stats, name), type(stats))
        assert name in dir(stats)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stats.nothing
