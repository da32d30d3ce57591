"""What a gate found: plain data, and the form of its JSON."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from evalkit.analysis.figure import Figure
from evalkit.analysis.flips import Flip
from evalkit.errors import ExitCode

SCHEMA = 1
"""Raised when a field changes its meaning."""


class Status(StrEnum):
    """What became of one check."""

    PASS = "pass"
    FAIL = "fail"
    """The change made it worse than the rule allows."""
    INCONCLUSIVE = "inconclusive"
    """Too few samples to tell."""
    ERROR = "error"
    """Errors of the harness or a judge beyond the allowed share, or a figure the rule needs is not to be had."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One check.

    Attributes:
        rule: as written, e.g. "accuracy:noninferior:1.0pt".
        metric: e.g. "accuracy".
        task: the benchmark.
        category: the part of it; "" for the whole.
        status: see `Status`.
        why: one line: what the status rests on.
        baseline: the figure of the baseline; None where the rule needs none.
        new: the figure of the new run.
        difference: new minus baseline (a ratio minus 1 where the limit is relative), with its interval.
        limit: what the difference or the value may reach at most (or at least), in the unit of that figure.
        paired: samples that both runs have scored; None where the check pairs nothing.
        p: of the hypothesis that nothing got worse; None where the check is no test.
        p_adjusted: by Holm over all checks of the gate that are tests.
        needed: samples that would be enough to decide; None where it is decided or cannot be said.
        default: whether the rule is one of evalkit's own, because the user gave none.
        unit: of baseline and new, see `evalkit.gate.metrics.Unit`.
        relative: the difference is a ratio minus 1, not in that unit.
    """

    rule: str
    metric: str
    task: str
    status: Status
    why: str
    category: str = ""
    baseline: Figure | None = None
    new: Figure | None = None
    difference: Figure | None = None
    limit: float | None = None
    paired: int | None = None
    p: float | None = None
    p_adjusted: float | None = None
    needed: int | None = None
    default: bool = False
    unit: str = "share"
    relative: bool = False


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run against its baseline.

    Attributes:
        schema: see `SCHEMA`.
        task: the benchmark.
        new: the new run's folder, as the user names it.
        new_model: its model.
        baseline: the baseline, as the user names it.
        baseline_kind: "run", "archive" or "published".
        baseline_model: its model.
        confidence: of every test, e.g. 0.95.
        checks: in the order of the rules.
        flips: every sample whose verdict changed.
        overrides: differences that the user allowed (`--allow-different`), each with what differs.
        notes: what a reader must know: machines that differ, rows left out, a baseline without samples.
        exit_code: see `evalkit.errors.ExitCode`.
    """

    schema: int
    task: str
    new: str
    new_model: str
    baseline: str
    baseline_kind: str
    baseline_model: str
    confidence: float
    checks: tuple[CheckResult, ...]
    flips: tuple[Flip, ...] = ()
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.OK
