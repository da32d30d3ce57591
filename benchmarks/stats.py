"""What the intervals and tests of `evalkit.stats` really do: coverage, false alarms, power, and speed.

Samples without clusters are enumerated, so their figures are exact; clustered ones are simulated. The worlds below
are also those of `tests/parity/test_stats_coverage.py`, which runs them smaller.

usage: python benchmarks/stats.py [--trials 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit import stats
from evalkit.stats._special import binomial_pmf

Floats = NDArray[np.float64]
SHARES = (0.5, 0.8, 0.95)
DISCORDANCES = (0.06, 0.1, 0.2, 0.4)
N = 191
CLUSTERS, SIZE, ICC = 200, 4, 0.5
BOOTSTRAP = 1000
UNEQUAL = np.repeat([1, 2, 3, 4, 6], [105, 105, 105, 105, 105])
"""Cluster sizes that add up to 1,680 samples in 525 clusters, about WeMath's shape."""


class Rate(NamedTuple):
    """How often something held. `trials` is None where the figure is exact."""

    what: str
    world: str
    rate: float
    trials: int | None = None

    @property
    def error(self) -> float:
        """Simulation error: one standard error of the rate."""
        return math.sqrt(self.rate * (1 - self.rate) / self.trials) if self.trials else 0.0


def right_answers(rng: np.random.Generator, share: float, sizes: NDArray[np.int64], icc: float) -> Floats:
    """0/1 samples whose clusters share a beta-distributed chance: mean `share`, within-cluster correlation `icc`."""
    strength = (1 - icc) / icc
    chances = rng.beta(share * strength, (1 - share) * strength, len(sizes))
    return (rng.random(int(sizes.sum())) < np.repeat(chances, sizes)).astype(np.float64)


def paired_answers(
    rng: np.random.Generator, cells: tuple[float, float, float, float], sizes: NDArray[np.int64], icc: float
) -> tuple[Floats, Floats]:
    """Two 0/1 arrays; the four cells (both, new only, old only, neither) vary between clusters by a Dirichlet law."""
    chances = rng.dirichlet(np.asarray(cells) * (1 - icc) / icc, len(sizes)).cumsum(axis=1)
    cell = (rng.random(int(sizes.sum()))[:, None] > np.repeat(chances, sizes, axis=0)[:, :3]).sum(axis=1)
    return (cell <= 1).astype(np.float64), ((cell == 0) | (cell == 2)).astype(np.float64)


def table(share: float, difference: float, discordance: float) -> tuple[float, float, float, float]:
    """Cells of two models that disagree so often and differ by so much, the old one right with `share`."""
    new_only, old_only = (discordance + difference) / 2, (discordance - difference) / 2
    return share - old_only, new_only, old_only, 1 - share - new_only


def share_coverage_exact(n: int = N, shares: Iterable[float] = SHARES) -> Iterator[Rate]:
    """Wilson and Clopper-Pearson by enumeration of the binomial."""
    for what, interval in (("wilson", stats.wilson), ("clopper_pearson", stats.clopper_pearson)):
        ends = [interval(k, n) for k in range(n + 1)]
        for share in shares:
            chances = binomial_pmf(np.arange(n + 1), n, share)
            covered = sum(float(c) for c, (low, high) in zip(chances, ends, strict=True) if low <= share <= high)
            yield Rate(what, f"n {n}, p {share}", covered)


def paired_exact(n: int, cells: tuple[float, float, float, float], keep: float = 1e-9) -> list[tuple[int, int, float]]:
    """(new_only, old_only, probability) of every table that is not all but impossible."""
    discordant = cells[1] + cells[2]
    found = []
    for pairs, chance in enumerate(binomial_pmf(np.arange(n + 1), n, discordant)):
        if chance > keep:
            wins = binomial_pmf(np.arange(pairs + 1), pairs, cells[1] / discordant)
            found += [(b, pairs - b, float(chance * w)) for b, w in enumerate(wins) if chance * w > keep / 100]
    return found


def paired_coverage_exact(n: int = N) -> Iterator[Rate]:
    """Tango's interval by enumeration of the trinomial; it depends on the discordant pairs alone, not on the shares."""
    for discordance in DISCORDANCES:
        tables = paired_exact(n, table(0.5, 0.02, discordance), keep=1e-7)
        covered = sum(p for b, c, p in tables if (i := stats.tango(b, c, n)).low <= 0.02 <= i.high)
        yield Rate("tango", f"n {n}, difference 0.02, discordant {discordance}", covered)


