"""The figures of a comparison: each as a paired difference with its interval, its test and its verdict in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from evalkit.analysis.pairing import Pair
from evalkit.analysis.side import Unit
from evalkit.stats import StatsUnavailable

ALPHA = 0.05
"""Level of every verdict, after Holm's adjustment."""
FIGURES = "figures"
"""The family of tests of the main figures."""
CATEGORIES = "categories"
"""The family of tests within categories."""
SAME = "no difference seen"
EQUAL = "all samples equal"
CONSTANT = "same step on all"
UNTESTED = "not tested"
NONE = "not available"


class Counts(msgspec.Struct, frozen=True):
    """Samples by who has them right (or, for a tool rate, by who called)."""

    both: int
    only_new: int
    only_old: int
    neither: int


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the reference and of another run over the same samples.

    Attributes:
        name: "accuracy", "tool rate", "calls", "prompt tokens", "completion tokens", "latency", "latency alone".
        unit: "share", "calls", "tokens" or "seconds".
        family: the tests among which p is adjusted: `FIGURES` or `CATEGORIES`.
        category: "" for all samples.
        n: pairs in which both values are known.
        old: the reference's mean over these pairs; None without any.
        new: the other run's.
        difference: new - old.
        low: lower end of the difference's 95 % interval; None where it is not available.
        high: upper end.
        p: two-sided, of no difference; None where there is nothing to test with.
        p_adjusted: Holm's, over the family in all runs compared.
        method: of the interval.
        test: of p.
        counts: the 2x2 table, where every sample has one yes or no in each run.
        effective_n: independent samples that carry as much information; None where not used.
        standard_error: of the difference; None where not used.
        verdict: in words.
        why: the reason where something is not available, or what a reader must know.
    """

    name: str
    unit: str
    family: str
    category: str = ""
    n: int = 0
    old: float | None = None
    new: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    method: str = ""
    test: str = ""
    counts: Counts | None = None
    effective_n: float | None = None
    standard_error: float | None = None
    verdict: str = NONE
    why: str = ""


class Quantity(NamedTuple):
    """What is measured of a sample, and what a higher and a lower value are called."""

    name: str
    unit: str
    value: Callable[[Unit], float | None]
    higher: str
    lower: str


ACCURACY = Quantity("accuracy", "share", lambda unit: unit.right, "better", "worse")
TOOL_RATE = Quantity("tool rate", "share", lambda unit: unit.called, "higher", "lower")
CALLS = Quantity("calls", "calls", lambda unit: unit.calls, "more", "fewer")
PROMPT = Quantity("prompt tokens", "tokens", lambda unit: unit.prompt_tokens, "more", "fewer")
COMPLETION = Quantity("completion tokens", "tokens", lambda unit: unit.completion_tokens, "more", "fewer")
LATENCY = Quantity("latency", "seconds", lambda unit: unit.seconds, "slower", "faster")
ALONE = Quantity("latency alone", "seconds", lambda unit: unit.seconds, "slower", "faster")
_QUANTITIES = {q.name: q for q in (ACCURACY, TOOL_RATE, CALLS, PROMPT, COMPLETION, LATENCY, ALONE)}


def unavailable(quantity: Quantity, why: str, family: str = FIGURES) -> Figure:
    """The figure that could not be had."""
    return Figure(name=quantity.name, unit=quantity.unit, family=family, why=why)


def untested(found: Figure) -> Figure:
    """The figure with its interval and without a test: its samples share what the test takes for their own."""
    verdict = UNTESTED if found.p is not None else found.verdict
    return msgspec.structs.replace(found, p=None, test="", verdict=verdict)


def figure(
    quantity: Quantity, pairs: Sequence[Pair], labels: tuple[str, str], category: str = "", note: str = ""
) -> Figure:
    """A figure over pairs, its p value not adjusted yet.

    Args:
        quantity: what to compare.
        pairs: all of them, or one category's.
        labels: of the reference and the other run, for the reasons.
        category: the name of that category.
        note: what a reader must know beside.
    """
    family = CATEGORIES if category else FIGURES
    values = [(quantity.value(pair.old), quantity.value(pair.new), pair.old.cluster) for pair in pairs]
    known = [(old, new, cluster) for old, new, cluster in values if old is not None and new is not None]
    if not known:
        # the side that lacks the value is named
        lacking = [labels[side] for side in (0, 1) if all(value[side] is None for value in values)]
        verb = "do" if len(lacking) > 1 else "does"
        why = f"{' and '.join(lacking)} {verb} not record it" if lacking else "no sample has it in both runs"
        found = unavailable(quantity, why if values else "no sample has a score in both runs", family)
        return msgspec.structs.replace(found, category=category)
    old, new, clusters = (list(column) for column in zip(*known, strict=True))
    n = len(known)
    base = Figure(
        name=quantity.name,
        unit=quantity.unit,
        family=family,
        category=category,
        n=n,
        old=math.fsum(old) / n,
        new=math.fsum(new) / n,
        difference=math.fsum(b - a for a, b in zip(old, new, strict=True)) / n,
        why=note,
    )
    binary = quantity.unit == "share" and all(value in (0.0, 1.0) for value in (*old, *new))
    return (_shares if binary else _means)(base, new, old, clusters)


def _shares(base: Figure, new: list[float], old: list[float], clusters: list[str]) -> Figure:
    from evalkit.stats import paired_counts, paired_difference

    both, only_new, only_old, neither = paired_counts(new, old)
    base = msgspec.structs.replace(base, counts=Counts(both, only_new, only_old, neither))
    try:
        found = paired_difference(new, old, clusters)
    except StatsUnavailable as error:
        return msgspec.structs.replace(base, why=_and(base.why, str(error)))
    return msgspec.structs.replace(
        base,
        low=found.interval.low,
        high=found.interval.high,
        p=found.p_value,
        method=found.method,
        test=found.test,
        effective_n=found.effective_n,
        verdict=EQUAL if only_new == only_old == 0 else NONE,
    )


def _means(base: Figure, new: list[float], old: list[float], clusters: list[str]) -> Figure:
    from evalkit.stats import paired_mean_difference, t_test

    steps = {b - a for a, b in zip(old, new, strict=True)}
    if steps == {0.0}:
        return msgspec.structs.replace(base, verdict=EQUAL)
    try:
        found = paired_mean_difference(new, old, clusters)
    except StatsUnavailable as error:
        same = CONSTANT if len(steps) == 1 and base.n > 1 else NONE
        return msgspec.structs.replace(base, verdict=same, why=_and(base.why, str(error)))
    return msgspec.structs.replace(
        base,
        low=found.interval.low,
        high=found.interval.high,
        p=t_test(found),
        method=found.method,
        test="paired t",
        standard_error=found.standard_error,
    )


def judged(figures: Sequence[Figure], labels: Sequence[str]) -> list[Figure]:
    """Holm's adjustment within each family, and the verdicts.

    Args:
        figures: of all runs compared.
        labels: of each figure's other run.
    """
    from evalkit.stats import holm

    adjusted: dict[int, float] = {}
    for family in {figure.family for figure in figures}:
        tested = [i for i, figure in enumerate(figures) if figure.family == family and figure.p is not None]
        if tested:
            adjusted.update(zip(tested, map(float, holm([figures[i].p or 0.0 for i in tested])), strict=True))
    done = []
    for i, (figure, label) in enumerate(zip(figures, labels, strict=True)):
        if i not in adjusted:
            done.append(figure)
            continue
        verdict = figure.verdict
        if verdict == NONE:
            verdict = _verdict(figure, adjusted[i], label)
        done.append(msgspec.structs.replace(figure, p_adjusted=adjusted[i], verdict=verdict))
    return done


def _verdict(figure: Figure, p: float, label: str) -> str:
    if p > ALPHA or not figure.difference:
        return SAME
    quantity = _QUANTITIES[figure.name]
    return f"{label} {quantity.higher if figure.difference > 0 else quantity.lower}"


def _and(first: str, second: str) -> str:
    return f"{first}; {second}" if first else second
