"""What a gate can show with a baseline and a number of samples: plain data, and its rows for a table."""

from __future__ import annotations

import msgspec

STEPS = (0.01, 0.02, 0.03, 0.05)
"""True changes for the worse, in share units, whose chances are given."""
POWERS = (0.8, 0.9)
"""Chances with which the smallest change that is given fails."""
HEADER = (
    "rule",
    "samples",
    "disagree",
    "fails unchanged",
    *(f"fails at {100 * step:g}pt" for step in STEPS),
    *(f"seen {power:.0%} of the time" for power in POWERS),
    "passes unchanged",
    "enough to pass",
)
"""Of `explanation_rows`."""


class Chance(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says when the truth is so.

    Attributes:
        change: true change for the worse, in share units.
        fails: chance that the check fails.
        passes: chance that it passes; what is left to 1 is that it cannot tell.
    """

    change: float
    fails: float
    passes: float


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One rule.

    Attributes:
        rule: as written.
        metric: its metric.
        category: the part of the benchmark; "" for the whole.
        n: pairs of samples.
        discordance: expected share of them on which two runs of one and the same agent disagree.
        known_by: where that comes from, in words.
        design_effect: samples that carry as much information as one independent sample.
        level: one-sided level at which it fails, Holm's first step over all tests of the gate.
        unchanged: without a change.
        chances: at the changes of `STEPS` that there is room for.
        seen: by the chance to fail ("80%"), the smallest true change for the worse that fails so often; None where
            no change does.
        enough: samples with which it passes 80 % of the time when nothing has changed; None where no number does.
        why: the reason where nothing can be said, or for a missing `enough`.
    """

    rule: str
    metric: str
    category: str = ""
    n: int = 0
    discordance: float | None = None
    known_by: str = ""
    design_effect: float = 1.0
    level: float | None = None
    unchanged: Chance | None = None
    chances: tuple[Chance, ...] = ()
    seen: dict[str, float | None] = {}
    enough: int | None = None
    why: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate can show.

    Attributes:
        schema: raised when a field changes its meaning.
        task: the benchmark.
        baseline: as the user names it.
        new: the new run, as the user names it; "" without one.
        n: pairs of samples.
        confidence: of the gate.
        tests: checks that are tests, over which failures are adjusted.
        false_alarms: how often the whole gate fails when nothing has changed, at most.
        rules: in order.
        notes: what the figures rest on.
    """

    schema: int
    task: str
    baseline: str
    new: str
    n: int
    confidence: float
    tests: int
    false_alarms: float
    rules: tuple[Explained, ...]
    notes: tuple[str, ...] = ()


def explanation_rows(explanation: Explanation) -> list[tuple[str, ...]]:
    """A row per rule, in the order of `HEADER`; a rule of which nothing can be said has its reason in the last cell."""
    return [_row(rule) for rule in explanation.rules]


def _row(found: Explained) -> tuple[str, ...]:
    name = f"{found.rule} [{found.category}]" if found.category else found.rule
    if found.unchanged is None:
        return (name, *[""] * (len(HEADER) - 2), found.why)
    at = {chance.change: _share(chance.fails) for chance in found.chances}
    return (
        name,
        f"{found.n:,}",
        "" if found.discordance is None else f"{found.discordance:.1%}",
        _share(found.unchanged.fails),
        *(at.get(step, "no room") for step in STEPS),
        *("none" if change is None else f"{100 * change:.1f}pt" for change in found.seen.values()),
        _share(found.unchanged.passes),
        "no number" if found.enough is None else f"{found.enough:,}",
    )


def _share(chance: float) -> str:
    return "<0.1%" if 0 < chance < 0.001 else f"{chance:.1%}"
