"""Who wastes its tools, in a sentence or two, or why nobody can say."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis.board import Entry, Headline
from evalkit.analysis.figure import Figure
from evalkit.analysis.row_index import RowIndex
from evalkit.analysis.told_apart import Against, against
from evalkit.analysis.words import Named, listed, points, share

TOOLS = "tools"
_MEASURE = "evalkit run --counterfactual measures it"
_NAMED = 3


def tools(named: Sequence[Named]) -> Headline:
    """Of redundant calls where runs without tools tell of them, else of calls alone."""
    sound = [run for run in named if run.sound] or list(named)
    measured = [run for run in sound if wasted(run.entry).value is not None]
    return _of_waste(measured, sound) if measured else _of_calls(sound)


def wasted(entry: Entry) -> Figure:
    """Rows with a call and right without tools too, of all pairs; corrected for chance where that can be had."""
    if entry.need is None or not entry.need.need:
        return Figure()
    both = entry.need.need[0].redundant_share
    return both.corrected if both.corrected.value is not None else both.raw


def redundant(index: RowIndex) -> list[bool | None]:
    """The rows that `wasted` counts, as they are."""
    return [
        None if calls is None or without is None else calls > 0 and without
        for calls, without in zip(index.calls, index.without, strict=True)
    ]


def _of_waste(measured: Sequence[Named], sound: Sequence[Named]) -> Headline:
    worst, *others = sorted(measured, key=lambda run: -(wasted(run.entry).value or 0.0))
    rest = [run.name for run in sound if run not in measured]
    unknown = f" Of {listed(rest, _NAMED)} this was not measured." if rest else ""
    amount = f"on {share(wasted(worst.entry))} of all rows without need ({_how(worst.entry)})"
    amount += _of_called(worst.entry)
    if not others:
        text = f"{worst.name} called a tool on {share(worst.entry.tool_rate)} of its rows, {amount}."
        return Headline(kind=TOOLS, text=text + unknown, runs=(worst.entry.run,))
    found = against(worst.rows, [run.rows for run in others], redundant)
    if all(one.ahead for one in found):
        text = f"{worst.name} wastes its tools most: it calls one {amount}. {_next(others, found)}."
    else:
        level = [others[one.other] for one in found if not one.ahead]
        parts = [f"{run.name} {share(wasted(run.entry))}" for run in (worst, *level)]
        text = f"Nobody is shown to waste tools most. Rows with a call that was not needed: {listed(parts, 4)}."
    return Headline(kind=TOOLS, text=text + unknown, runs=(worst.entry.run,))


def _how(entry: Entry) -> str:
    corrected = entry.need is not None and entry.need.need[0].redundant_share.corrected.value is not None
    return "right without tools too, corrected for chance" if corrected else "right without tools too"


def _of_called(entry: Entry) -> str:
    """The same out of the rows with a call, which is what tables show."""
    if entry.redundant is None:
        return ""
    corrected = entry.redundant.corrected
    value = corrected.value if corrected.value is not None else entry.redundant.raw.value
    return "" if value is None else f", {value:.1%} of those with a call"


def _next(others: Sequence[Named], found: Sequence[Against]) -> str:
    """The one that comes after it."""
    amount = f"{share(wasted(others[0].entry))}{_of_called(others[0].entry)}"
    return f"Next is {others[0].name} with {amount} (as counted: {points(found[0])})"


def _of_calls(runs: Sequence[Named]) -> Headline:
    known = [run for run in runs if run.entry.calls.value is not None]
    if not known:
        return Headline(kind=TOOLS, text="Nothing is known of tool use: there are no scored rows, or answers alone.")
    if not any(run.entry.calls.value for run in known):
        return Headline(kind=TOOLS, text="No run called a tool.")
    most, *others = sorted(known, key=lambda run: -(run.entry.calls.value or 0.0))
    if others:
        least = others[-1]
        text = f"{most.name} calls most ({_calls(most)} a row), {least.name} least ({_calls(least)})"
        text += f"; {most.name} is not shown to have more right." if _no_gain(most, least) else "."
    else:
        text = f"{most.name} called a tool on {share(most.entry.tool_rate)} of its rows."
    text += f" Whether the calls were needed was not measured ({_MEASURE})."
    return Headline(kind=TOOLS, text=text, runs=(most.entry.run,))


def _calls(run: Named) -> str:
    return f"{run.entry.calls.value or 0.0:.2f}"


def _no_gain(most: Named, least: Named) -> bool:
    (found,) = against(most.rows, [least.rows], lambda index: index.right)
    return found.p is not None and not found.ahead
