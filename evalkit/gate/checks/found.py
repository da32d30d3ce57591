"""What a check found, and its verdict once all tests of the gate are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from evalkit.analysis.figure import Figure
from evalkit.gate.contrasts import Contrast
from evalkit.gate.levels import fail_level
from evalkit.gate.metrics import Unit
from evalkit.gate.result import CheckResult, Status
from evalkit.gate.rules import GateRule


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One check before the adjustment of its p value.

    Attributes:
        rule: what was asked.
        status: where it does not rest on a test: shown to hold, an error, or not to be told.
        why: one line for that status.
        failed: one line for the case that the test fails it.
        others: see `CheckResult`.
    """

    rule: GateRule
    status: Status
    why: str
    failed: str = ""
    baseline: Figure | None = None
    new: Figure | None = None
    difference: Figure | None = None
    limit: float | None = None
    paired: int | None = None
    p: float | None = None
    needed: int | None = None


class Check(Protocol):
    """One kind of check."""

    def look(self, contrast: Contrast) -> Found:
        """What the two runs say to the rule."""
        ...


def judged(found: Sequence[Found], task: str, confidence: float) -> tuple[CheckResult, ...]:
    """The verdicts: Holm's adjustment over all checks that are tests, and a failure where it leaves p at the level."""
    from evalkit.stats import holm

    tests = [one for one in found if one.p is not None]
    adjusted = iter(map(float, holm([one.p or 0.0 for one in tests])) if tests else ())
    return tuple(_result(one, None if one.p is None else next(adjusted), len(tests), task, confidence) for one in found)


def _result(found: Found, adjusted: float | None, tests: int, task: str, confidence: float) -> CheckResult:
    rule = found.rule
    fails = found.status is Status.INCONCLUSIVE and adjusted is not None and adjusted <= fail_level(confidence)
    over = f" over {tests} tests" if tests > 1 else ""
    return CheckResult(
        rule=rule.text,
        metric=rule.metric,
        task=task,
        category=rule.category,
        status=Status.FAIL if fails else found.status,
        why=f"{found.failed}: {p_text(adjusted)} one-sided{over}" if fails else found.why,
        baseline=found.baseline,
        new=found.new,
        difference=found.difference,
        limit=found.limit,
        paired=found.paired,
        p=found.p,
        p_adjusted=adjusted,
        needed=None if fails else found.needed,
        default=rule.default,
        unit=str(rule.about.unit),
        relative=rule.relative,
    )


def p_text(p: float | None) -> str:
    """A p value for people."""
    if p is None:
        return "p not available"
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def difference_text(rule: GateRule, value: float) -> str:
    """A difference in the unit of the rule's limit."""
    if rule.relative:
        return f"{value:+.2%}"
    return f"{100 * value:+.2f}pt" if rule.about.unit is Unit.SHARE else value_text(rule, value, sign="+")


def value_text(rule: GateRule, value: float, sign: str = "") -> str:
    """A value in the unit of the metric."""
    if rule.about.unit is Unit.SHARE:
        return f"{value:{sign}.2%}"
    return f"{value:{sign}.4g}" + ("s" if rule.about.unit is Unit.SECONDS else "")


def enough_text(needed: int | None) -> str:
    """How many samples would be enough, as the end of a sentence."""
    return "" if needed is None else f"; about {needed:,} samples would be enough"


def noted(why: str, contrast: Contrast) -> str:
    """A reason with what a reader must know of the figures."""
    return "; ".join([why, *contrast.notes])