def two_sample_coverage_exact(n: int = N, published_n: int = 500, shares: Iterable[float] = SHARES) -> Iterator[Rate]:
    """Newcombe's interval against a published mean, by enumeration of both binomials."""
    for share in shares:
        theirs = share - 0.05
        own = [(k, float(p)) for k, p in enumerate(binomial_pmf(np.arange(n + 1), n, share)) if p > 1e-7]
        other = [(k, float(p)) for k, p in enumerate(binomial_pmf(np.arange(published_n + 1), published_n, theirs))]
        covered = 0.0
        for k, p in own:
            interval = stats.wilson(k, n)
            for j, q in other:
                if q > 1e-7:
                    found = stats.against_published(k / n, interval, j / published_n, published_n=published_n)
                    covered += p * q * (found.interval.low <= share - theirs <= found.interval.high)
        yield Rate("against_published two-sample", f"n {n} and {published_n}, p {share}", covered)


Interval = Callable[[Any, Any], tuple[float, float]]

SHARE_METHODS: dict[str, Interval] = {
    "cluster_wilson": lambda right, labels: stats.cluster_wilson(right, labels).interval,
    "cluster_robust": lambda right, labels: stats.cluster_robust(right, labels).interval,
    "wilson, clusters ignored": lambda right, _: stats.share(right).interval,
    "cluster_bootstrap percentile": lambda right, labels: (
        stats.cluster_bootstrap(right, labels, draws=BOOTSTRAP, method="percentile").interval
    ),
    "cluster_bootstrap bca": lambda right, labels: stats.cluster_bootstrap(right, labels, draws=BOOTSTRAP).interval,
}


def covers(interval: Callable[[], tuple[float, float]], truth: float) -> bool:
    """Whether it holds the truth; an interval that is not available does not."""
    try:
        low, high = interval()
    except stats.StatsUnavailable:
        return False
    return low <= truth <= high


def share_coverage(
    trials: int,
    seed: int = 0,
    *,
    sizes: NDArray[np.int64] | None = None,
    icc: float = ICC,
    shares: Iterable[float] = SHARES,
    methods: Iterable[str] = tuple(SHARE_METHODS),
) -> Iterator[Rate]:
    """Intervals of a clustered share; all methods see the same data."""
    sizes = np.full(CLUSTERS, SIZE) if sizes is None else sizes
    labels = np.repeat(np.arange(len(sizes)), sizes)
    methods = list(methods)
    for share in shares:
        rng = np.random.default_rng([seed, round(share * 1000)])
        held = dict.fromkeys(methods, 0)
        for _ in range(trials):
            right = right_answers(rng, share, sizes, icc)
            for what in methods:
                held[what] += covers(lambda what=what, right=right: SHARE_METHODS[what](right, labels), share)  # type: ignore[misc]
        for what, hits in held.items():
            yield Rate(what, f"{len(sizes)} clusters, n {sizes.sum()}, ICC {icc}, p {share}", hits / trials, trials)


def mean_coverage(trials: int, seed: int = 0) -> Iterator[Rate]:
    """Intervals of means of real values: seconds from a log-normal law, alone and in clusters."""
    truth, labels = math.exp(0.125), np.repeat(np.arange(CLUSTERS), SIZE)
    for what, groups in (("mean: t", None), ("mean: cluster_robust", labels)):
        rng = np.random.default_rng(seed)
        held = 0
        for _ in range(trials):
            if groups is None:
                values = rng.lognormal(0, 0.5, N)
            else:
                deviate = np.repeat(rng.normal(0, 1, CLUSTERS), SIZE) + rng.normal(0, 1, len(labels))
                values = np.exp(0.5 * deviate / math.sqrt(2))
            held += covers(lambda values=values, groups=groups: stats.mean(values, groups).interval, truth)  # type: ignore[misc]
        yield Rate(what, f"n {N if groups is None else len(labels)}, log-normal", held / trials, trials)


