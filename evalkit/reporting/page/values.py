"""A figure's number for a cell, and the same with all that belongs to it for whoever asks."""

from __future__ import annotations

from collections.abc import Callable

from evalkit.analysis.figure import Figure
from evalkit.reporting.words import MISSING, number_text


def percent(value: float | None) -> str:
    """A share in percent, without the sign: the heading has it."""
    return MISSING if value is None else f"{100 * value:.1f}"


def interval(figure: Figure) -> str:
    """The ends of a share's 95 % interval, in percent; empty where there is none."""
    return "" if figure.low is None or figure.high is None else f"{percent(figure.low)} – {percent(figure.high)}"


def whole_share(figure: Figure) -> str:
    """A share in a sentence: its rows, interval and method, or why it is not there."""
    return _whole(figure, lambda value: f"{percent(value)} %")


def whole_number(figure: Figure, unit: str = "") -> str:
    """A mean or a quantile in a sentence."""
    return _whole(figure, lambda value: f"{number_text(Figure(value=value))} {unit}".strip())


def _whole(figure: Figure, form: Callable[[float], str]) -> str:
    if figure.value is None:
        return "not available" + (f", because {figure.why}" if figure.why else "")
    text = form(figure.value)
    if figure.count is not None:
        text += f", {figure.count:,} of {figure.n:,} rows"
    elif figure.n:
        text += f", over {figure.n:,} rows"
    if figure.low is not None and figure.high is not None:
        how = f" ({figure.method})" if figure.method else ""
        return f"{text}, 95 % interval {form(figure.low)} to {form(figure.high)}{how}"
    return text + (f"; no interval, because {figure.why}" if figure.why else "")
