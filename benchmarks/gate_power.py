"""How often the gate fails and passes in worlds where the truth is known, and how early a run with looks stops.

Pairs of runs are drawn sample by sample and judged by the gate's own functions; the chances beside them are those
of `evalkit gate --explain`.

usage: python benchmarks/gate_power.py [--draws 2000] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalkit import Outcome, Record, Sample, StopReason, ToolCall, Trajectory, Turn, Verdict, stats
from evalkit.analysis.kept import Kept, kept_of
from evalkit.analysis.side import side_of
from evalkit.gate.baseline import RUN, Samples
from evalkit.gate.checks import check_of, judged
from evalkit.gate.differences import paired
from evalkit.gate.early import new_stop, questions_of
from evalkit.gate.evidence import PairedEvidence, Run
from evalkit.gate.explain import explain
from evalkit.gate.gate import run_gate
from evalkit.gate.result import CheckResult, Status
from evalkit.gate.rules import GateRule, default_rules, parse_rule
from evalkit.records import RECORD_VERSION, CallStatus, Rule
from evalkit.runs.decided import SPENDING, Decider, looks_at
from evalkit.runs.folder import RunInfo, write_info
from evalkit.runs.looks import FAILED, PASSED, EarlyStop
from evalkit.runs.store import RunStore
from evalkit.stats import StatsUnavailable

CONFIDENCE = 0.95
Flags = NDArray[np.bool_]


class World(NamedTuple):
    """How two runs of one benchmark come about.

    Attributes:
        name: in words.
        clusters: groups of samples.
        size: samples in each.
        accuracy: of the baseline.
        noise: share of samples on which two runs of the same agent disagree in being right.
        tools: tool rate of the baseline.
        tool_noise: the same for having called.
        drop: by how much the new run's accuracy is lower.
        more: by how much its tool rate is higher.
        together: chance that the samples of a cluster are drawn as one.
    """

    name: str
    clusters: int = 800
    size: int = 1
    accuracy: float = 0.8
    noise: float = 0.10
    tools: float = 0.5
    tool_noise: float = 0.10
    drop: float = 0.0
    more: float = 0.0
    together: float = 0.0


UNCHANGED = (
    World("no change, 800 samples"),
    World("no change, 191 samples", clusters=191, accuracy=0.9, noise=0.08, tools=0.98, tool_noise=0.03),
    World("no change, hardly any noise", noise=0.005, tool_noise=0.005),
    World("no change, 200 questions x 4", clusters=200, size=4, together=0.5),
)
CHANGED = (
    World("3 points lost, 800 samples", drop=0.03),
    World("3 points lost, more noise", drop=0.03, noise=0.2),
    World("5 points lost, 800 samples", drop=0.05),
    World("3 points lost, 200 questions x 4", clusters=200, size=4, drop=0.03, together=0.5),
    World("5 points more calls (the limit)", more=0.05),
    World("10 points more calls", more=0.10),
)
EXPLAINED = 20
"""Pairs of runs that `--explain` is asked about."""
LOOKED_AT = (
    *(World(f"{100 * drop:g} points lost", drop=drop) for drop in (0.0, 0.03, 0.05, 0.10)),
    World("0 lost, 200 questions x 4", clusters=200, size=4, together=0.5),
    World("3 lost, 200 questions x 4", clusters=200, size=4, together=0.5, drop=0.03),
)
"""Of the runs with looks."""
MARGIN = 0.03
"""Theirs."""


class Runs:
    """Draws pairs of runs of a world; every sample's four possible rows are made once."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self._rng = np.random.default_rng(seed)
        self.n = world.clusters * world.size
        self.samples = [
            Sample(id=str(i), question="?", answer="A", cluster=str(i // world.size) if world.size > 1 else "")
            for i in range(self.n)
        ]
        self.records = [{(r, c): _record(s, r, c) for r in (0, 1) for c in (0, 1)} for s in self.samples]
        self._kept = [{key: kept_of(record) for key, record in each.items()} for each in self.records]
        whole = {key: tuple(each[key] for each in self._kept) for key in self._kept[0]}
        self._sides = {
            key: side_of(info_of(self.n), rows, Path("run"), "run", Rule.STRICT) for key, rows in whole.items()
        }

    def pair(self) -> tuple[tuple[Flags, Flags], tuple[Flags, Flags]]:
        """(right, called) of the baseline and of a new run."""
        world = self.world
        right = self._yes(world.accuracy, world.noise, -world.drop)
        called = self._yes(world.tools, world.tool_noise, world.more)
        return (right[0], called[0]), (right[1], called[1])

    def rows(self, right: Flags, called: Flags) -> tuple[Kept, ...]:
        """What is kept of a run."""
        return tuple(each[key] for each, key in zip(self._kept, _keys(right, called), strict=True))

    def run(self, right: Flags, called: Flags) -> Run:
        """A run as the gate sees it, put together from samples that were read before: most of a gate is reading."""
        ids = [sample.id for sample in self.samples]
        rows = self.rows(right, called)
        units = {id: self._sides[key].units[id] for id, key in zip(ids, _keys(right, called), strict=True)}
        side = msgspec.structs.replace(self._sides[0, 0], units=units)
        return Run(side, rows, {row.id: (row,) for row in rows})

    def _yes(self, share: float, noise: float, shift: float) -> tuple[Flags, Flags]:
        """Yes or no per sample in two runs that disagree as `Noise.discordance_at` says."""
        disagree = max(noise + shift * (1 - 2 * share), abs(shift))
        only_old, only_new = (disagree - shift) / 2, (disagree + shift) / 2
        both = share - only_old
        drawn = self._uniform()
        old = drawn < both + only_old
        new = (drawn < both) | ((drawn >= both + only_old) & (drawn < both + only_old + only_new))
        return old, new

    def _uniform(self) -> NDArray[np.float64]:
        each = self._rng.random(self.n)
        if self.world.together == 0:
            return each
        shared = np.repeat(self._rng.random(self.world.clusters), self.world.size)
        as_one = np.repeat(self._rng.random(self.world.clusters) < self.world.together, self.world.size)
        return np.where(as_one, shared, each)


def _keys(right: Flags, called: Flags) -> Iterator[tuple[int, int]]:
    return zip(right.astype(int).tolist(), called.astype(int).tolist(), strict=True)


def _record(sample: Sample, right: int, called: int) -> Record:
    calls = (ToolCall(tool="python", raw="{}", status=CallStatus.OK),) * called
    return Record(
        version=RECORD_VERSION,
        sample=sample,
        trajectory=Trajectory(prompt="?", stop=StopReason.ANSWERED, turns=(Turn(text="A", calls=calls),)),
        outcome=Outcome(verdict=Verdict.CORRECT if right else Verdict.INCORRECT, scorer="world/1"),
    )


def info_of(n: int) -> RunInfo:
    """A `run.json` of the world."""
    config = {"task": {"name": "world", "version": 1, "options": {}}, "model": {"name": "agent"}}
    return RunInfo(evalkit="0", created="", config=config, config_hash="0", expected_rows=n)


def held(rows: tuple[Kept, ...]) -> Samples:
    """A run as a baseline is held."""
    return Samples(name="baseline", kind=RUN, info=info_of(len(rows)), rows=rows)


def gate(old: Run, new: Run, rules: Sequence[GateRule]) -> tuple[CheckResult, ...]:
    """`run_gate` without folders."""
    pairs, _, _ = paired(old.side, new.side, ())
    evidence = PairedEvidence(old, new, pairs, rule=Rule.STRICT, confidence=CONFIDENCE)
    found = [check_of(rule, CONFIDENCE).look(evidence.contrast(rule)) for rule in rules]
    return judged(found, "world", CONFIDENCE)


def check_against_folders(seed: int) -> None:
    """The short way must say what the long one says."""
    runs = Runs(World("", clusters=300, drop=0.04), seed)
    for _ in range(5):
        old, new = runs.pair()
        with tempfile.TemporaryDirectory() as place:
            for name, (right, called) in (("old", old), ("new", new)):
                folder = Path(place) / name
                folder.mkdir()
                write_info(folder, info_of(runs.n))
                with RunStore(folder) as store:
                    for each, key in zip(runs.records, _keys(right, called), strict=True):
                        store.append(each[key])
            long = run_gate(Path(place) / "new", str(Path(place) / "old")).checks
        short = gate(runs.run(*old), runs.run(*new), default_rules())
        assert [(one.status, one.p_adjusted) for one in long] == [(one.status, one.p_adjusted) for one in short]


class Seen(NamedTuple):
    """What was seen in one world: gates that failed, and what the rules of accuracy and tool rate said."""

    failed: int
    accuracy: Counter[Status]
    tools: Counter[Status]
    said: tuple[list[float], list[float]]


def drawn(world: World, draws: int, seed: int) -> Seen:
    """Gates on drawn pairs of runs, with the default rules, and what `--explain` says of failing."""
    runs = Runs(world, seed)
    rules = default_rules()
    failed, accuracy, tools = 0, Counter[Status](), Counter[Status]()
    with patch.object(stats, "needed_n_non_inferiority", unavailable):
        for _ in range(draws):
            old, new = runs.pair()
            checks = gate(runs.run(*old), runs.run(*new), rules)
            failed += any(check.status is Status.FAIL for check in checks)
            accuracy[checks[0].status] += 1
            tools[checks[1].status] += 1
        return Seen(failed, accuracy, tools, said(world, seed) if world in CHANGED else ([], []))


def said(world: World, seed: int) -> tuple[list[float], list[float]]:
    """What `--explain` says of failing for accuracy and tools, from several pairs of runs without a change."""
    accuracy: list[float] = []
    tools: list[float] = []
    runs = Runs(world._replace(drop=0.0, more=0.0), seed + 1)
    for _ in range(EXPLAINED):
        old, new = runs.pair()
        found = explain(held(runs.rows(*old)), new=held(runs.rows(*new)))
        for rule, change, chances in zip(found.rules, (world.drop, world.more), (accuracy, tools), strict=False):
            at = [rule.unchanged, *rule.chances]
            chances += [chance.fails for chance in at if chance and math.isclose(chance.change, change)]
    return accuracy, tools


class Stopped(NamedTuple):
    """Runs with looks: their decisions, and the rows that the looks took."""

    decisions: Counter[str]
    rows: float


def stopped(world: World, draws: int, seed: int) -> Stopped:
    """Runs with looks, against a baseline of the same samples."""
    runs = Runs(world, seed)
    rules = (parse_rule(f"accuracy:noninferior:{100 * MARGIN:g}pt"),)
    decisions, rows = Counter[str](), 0
    for _ in range(draws):
        old, new = runs.pair()
        against = held(runs.rows(*old))
        question = questions_of(rules, against, Rule.STRICT)[0]
        # clusters are drawn independently, so that any order of them is a random one
        stop = EarlyStop(
            **new_stop(rules, against, Rule.STRICT, ""),
            spending=SPENDING.value,
            seed=0,
            planned=looks_at(runs.samples, question.baseline),
        )
        decider = Decider(stop, [question], runs.samples, 0.01)
        for i, (each, right) in enumerate(zip(runs.records, new[0].tolist(), strict=True), 1):
            decider.add(each[int(right), 0])
            if i in stop.planned:
                decider.look()
            if stop.decision:
                break
        decisions[stop.decision] += 1
        rows += stop.looks[-1].rows
    return Stopped(decisions, rows / draws)


def share(count: int, draws: int) -> str:
    """A share with its Monte-Carlo standard error."""
    p = count / draws
    return f"{p:6.2%} ± {math.sqrt(max(p * (1 - p), 1 / draws) / draws):5.2%}"


def middle(values: Sequence[float]) -> str:
    """Mean and spread of what is said from several pairs of runs."""
    if not values:
        return "not among its steps"
    low, high = np.quantile(values, (0.05, 0.95))
    return f"{np.mean(values):6.2%} ({low:.1%} to {high:.1%})"


def show_gates(pool: Executor, draws: int, seed: int) -> None:
    """Print how often the gate fails with its default rules."""
    worlds = (*UNCHANGED, *CHANGED)
    found = dict(zip(worlds, pool.map(drawn, worlds, repeat(draws), repeat(seed)), strict=True))
    print(f"default rules, alpha {1 - CONFIDENCE:.0%} for all checks together; {draws} drawn pairs of runs")
    print(f"  {'world':34} {'gate fails':>16} {'accuracy fails':>16} {'tool rate fails':>16}")
    for world in UNCHANGED:
        seen = found[world]
        cells = (seen.failed, seen.accuracy[Status.FAIL], seen.tools[Status.FAIL])
        print(f"  {world.name:34} {' '.join(f'{share(cell, draws):>16}' for cell in cells)}")
    print(
        f"\nthe same with a change, and what --explain says: mean of {EXPLAINED} pairs without a change (5 % to 95 %)"
    )
    print(f"  {'world':34} {'check':9} {'fails':>16} {'said':>26} {'passes':>16}")
    for world in CHANGED:
        seen = found[world]
        name, counts, chances = ("tool rate", seen.tools, 1) if world.more else ("accuracy", seen.accuracy, 0)
        fails, passes = share(counts[Status.FAIL], draws), share(counts[Status.PASS], draws)
        print(f"  {world.name:34} {name:9} {fails:>16} {middle(seen.said[chances]):>26} {passes:>16}", flush=True)


def show_early(pool: Executor, draws: int, seed: int) -> None:
    """Print how often runs with looks fail and pass, and how many rows they take."""
    print(
        f"\n--stop-when-decided accuracy:noninferior:{100 * MARGIN:g}pt, 800 rows, 10 looks, 10 % noise, {draws} runs;"
    )
    print("beside each share that of a gate without looks")
    print(f"  {'':25} {'fails':>16} {'no looks':>9} {'passes':>16} {'no looks':>9} {'rows':>5} {'saved':>6}")
    for world, seen in zip(LOOKED_AT, pool.map(stopped, LOOKED_AT, repeat(draws), repeat(seed)), strict=True):
        n = world.clusters * world.size
        whole = stats.gate_power(
            n,
            world.noise + world.drop * (2 * world.accuracy - 1),
            -world.drop,
            fail_below=0.0,
            pass_above=-MARGIN,
            design_effect=1 + world.together * (world.size - 1),
        )
        fails, passes = share(seen.decisions[FAILED], draws), share(seen.decisions[PASSED], draws)
        print(
            f"  {world.name:25} {fails:>16} {whole.fails:9.2%} {passes:>16} {whole.passes:9.2%} "
            f"{seen.rows:5.0f} {1 - seen.rows / n:6.0%}",
            flush=True,
        )


def unavailable(*_: object, **__: object) -> int:
    """How many samples would be enough changes no verdict, and takes most of a gate's time."""
    raise StatsUnavailable("left out here")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    check_against_folders(options.seed)
    with ProcessPoolExecutor() as pool:
        show_gates(pool, options.draws, options.seed)
        show_early(pool, options.draws, options.seed)


if __name__ == "__main__":
    main()