PAIRED_METHODS: dict[str, Callable[[Any, Any, Any], tuple[float, float]]] = {
    "cluster_tango": lambda new, old, labels: stats.paired_difference(new, old, labels).interval,
    "paired cluster_robust": lambda new, old, labels: stats.paired_mean_difference(new, old, labels).interval,
    "paired_cluster_bootstrap percentile": lambda new, old, labels: (
        stats.paired_cluster_bootstrap(new, old, labels, draws=BOOTSTRAP).interval
    ),
    "paired_cluster_bootstrap bca": lambda new, old, labels: (
        stats.paired_cluster_bootstrap(new, old, labels, draws=BOOTSTRAP, method="bca").interval
    ),
    "tango, clusters ignored": lambda new, old, _: stats.paired_difference(new, old).interval,
}


def paired_coverage(trials: int, seed: int = 0, *, methods: Iterable[str] = tuple(PAIRED_METHODS)) -> Iterator[Rate]:
    """Intervals of a paired difference of 2 points in clusters; they see the discordant pairs, not the shares."""
    sizes = np.full(CLUSTERS, SIZE)
    labels = np.repeat(np.arange(CLUSTERS), sizes)
    methods = list(methods)
    for discordance in DISCORDANCES:
        rng = np.random.default_rng([seed, round(discordance * 1000)])
        held = dict.fromkeys(methods, 0)
        for _ in range(trials):
            new, old = paired_answers(rng, table(0.7, 0.02, discordance), sizes, ICC)
            for what in methods:
                method = PAIRED_METHODS[what]
                held[what] += covers(lambda m=method, n=new, o=old: m(n, o, labels), 0.02)  # type: ignore[misc]
        for what, hits in held.items():
            world = f"{CLUSTERS} clusters, n {CLUSTERS * SIZE}, discordant {discordance}"
            yield Rate(what, world, hits / trials, trials)


def guessing_coverage(trials: int, seed: int = 0) -> Iterator[Rate]:
    """Intervals of the solvable share when 0, 30 or 90 % are solvable and the rest is guessed, 8 answers each."""
    options = np.where(np.arange(N) % 3 == 0, 5, 4)
    for truth in (0.0, 0.3, 0.9):
        for rule in ("mean", "all", "any"):
            rng = np.random.default_rng([seed, round(truth * 10)])
            held = 0
            for _ in range(trials):
                solvable = rng.random(N) < truth
                right = np.where(solvable, 8, rng.binomial(8, 1 / options))
                found = stats.solvable_share(right, np.full(N, 8), options, rule=rule)
                held += found.interval.low <= truth <= found.interval.high
            yield Rate(f"solvable_share {rule}", f"n {N}, truly solvable {truth}", held / trials, trials)


def false_alarms_exact(n: int = N) -> Iterator[Rate]:
    """Type-I errors by enumeration: no difference, or a difference of exactly the margin."""
    for discordance in DISCORDANCES:
        tables = paired_exact(n, table(0.5, 0.0, discordance), keep=1e-7)
        for mid_p in (True, False):
            alarms = sum(p for b, c, p in tables if stats.mcnemar(b, c, mid_p=mid_p) <= 0.05)
            yield Rate(f"mcnemar {'mid-p' if mid_p else 'exact'}, 5 %", f"n {n}, discordant {discordance}", alarms)
    for discordance in (0.08, 0.2):
        alarms = both = 0.0
        for b, c, p in paired_exact(n, table(0.7, -0.05, discordance), keep=1e-7):
            new, old = arrays(b, c, n)
            alarms += p * stats.non_inferiority(new, old, 0.05).shown
            both += p * stats.equivalence(new, old, 0.05).shown
        yield Rate("non_inferiority, 2.5 %", f"n {n}, loss = margin 0.05, discordant {discordance}", alarms)
        yield Rate("equivalence, 5 %", f"n {n}, loss = margin 0.05, discordant {discordance}", both)


def arrays(new_only: int, old_only: int, n: int) -> tuple[Floats, Floats]:
    """Two 0/1 arrays with these discordant counts."""
    new, old = np.zeros(n), np.zeros(n)
    new[:new_only] = 1
    old[new_only : new_only + old_only] = 1
    return new, old


