"""The numbers and sentences of a comparison, for a terminal as for Markdown; nothing here is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis.comparison import Comparison, Versus
from evalkit.analysis.config_diff import ConfigDifference
from evalkit.analysis.flips import RIGHT_TO_WRONG, WRONG_TO_RIGHT, Flip
from evalkit.analysis.paired_figures import CATEGORIES, FIGURES, NONE, Figure
from evalkit.reporting.settings import setting

DIRECTIONS = (RIGHT_TO_WRONG, WRONG_TO_RIGHT)
_UNITS = {"seconds": ", s"}


def name_of(figure: Figure) -> str:
    """The figure's name with its category."""
    return f"{figure.name} [{figure.category}]" if figure.category else figure.name


def heading_of(figure: Figure) -> str:
    """The same with the unit, where numbers need one."""
    return name_of(figure) + _UNITS.get(figure.unit, "")


def value_of(figure: Figure, value: float | None) -> str:
    """One run's value: a share in percent, anything else with about three digits."""
    if value is None:
        return ""
    return f"{value:.1%}" if figure.unit == "share" else f"{value:.{_places(figure)}f}"


def difference_of(figure: Figure) -> str:
    """New - old with its sign: a share in points."""
    return "" if figure.difference is None else _signed(figure, figure.difference)


def interval_of(figure: Figure) -> str:
    """The difference's interval; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{_signed(figure, figure.low)} to {_signed(figure, figure.high)}"


def p_of(value: float | None) -> str:
    """A p value with three decimals."""
    if value is None:
        return ""
    return "<.001" if value < 0.001 else f"{value:.3f}"


def _signed(figure: Figure, value: float) -> str:
    text = f"{100 * value:+.1f}" if figure.unit == "share" else f"{value:+.{_places(figure)}f}"
    # a zero has no sign
    return text[1:] if not text.strip("+-0.") else text


def _places(figure: Figure) -> int:
    size = max(abs(figure.old or 0.0), abs(figure.new or 0.0))
    if size == 0:
        return 2
    return 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3


def remarks(versus: Versus, comparison: Comparison) -> list[str]:
    """What a reader must know of the figures, a sentence each."""
    reference = comparison.runs[0].label
    lines = []
    accuracy = versus.figures[0]
    if counts := accuracy.counts:
        lines.append(
            f"accuracy: {counts.both} right in both, {counts.only_old} only in {reference}, "
            f"{counts.only_new} only in {versus.label}, {counts.neither} in neither"
        )
    found = versus.detectable
    if found.value is None:
        lines.append(f"what this comparison could have seen: {NONE}, because {found.why}")
    else:
        lines.append(
            f"this comparison could have seen {100 * found.value:.1f} points of accuracy "
            f"(power {found.power:.0%}, level {found.alpha:.0%}, one test)"
        )
    for why, names in _unavailable(versus).items():
        lines.append(f"{', '.join(names)}: {NONE}, because {why}")
    for figure in versus.figures:
        if figure.verdict != NONE and figure.why:
            lines.append(f"{name_of(figure)}: {figure.why}")
        elif figure.n not in (0, versus.overlap.pairs) and not figure.category:
            lines.append(f"{name_of(figure)}: over the {figure.n} samples that have it in both runs")
    return lines + list(versus.notes)


def _unavailable(versus: Versus) -> dict[str, list[str]]:
    """What is not available, by the reason."""
    reasons: dict[str, list[str]] = {}
    for figure in versus.figures:
        if figure.verdict == NONE:
            what = name_of(figure) if figure.difference is None else f"the interval of {name_of(figure)}"
            reasons.setdefault(figure.why, []).append(what)
    return reasons


def overlap_of(versus: Versus, comparison: Comparison) -> str:
    """How many samples were paired, and why others were not."""
    overlap, reference = versus.overlap, comparison.runs[0].label
    parts = [f"{overlap.pairs} samples paired by id"]
    for ids, where in ((overlap.only_old, reference), (overlap.only_new, versus.label)):
        if ids:
            parts.append(f"{len(ids)} only in {where}")
    for ids, where in ((overlap.errors_old, reference), (overlap.errors_new, versus.label)):
        if ids:
            parts.append(f"{len(ids)} left out: an error in {where}")
    if not overlap.overridden:
        parts.append("questions, options and reference answers are equal")
    return "; ".join(parts) + "".join(f"; PAIRED ALL THE SAME, {text}" for text in overlap.overridden)


def tests_of(comparison: Comparison) -> str:
    """Over how many tests p is adjusted."""
    parts = [f"{comparison.tests.get(FIGURES, 0)} tests of main figures"]
    if CATEGORIES in comparison.tests:
        parts.append(f"apart from them over {comparison.tests[CATEGORIES]} by category")
    return f"p is Holm's over {', '.join(parts)}; intervals are 95 % each"


def config_line(difference: ConfigDifference, comparison: Comparison, unknown: Sequence[bool]) -> str:
    """One setting: its values in all runs."""
    values = [setting(value, known) for value, known in zip(difference.values, unknown, strict=True)]
    if len(values) == 2:
        return f"{values[0]} -> {values[1]}"
    return "; ".join(f"{run.label} {value}" for run, value in zip(comparison.runs, values, strict=True))


def side_of_flip(answer: str | None, verdict: str, reason: str) -> str:
    """An answer with how it was read, or why there is none."""
    shown = "no answer" if answer is None else repr(answer)
    words = [word for word in (verdict if verdict not in ("correct", "incorrect") else "", reason) if word]
    return f"{shown} ({', '.join(words)})" if words else shown


def flips_of(versus: Versus) -> dict[str, list[Flip]]:
    """The flips by direction."""
    return {direction: [f for f in versus.flips if f.direction == direction] for direction in DIRECTIONS}
