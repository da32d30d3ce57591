"""What a board says, in a few sentences, for readers who read nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from evalkit.analysis.board import Entry, Headline
from evalkit.analysis.config_diff import ASKED, ConfigDifference
from evalkit.analysis.row_index import RowIndex
from evalkit.analysis.told_apart import Against, against
from evalkit.analysis.tool_headlines import tools
from evalkit.analysis.words import Named, listed, points, share
from evalkit.errors import one_line

BEST, CAUTION = "best", "caution"
_NAMED = 3
_LONGEST = 80


def headlines_of(
    entries: Sequence[Entry], indexes: Sequence[RowIndex], config: Sequence[ConfigDifference]
) -> tuple[Headline, ...]:
    """The sentences of a board: who is best, who wastes its tools, and what to beware of.

    Args:
        entries: the most accurate first.
        indexes: of the same runs.
        config: settings that matter and in which the runs differ.
    """
    named = named_runs(entries, indexes)
    return (_best(named), tools(named), *_cautions(named, config))


def named_runs(entries: Sequence[Entry], indexes: Sequence[RowIndex]) -> list[Named]:
    """The runs by their model's name, or by their own where several runs have that model."""
    count = Counter(entry.model for entry in entries)
    return [
        Named(one_line(entry.model if count[entry.model] == 1 else entry.run, _LONGEST), entry, index)
        for entry, index in zip(entries, indexes, strict=True)
    ]


def _best(named: Sequence[Named]) -> Headline:
    scored = [run for run in named if run.entry.accuracy.value is not None]
    if not scored:
        reasons = list(dict.fromkeys(run.entry.accuracy.why for run in named if run.entry.accuracy.why))
        why = reasons[0] if len(reasons) == 1 else "no run has a scored row"
        return Headline(kind=BEST, text=f"Nothing can be said of accuracy: {why}.")
    sound = [run for run in scored if run.sound] or scored
    first, others = sound[0], sound[1:]
    value = f"{share(first.entry.accuracy)} of {first.entry.accuracy.n} scored rows"
    if not others:
        alone = "there is no other run to compare it with" if len(named) == 1 else "no other run is finished and sound"
        return Headline(kind=BEST, text=f"{first.name} has {value} right; {alone}.", runs=(first.entry.run,))
    found = against(first.rows, [run.rows for run in others], lambda index: index.right)
    level = [run.name for run in sound if run.entry.accuracy.value == first.entry.accuracy.value]
    if len(level) > 1:
        lead = f"{listed(level, _NAMED)} have equally many right: {value}."
    else:
        lead = f"{first.name} has the most right: {value}."
    compared = _compared("It" if len(level) == 1 else first.name, found, others)
    return Headline(kind=BEST, text=" ".join([lead, *compared]), runs=(first.entry.run,))


def _compared(who: str, found: Sequence[Against], others: Sequence[Named]) -> Iterator[str]:
    behind = [one for one in found if one.behind]
    level = [one for one in found if one.p is not None and not one.ahead and not one.behind]
    untested = [one for one in found if one.p is None]
    ahead = [one for one in found if one.ahead]
    if ahead and len(ahead) == len(others) > 1:
        yield f"{who} is ahead of all {len(others)} others on the rows they share."
    elif ahead:
        yield f"{who} is ahead of {_names(ahead, others)} on the rows they share."
    if level:
        yield f"{who} cannot be told apart from {_names(level, others)}."
    for one in behind:
        yield f"On the rows that both have, {others[one.other].name} is ahead ({points(one, turned=True)})."
    if untested:
        yield f"{who} cannot be compared with {_names(untested, others, why=True)}."


def _names(found: Sequence[Against], others: Sequence[Named], *, why: bool = False) -> str:
    parts = []
    for one in found:
        note = ("no row in common" if not one.n else "too few rows") if why else points(one)
        parts.append(f"{others[one.other].name} ({note})")
    return listed(parts, _NAMED)


def _cautions(named: Sequence[Named], config: Sequence[ConfigDifference]) -> Iterator[Headline]:
    for run in named:
        if serious := [mark.text for mark in run.entry.marks if mark.serious]:
            text = f"Do not rely on {run.name}: {'; '.join(serious)}."
            yield Headline(kind=CAUTION, text=text, runs=(run.entry.run,))
    live = [run for run in named if run.entry.live]
    if live:
        parts = [f"{run.name} ({run.entry.done} of {run.entry.expected} rows)" for run in live]
        text = f"Not finished: {listed(parts, _NAMED)}."
        yield Headline(kind=CAUTION, text=text, runs=tuple(run.entry.run for run in live))
    asked = [one_line(difference.key, _LONGEST) for difference in config if difference.group == ASKED]
    if asked:
        text = (
            f"The runs were not asked the same, or not scored by the same rule: they differ in {listed(asked, 4)}. "
            "What sets them apart need not be the model."
        )
        yield Headline(kind=CAUTION, text=text, runs=tuple(run.entry.run for run in named))