def false_alarms(trials: int, seed: int = 0) -> Iterator[Rate]:
    """Type-I errors of the clustered tests: no difference, or a loss of exactly the margin."""
    sizes = np.full(CLUSTERS, SIZE)
    labels = np.repeat(np.arange(CLUSTERS), sizes)
    for discordance in DISCORDANCES:
        rng = np.random.default_rng([seed, round(discordance * 1000)])
        sign = ignored = t = 0
        for _ in range(trials):
            new, old = paired_answers(rng, table(0.7, 0.0, discordance), sizes, ICC)
            sign += stats.cluster_mcnemar(new, old, labels) <= 0.05
            ignored += stats.mcnemar(*stats.paired_counts(new, old)[1:3]) <= 0.05
            t += stats.t_test(stats.paired_mean_difference(new, old, labels)) <= 0.05
        world = f"{CLUSTERS} clusters, n {CLUSTERS * SIZE}, discordant {discordance}"
        yield Rate("cluster_mcnemar, 5 %", world, sign / trials, trials)
        yield Rate("t_test on clusters, 5 %", world, t / trials, trials)
        yield Rate("mcnemar, clusters ignored, 5 %", world, ignored / trials, trials)
    rng = np.random.default_rng(seed)
    worse = same = 0
    for _ in range(trials):
        new, old = paired_answers(rng, table(0.8, -0.05, 0.12), sizes, ICC)
        worse += stats.non_inferiority(new, old, 0.05, labels).shown
        same += stats.equivalence(new, old, 0.05, labels).shown
    world = f"{CLUSTERS} clusters, n {CLUSTERS * SIZE}, loss = margin 0.05"
    yield Rate("non_inferiority, 2.5 %", world, worse / trials, trials)
    yield Rate("equivalence, 5 %", world, same / trials, trials)


def few_flips(
    trials: int, seed: int = 0, correlations: Iterable[float] = (0.01, 0.25, 0.5, 0.75, 0.99)
) -> Iterator[Rate]:
    """Type-I errors of non-inferiority where hardly a sample flips: a loss of exactly 1 point, flips on 1.6 %."""
    sizes = np.full(250, SIZE)
    labels = np.repeat(np.arange(250), sizes)
    for icc in correlations:
        rng = np.random.default_rng([seed, round(icc * 100)])
        shown = sum(
            stats.non_inferiority(*paired_answers(rng, table(0.7, -0.01, 0.016), sizes, icc), 0.01, labels).shown
            for _ in range(trials)
        )
        yield Rate("non_inferiority of few flips, 2.5 %", f"250 clusters, n 1000, ICC {icc}", shown / trials, trials)


def family_alarms(trials: int, seed: int = 0, tests: int = 5) -> Rate:
    """How often Holm rejects any of several true hypotheses, at 5 %."""
    rng = np.random.default_rng(seed)
    alarms = sum(bool((stats.holm(rng.random(tests)) <= 0.05).any()) for _ in range(trials))
    return Rate("holm, any of 5 true, 5 %", f"{tests} tests", alarms / trials, trials)


class Power(NamedTuple):
    """Computed power beside the simulated one."""

    what: str
    computed: float
    simulated: Rate


def powers(trials: int, seed: int = 0) -> Iterator[Power]:
    """Superiority and non-inferiority, n = 191 and 800 alone, and 200 clusters of 4 with their true design effect."""
    for n, difference, discordance in ((N, 0.05, 0.1), (N, 0.08, 0.2), (800, 0.03, 0.1), (60, 0.1, 0.1)):
        rng = np.random.default_rng([seed, n])
        cells = table(0.7, difference, discordance)
        drawn = rng.multinomial(n, cells, trials)
        hits = sum(stats.mcnemar(int(b), int(c)) <= 0.05 for _, b, c, _ in drawn)
        what = f"paired_power, n {n}, difference {difference}, discordant {discordance}"
        yield Power(what, stats.paired_power(n, discordance, difference), Rate(what, "", hits / trials, trials))
    for n, margin, discordance in ((N, 0.05, 0.1), (800, 0.03, 0.1)):
        rng = np.random.default_rng([seed, n, 1])
        drawn = rng.multinomial(n, table(0.7, 0.0, discordance), trials)
        hits = sum(stats.non_inferiority(*arrays(int(b), int(c), n), margin).shown for _, b, c, _ in drawn)
        what = f"non_inferiority_power, n {n}, margin {margin}, discordant {discordance}"
        computed = stats.non_inferiority_power(n, discordance, margin)
        yield Power(what, computed, Rate(what, "", hits / trials, trials))
    rng, sizes = np.random.default_rng(seed), np.full(CLUSTERS, SIZE)
    labels, effect = np.repeat(np.arange(CLUSTERS), sizes), 1 + (SIZE - 1) * ICC
    hits = shown = 0
    for _ in range(trials):
        hits += stats.cluster_mcnemar(*paired_answers(rng, table(0.7, 0.06, 0.16), sizes, ICC), labels) <= 0.05
        shown += stats.non_inferiority(*paired_answers(rng, table(0.7, 0.0, 0.1), sizes, ICC), 0.05, labels).shown
    what = f"paired_power, {CLUSTERS} clusters of {SIZE}, difference 0.06, discordant 0.16, design effect {effect}"
    computed = stats.paired_power(CLUSTERS * SIZE, 0.16, 0.06, design_effect=effect)
    yield Power(what, computed, Rate(what, "", hits / trials, trials))
    what = f"non_inferiority_power, {CLUSTERS} clusters of {SIZE}, margin 0.05, discordant 0.1, design effect {effect}"
    computed = stats.non_inferiority_power(CLUSTERS * SIZE, 0.1, 0.05, design_effect=effect)
    yield Power(what, computed, Rate(what, "", shown / trials, trials))


