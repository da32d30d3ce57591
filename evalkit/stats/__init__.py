"""Statistics: pure functions on counts and arrays.

What the data cannot give raises `StatsUnavailable` with a reason; what the caller got wrong raises `ValueError`.
Names are loaded when first used, so that importing this package loads neither numpy nor scipy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.stats.intervals import Interval, clopper_pearson, wilson
from evalkit.stats.judge_table import JudgeTable
from evalkit.stats.unavailable import StatsUnavailable

if TYPE_CHECKING:
    from evalkit.stats.agreement import kappa
    from evalkit.stats.apart import difference_apart, ratio_apart
    from evalkit.stats.bootstrap import cluster_bootstrap, paired_cluster_bootstrap
    from evalkit.stats.clusters import cluster_robust, cluster_wilson, intraclass_correlation
    from evalkit.stats.estimate import Estimate
    from evalkit.stats.guessing import ChanceCorrected, chance_corrected, correct_for_guessing, solvable_share
    from evalkit.stats.margins import MarginTest, beyond, equivalence, non_inferiority
    from evalkit.stats.means import mean, share, t_test
    from evalkit.stats.misclassified import judged_share, rogan_gladen
    from evalkit.stats.multiplicity import holm
    from evalkit.stats.paired import (
        PairedCounts,
        PairedDifference,
        paired_counts,
        paired_difference,
        paired_mean_difference,
    )
    from evalkit.stats.paired_score import tango
    from evalkit.stats.paired_tests import cluster_mcnemar, mcnemar
    from evalkit.stats.passk import all_of_k, majority, majority_right, pass_at_k
    from evalkit.stats.power import (
        GatePower,
        discordance_if_independent,
        gate_power,
        minimal_detectable_effect,
        needed_n,
        needed_n_non_inferiority,
        non_inferiority_power,
        paired_power,
    )
    from evalkit.stats.published import PublishedDifference, against_published
    from evalkit.stats.quantiles import quantile, samples_for_quantile
    from evalkit.stats.ratio import ratio
    from evalkit.stats.repeats import VarianceSplit, consistency, variance_split
    from evalkit.stats.rounding import Granularity, Rounding, granularity
    from evalkit.stats.spending import (
        Spending,
        alpha_spent,
        sequential_boundaries,
        sequential_crossing,
        sequential_levels,
    )

_HOMES = {
    "agreement": ("kappa",),
    "apart": (
        "difference_apart",
        "ratio_apart",
    ),
    "bootstrap": (
        "cluster_bootstrap",
        "paired_cluster_bootstrap",
    ),
    "clusters": (
        "cluster_robust",
        "cluster_wilson",
        "intraclass_correlation",
    ),
    "estimate": ("Estimate",),
    "rounding": (
        "Granularity",
        "Rounding",
        "granularity",
    ),
    "guessing": (
        "ChanceCorrected",
        "chance_corrected",
        "correct_for_guessing",
        "solvable_share",
    ),
    "margins": (
        "MarginTest",
        "beyond",
        "equivalence",
        "non_inferiority",
    ),
    "misclassified": (
        "judged_share",
        "rogan_gladen",
    ),
    "paired_tests": (
        "cluster_mcnemar",
        "mcnemar",
    ),
    "means": (
        "mean",
        "share",
        "t_test",
    ),
    "multiplicity": ("holm",),
    "paired": (
        "PairedCounts",
        "PairedDifference",
        "paired_counts",
        "paired_difference",
        "paired_mean_difference",
    ),
    "passk": (
        "all_of_k",
        "majority",
        "majority_right",
        "pass_at_k",
    ),
    "power": (
        "GatePower",
        "gate_power",
        "discordance_if_independent",
        "minimal_detectable_effect",
        "needed_n",
        "needed_n_non_inferiority",
        "non_inferiority_power",
        "paired_power",
    ),
    "published": (
        "PublishedDifference",
        "against_published",
    ),
    "quantiles": (
        "quantile",
        "samples_for_quantile",
    ),
    "repeats": (
        "VarianceSplit",
        "consistency",
        "variance_split",
    ),
    "paired_score": ("tango",),
    "spending": (
        "Spending",
        "alpha_spent",
        "sequential_boundaries",
        "sequential_crossing",
        "sequential_levels",
    ),
    "ratio": ("ratio",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ChanceCorrected",
    "Estimate",
    "GatePower",
    "Granularity",
    "Interval",
    "JudgeTable",
    "MarginTest",
    "PairedCounts",
    "PairedDifference",
    "PublishedDifference",
    "Rounding",
    "Spending",
    "StatsUnavailable",
    "VarianceSplit",
    "against_published",
    "all_of_k",
    "alpha_spent",
    "beyond",
    "chance_corrected",
    "clopper_pearson",
    "cluster_bootstrap",
    "cluster_mcnemar",
    "cluster_robust",
    "cluster_wilson",
    "consistency",
    "correct_for_guessing",
    "difference_apart",
    "discordance_if_independent",
    "equivalence",
    "gate_power",
    "granularity",
    "holm",
    "intraclass_correlation",
    "judged_share",
    "kappa",
    "majority",
    "majority_right",
    "mcnemar",
    "mean",
    "minimal_detectable_effect",
    "needed_n",
    "needed_n_non_inferiority",
    "non_inferiority",
    "non_inferiority_power",
    "paired_cluster_bootstrap",
    "paired_counts",
    "paired_difference",
    "paired_mean_difference",
    "paired_power",
    "pass_at_k",
    "quantile",
    "ratio",
    "ratio_apart",
    "rogan_gladen",
    "samples_for_quantile",
    "sequential_boundaries",
    "sequential_crossing",
    "sequential_levels",
    "share",
    "solvable_share",
    "t_test",
    "tango",
    "variance_split",
    "wilson",
]


def __getattr__(name: str) -> Any:
    """Loads the module that holds a public name."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
