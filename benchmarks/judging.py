"""What the intervals of a judge's figures really do: coverage in worlds where the truth is known.

The worlds are also those of `tests/parity/test_judge_coverage.py`, which runs them smaller.

usage: python benchmarks/judging.py [--trials 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from benchmarks.stats import Rate, right_answers
from evalkit import stats
from evalkit.stats import Interval, JudgeTable, StatsUnavailable

LABELLED = (193, 140)
"""Labelled right and not right, about as many as the shipped responses."""
JUDGES = ((0.95, 0.97), (0.99, 0.99), (0.8, 0.9))
SHARES = (0.1, 0.5, 0.9)
KAPPAS = (0.4, 0.8, 0.95)
ROWS = 400


def table(rng: np.random.Generator, judge: tuple[float, float], labelled: tuple[int, int] = LABELLED) -> JudgeTable:
    """A judge on labelled samples."""
    right, wrong = labelled
    hits, rejections = int(rng.binomial(right, judge[0])), int(rng.binomial(wrong, judge[1]))
    return JudgeTable(hits, right - hits, wrong - rejections, rejections)


def called(rng: np.random.Generator, truth: np.ndarray, judge: tuple[float, float]) -> np.ndarray:
    """What a judge calls right of samples whose truth is known."""
    return rng.random(len(truth)) < np.where(truth > 0, judge[0], 1 - judge[1])


def rogan_gladen_coverage(
    trials: int, seed: int = 0, n: int = ROWS, labelled: tuple[int, int] = LABELLED
) -> Iterator[Rate]:
    """The interval of the share that is right among judged samples."""
    rng = np.random.default_rng(seed)
    for judge, share in itertools.product(JUDGES, SHARES):

        def one(judge: tuple[float, float] = judge, share: float = share) -> tuple[float, float]:
            seen = share * judge[0] + (1 - share) * (1 - judge[1])
            return stats.rogan_gladen(int(rng.binomial(n, seen)), n, table(rng, judge, labelled)).interval

        yield Rate("rogan_gladen", f"n {n}, labelled {labelled}, judge {judge}, p {share}", *often(one, share, trials))


def judged_share_coverage(
    trials: int, seed: int = 0, judged: Iterable[float] = (0.05, 0.3, 1.0), size: int = 1, rows: int = ROWS
) -> Iterator[Rate]:
    """The interval of accuracy where a judge decides a part of the samples, in clusters of `size`."""
    rng = np.random.default_rng(seed)
    sizes = np.full(rows // size, size)
    labels = np.repeat(np.arange(len(sizes)), sizes) if size > 1 else None
    for part, judge, share in itertools.product(judged, JUDGES, SHARES):

        def one(part: float = part, judge: tuple[float, float] = judge, share: float = share) -> tuple[float, float]:
            truth = right_answers(rng, share, sizes, 0.5) if size > 1 else (rng.random(rows) < share).astype(float)
            asked = rng.random(rows) < part
            right = np.where(asked, called(rng, truth, judge), truth)
            return stats.judged_share(right, asked, table(rng, judge), labels).interval

        world = f"n {rows} in groups of {size}, judged {part}, judge {judge}, p {share}"
        yield Rate("judged_share", world, *often(one, share, trials))


def kappa_coverage(trials: int, seed: int = 0, labelled: int = sum(LABELLED)) -> Iterator[Rate]:
    """The interval of kappa for two who call right equally often."""
    rng = np.random.default_rng(seed)
    for truth, share in itertools.product(KAPPAS, (0.5, 0.8)):
        apart = share * (1 - share) * (1 - truth)
        cells = [share - apart, apart, apart, 1 - share - apart]

        def one(cells: list[float] = cells) -> tuple[float, float]:
            return stats.kappa(JudgeTable(*map(int, rng.multinomial(labelled, cells)))).interval

        yield Rate("kappa", f"n {labelled}, kappa {truth}, p {share}", *often(one, truth, trials))


def often(interval: Callable[[], Interval | tuple[float, float]], truth: float, trials: int) -> tuple[float, int]:
    """How often an interval that is available holds the truth, and of how many trials."""
    found = []
    for _ in range(trials):
        try:
            low, high = interval()
        except StatsUnavailable:
            continue
        found.append(low <= truth <= high)
    return sum(found) / len(found), len(found)


def main() -> None:
    """Print every world's coverage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for world in (rogan_gladen_coverage, judged_share_coverage, kappa_coverage):
        for rate in world(asked.trials, asked.seed):
            print(f"{rate.what:14} {rate.world:70} {rate.rate:.3f} +- {rate.error:.3f} ({rate.trials} trials)")
    for rate in judged_share_coverage(asked.trials, asked.seed, size=4):
        print(f"{rate.what:14} {rate.world:70} {rate.rate:.3f} +- {rate.error:.3f} ({rate.trials} trials)")


if __name__ == "__main__":
    main()