def wemath_like(seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """1,740 right/wrong rows in 525 clusters of unequal size."""
    rng = np.random.default_rng(seed)
    sizes = rng.multinomial(1740 - 525, np.full(525, 1 / 525)) + 1
    return right_answers(rng, 0.6, sizes, ICC), np.repeat(np.arange(525), sizes)


def speeds() -> Iterator[tuple[str, float]]:
    """Median seconds of five calls on 1,740 rows in 525 clusters."""
    right, labels = wemath_like()
    other = 1 - right[::-1]
    real = np.random.default_rng(1).random(len(right))
    calls: dict[str, Callable[[], object]] = {
        "cluster_bootstrap, 10,000 draws, right/wrong": lambda: stats.cluster_bootstrap(right, labels),
        "cluster_bootstrap, 10,000 draws, real values": lambda: stats.cluster_bootstrap(real, labels),
        "paired_cluster_bootstrap, 10,000 draws": lambda: stats.paired_cluster_bootstrap(right, other, labels),
        "cluster_wilson": lambda: stats.cluster_wilson(right, labels),
        "paired_difference": lambda: stats.paired_difference(right, other, labels),
        "needed_n": lambda: stats.needed_n(0.12, 0.03),
        "minimal_detectable_effect": lambda: stats.minimal_detectable_effect(1740, 0.12),
        "needed_n_non_inferiority": lambda: stats.needed_n_non_inferiority(0.12, 0.02),
    }
    for what, call in calls.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        yield what, sorted(times)[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    trials, seed = options.trials, options.seed
    for what, seconds in speeds():
        print(f"{seconds * 1000:9.2f} ms  {what}", flush=True)
    show("coverage, nominal 95 %", share_coverage_exact())
    show("coverage, nominal 95 %", paired_coverage_exact())
    show("coverage, nominal 95 %", two_sample_coverage_exact())
    show("coverage, nominal 95 %", share_coverage(trials, seed))
    fast = ("cluster_wilson", "cluster_robust")
    show("coverage, nominal 95 %", share_coverage(trials, seed, sizes=UNEQUAL, methods=fast))
    show("coverage, nominal 95 %", share_coverage(trials, seed, sizes=np.full(20, SIZE), methods=fast))
    show("coverage, nominal 95 %", mean_coverage(trials, seed))
    show("coverage, nominal 95 %", paired_coverage(trials, seed))
    show("coverage, nominal 95 %", guessing_coverage(trials, seed))
    show("false alarms", false_alarms_exact())
    show("false alarms", false_alarms(trials, seed))
    show("false alarms", few_flips(trials, seed))
    show("false alarms", [family_alarms(trials, seed)])
    print("\npower: computed, simulated")
    for what, computed, simulated in powers(trials, seed):
        print(f"  {computed:7.2%} {simulated.rate:7.2%} ± {simulated.error:.2%}  {what}", flush=True)


def show(title: str, rates: Iterable[Rate]) -> None:
    print(f"\n{title}")
    for rate in rates:
        error = f"± {rate.error:.2%}" if rate.trials else "exact  "
        print(f"  {rate.rate:7.2%} {error}  {rate.what:35} {rate.world}", flush=True)


if __name__ == "__main__":
    main()
