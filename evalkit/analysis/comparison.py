"""What a comparison of runs found: plain data, and the form of its JSON."""

from __future__ import annotations

import msgspec

from evalkit.analysis.config_diff import ConfigDifference
from evalkit.analysis.detectable import Detectable
from evalkit.analysis.flips import Flip
from evalkit.analysis.own_figures import OwnFigure
from evalkit.analysis.paired_figures import Figure
from evalkit.analysis.pairing import Overlap
from evalkit.analysis.pareto import Front
from evalkit.records import Rule

SCHEMA = 1


class RunRef(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a comparison.

    Attributes:
        label: "A" for the reference, then "B", ...
        model: the model's name.
        folder: as the user names it.
        samples: those with a finished trajectory of the agent.
        expected: rows of the benchmark as configured.
        errors: trajectories of the agent that ended with an error; a sample with no other has no score.
        repeats: the most that any sample has.
        imported: whether another program made it: a setting that it does not have is then not known.
        notes: what a reader of its figures must know.
    """

    label: str
    model: str
    folder: str
    samples: int
    expected: int
    errors: int
    repeats: int
    imported: bool
    notes: tuple[str, ...]


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """One run against the reference.

    Attributes:
        label: of the run.
        overlap: which samples make pairs.
        figures: the main figures, then those by category.
        detectable: the smallest difference in accuracy that this comparison could have seen.
        flips: every sample whose verdict changed, in the order of the reference.
        notes: what a reader must know of this pair of runs.
    """

    label: str
    overlap: Overlap
    figures: tuple[Figure, ...]
    detectable: Detectable
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All that `evalkit compare` says; its JSON form is this struct's.

    Attributes:
        schema: raised when a field changes its meaning.
        task: the benchmark; of the reference where the user allows several.
        rule: whose verdicts count.
        runs: the reference first.
        config: in what the runs differ.
        against: each other run against the reference, in order.
        tests: tests per family over which p is adjusted.
        own: the benchmark's own figures of each run, untested.
        own_why: why there are none, where the benchmark cannot be asked.
        fronts: the runs that no other beats, by accuracy against calls and against tokens, each over its own rows.
    """

    schema: int
    task: str
    rule: Rule
    runs: tuple[RunRef, ...]
    config: tuple[ConfigDifference, ...]
    against: tuple[Versus, ...]
    tests: dict[str, int]
    own: tuple[OwnFigure, ...] = ()
    own_why: str = ""
    fronts: tuple[Front, ...] = ()
