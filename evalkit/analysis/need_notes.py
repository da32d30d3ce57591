"""What a reader must know beside the need figures, in words."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.analysis.counterfactual import Counterfactual
from evalkit.analysis.figure import Figure
from evalkit.analysis.need import Corrected, NeedFigures

NEED_NAMES = {
    "redundant_rate": "redundant of called pairs",
    "redundant_share": "redundant of all pairs",
    "need": "need (wrong without)",
    "precision": "precision of calling",
    "recall": "recall of calling",
    "f1": "F1 of calling",
}
"""What the need figures are called for people."""

_NONE = "not available"


def need_notes(found: Counterfactual) -> list[str]:
    """What a reader must know beside the tables: the correction, what is left out, what is not available and why."""
    table = found.overall
    p_value = table.difference.p_value
    notes = [f"correction for chance: {table.need[0].correction}" if table.pairs else "there is no pair"]
    if p_value is not None:
        shown = "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"
        notes.append(f"with tools against without: {shown} ({table.difference.test})")
    notes += [f"left out: {count} x {why}" for why, count in found.left_out.items()]
    if found.asked_anyway:
        notes.append(f"{found.asked_anyway} still asked for a tool when they had none; such a call is not run")
    if found.not_forced:
        notes.append(f"{found.not_forced} did not call when forced to, and say nothing of what a call would do")
    if found.incomplete:
        notes.append(f"{found.incomplete} lack some of the draws without tools: not in the figures over all of them")
    return [*notes, *_reasons(found)]


def _reasons(found: Counterfactual) -> Iterator[str]:
    """Why figures are not available, each reason once."""
    table = found.overall
    named = [("missed", table.shares["missed"]), ("with tools - without", table.difference.raw)]
    for i, figures in enumerate(table.need):
        named += _named(figures, f"by {figures.counting}" if i else "")
    names: dict[tuple[str, str], list[str]] = {}
    for name, figure in named:
        if figure.why:
            what = _NONE if figure.value is None else f"its interval is {_NONE}"
            names.setdefault((what, figure.why), []).append(name)
    for (what, why), which in names.items():
        yield f"{', '.join(dict.fromkeys(which))}: {what}, because {why}"


def _named(figures: NeedFigures, counting: str) -> list[tuple[str, Figure]]:
    """The figures of one way of counting that may lack something; as one where all lack the same."""
    every: list[Corrected] = [getattr(figures, key) for key in NEED_NAMES]
    shown = [(both.raw, "") if both.raw.why else (both.corrected, " (corrected)") for both in every]
    alike = {(figure.value is None, figure.why, what) for figure, what in shown}
    if counting and len(alike) == 1:
        return [(f"all {counting}{shown[0][1]}", shown[0][0])]
    by = f", {counting}" if counting else ""
    return [(f"{name}{by}{what}", figure) for name, (figure, what) in zip(NEED_NAMES.values(), shown, strict=True)]
