"""The whole analysis of any number of runs: every table at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from evalkit.analysis.accuracy import accuracy
from evalkit.analysis.costs import pixels, tokens
from evalkit.analysis.counting import counting
from evalkit.analysis.frames import RunFrames, read_run, stacked
from evalkit.analysis.latency import latency
from evalkit.analysis.outcomes import errors, outcomes, reasons
from evalkit.analysis.readers import each, run_names
from evalkit.analysis.tools import call_distribution, tool_calls, tool_use
from evalkit.records import Rule


@dataclass(frozen=True, slots=True)
class Tables:
    """Every table of one or more runs; the function of the same name says what is in it."""

    accuracy: pd.DataFrame
    tool_use: pd.DataFrame
    tool_calls: pd.DataFrame
    call_distribution: pd.DataFrame
    counting: pd.DataFrame
    latency: pd.DataFrame
    tokens: pd.DataFrame
    pixels: pd.DataFrame
    outcomes: pd.DataFrame
    reasons: pd.DataFrame
    errors: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Analysis(Tables):
    """The tables, and the frames that they come from.

    Attributes:
        runs: one per run, in the order asked for.
    """

    runs: tuple[RunFrames, ...]

    def samples(self) -> pd.DataFrame:
        """The rows of all runs in one frame, made when asked for."""
        return stacked(run.samples for run in self.runs)


def analyse(runs: Sequence[Path], rule: Rule = Rule.STRICT, processes: int | None = 1) -> Analysis:
    """Read runs and make every table.

    Args:
        runs: run folders; where two have the same name, their paths tell them apart in the tables.
        rule: whose verdicts the figures of tool use rest on; accuracy is given under every rule.
        processes: readers; None for one per processor. With more than one, a script that calls this needs the usual
            `if __name__ == "__main__":`. Runs that are read in a moment are read without.

    Raises:
        DataError: a folder is no run folder, or a line in it is corrupt; the message names it.
    """
    names = run_names(runs)
    jobs = [(folder, name, rule) for folder, name in zip(runs, names, strict=True)]
    parts = each(_one, jobs, runs, processes)
    made = [tables for _, tables in parts] or [tables_of([], rule)]
    found = {field.name: stacked(getattr(tables, field.name) for tables in made) for field in fields(Tables)}
    return Analysis(**found, runs=tuple(run for run, _ in parts))


def tables_of(runs: Sequence[RunFrames], rule: Rule = Rule.STRICT) -> Tables:
    """Every table of frames that are read already."""
    return Tables(
        accuracy=accuracy(runs),
        tool_use=tool_use(runs, rule),
        tool_calls=tool_calls(runs),
        call_distribution=call_distribution(runs),
        counting=counting(runs, rule),
        latency=latency(runs),
        tokens=tokens(runs),
        pixels=pixels(runs),
        outcomes=outcomes(runs),
        reasons=reasons(runs),
        errors=errors(runs),
    )


def _one(job: tuple[Path, str, Rule]) -> tuple[RunFrames, Tables]:
    folder, name, rule = job
    run = read_run(folder, name)
    return run, tables_of([run], rule)
