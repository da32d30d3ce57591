"""How often the need figures hold the true need, as counted and corrected for chance, in worlds where it is known.

`tests/parity/test_need_coverage.py` runs the same worlds smaller.

usage: python benchmarks/need.py [--trials 1000] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from evalkit.analysis.effect import difference
from evalkit.analysis.figure import BELOW_CHANCE, Figure, codes_of
from evalkit.analysis.need import Corrected, need_figures
from evalkit.analysis.pairs import Pair
from evalkit.analysis.rollout import Rollout


class World(NamedTuple):
    """How samples come about: a part is solved without tools, the others are guessed or left without an answer.

    Attributes:
        clusters: groups of samples.
        size: samples in each.
        solved: share of samples that are solved without tools; in clusters of several it varies between them.
        called_if_needed: chance of a call where they are not.
        called_if_not: chance of a call where they are.
        options: numbers of options that samples have, each as often; 0 for free-form answers.
        silent: chance that an unsolved sample gets no answer.
        helps: chance that a call solves what is not solved without.
    """

    clusters: int
    size: int
    solved: float
    called_if_needed: float
    called_if_not: float
    options: tuple[int, ...]
    silent: float = 0.0
    helps: float = 0.9

    def truth(self) -> dict[str, float]:
        """The true figures."""
        need = 1 - self.solved
        hit, waste = need * self.called_if_needed, self.solved * self.called_if_not
        return {
            "need": need,
            "redundant_rate": waste / (hit + waste),
            "redundant_share": waste,
            "precision": hit / (hit + waste),
            "recall": self.called_if_needed,
            "f1": 2 * hit / (hit + waste + need),
            "difference": hit * self.helps,
        }


WORLDS = {
    "191 samples of 4 options": World(191, 1, 0.6, 0.8, 0.3, (4,)),
    "120 clusters of 4 samples, 4 options": World(120, 4, 0.6, 0.8, 0.3, (4,)),
    "250 samples, 2 to 5 options or free, some unanswered": World(250, 1, 0.6, 0.8, 0.3, (0, 2, 4, 5), silent=0.2),
    "500 samples of 4 options, few calls": World(500, 1, 0.8, 0.2, 0.02, (4,)),
}

SMALL = {
    "12 samples of 3 to 5 options, all in need and called, some unanswered": World(
        12, 1, 0.0, 1.0, 0.0, (3, 4, 5), silent=0.4
    ),
    "12 samples of 4 options": World(12, 1, 0.5, 0.8, 0.3, (4,)),
    "20 samples of 4 options, called where needed": World(20, 1, 0.5, 1.0, 0.0, (4,)),
    "20 samples, 2 to 5 options or free, some unanswered": World(20, 1, 0.6, 0.8, 0.3, (0, 2, 4, 5), silent=0.2),
}
"""As small as a category can be: often nobody is lucky."""


class Held(NamedTuple):
    """How many of the trials' intervals held the truth.

    Attributes:
        figure: which.
        raw: as counted.
        corrected: for chance.
        trials: in which there was something to count.
        accused: of them, those in which the corrected figure says that wrong answers may be no guesses: falsely.
    """

    figure: str
    raw: int
    corrected: int
    trials: int
    accused: int


def draw(world: World, rng: np.random.Generator) -> list[Pair]:
    """One run with tools and without."""
    rows = []
    for cluster in range(world.clusters):
        chance = world.solved if world.size == 1 else rng.beta(world.solved, 1 - world.solved)
        for index in range(world.size):
            options = int(rng.choice(world.options))
            solved = bool(rng.random() < chance)
            called = bool(rng.random() < (world.called_if_not if solved else world.called_if_needed))
            with_tools = solved or (called and bool(rng.random() < world.helps))
            name = (f"{cluster}-{index}", f"{cluster}", options)
            direct = _answer(world, rng, name, "direct", solved, 0)
            rows.append(Pair(_answer(world, rng, name, "agent", with_tools, int(called)), direct, (direct,), None))
    return rows


def coverage(world: World, trials: int, seed: int = 0) -> Iterator[Held]:
    """How often each figure's interval holds the truth; without an interval it does not."""
    rng, truth = np.random.default_rng(seed), world.truth()
    held = {figure: [0, 0, 0, 0] for figure in truth}
    for _ in range(trials):
        pairs = draw(world, rng)
        found = need_figures(pairs)[0]
        change = difference(pairs, codes_of([pair.agent.cluster for pair in pairs]))
        for figure, true in truth.items():
            both: Corrected = (
                Corrected(raw=change.raw, corrected=change.corrected)
                if figure == "difference"
                else getattr(found, figure)
            )
            held[figure][0] += _holds(both.raw, true)
            held[figure][1] += _holds(both.corrected, true)
            held[figure][2] += both.raw.value is not None
            held[figure][3] += both.corrected.why == BELOW_CHANCE
    yield from (Held(figure, *counts) for figure, counts in held.items())


def _answer(
    world: World, rng: np.random.Generator, name: tuple[str, str, int], arm: str, solved: bool, calls: int
) -> Rollout:
    id, cluster, options = name
    silent = not solved and bool(rng.random() < world.silent)
    right = solved or (not silent and options > 1 and bool(rng.random() < 1 / options))
    said = None if silent else "x"
    return Rollout(id, "", cluster, options, arm, 0, right, said, False, calls, calls, 1, 1.0)


def _holds(figure: Figure, true: float) -> bool:
    return figure.low is not None and figure.high is not None and figure.low - 1e-12 <= true <= figure.high + 1e-12


def main() -> None:
    """Print the coverage of every figure in every world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"coverage of nominal 95 % intervals, ± {math.sqrt(0.95 * 0.05 / options.trials):.1%} (one standard error)")
    for name, world in (WORLDS | SMALL).items():
        print(f"\n{name}\n  {'figure':16} {'truth':>6} {'as counted':>11} {'corrected':>10} {'accused':>8}")
        for held in coverage(world, options.trials, options.seed):
            shares = " ".join(
                f"{count / held.trials:{width}.1%}"
                for count, width in ((held.raw, 11), (held.corrected, 10), (held.accused, 8))
            )
            print(f"  {held.figure:16} {world.truth()[held.figure]:6.3f} {shares}", flush=True)


if __name__ == "__main__":
    main()
