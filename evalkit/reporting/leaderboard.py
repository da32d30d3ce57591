"""A board's leaderboard as rows of text, for a terminal as for Markdown; nothing here is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evalkit.analysis.board import Board, Entry
from evalkit.analysis.figure import Figure
from evalkit.analysis.need import Corrected
from evalkit.baselines import Published
from evalkit.errors import one_line
from evalkit.records import Verdict
from evalkit.reporting.words import MISSING, number_text, several, share_text

HEADINGS = (
    "agent", "rows", "accuracy", "called", "redundant", "calls", "p50 s", "p95 s", "tokens out", "cost", "errors",
)  # fmt: skip
NEED_HEADINGS = ("agent", "pairs", "redundant", "corrected", "needed", "precision", "recall", "with - without", "p")
PUBLISHED_HEADINGS = ("published, no per-sample record", "accuracy", "called", "sampling", "source")
_LONGEST = 80
"""Characters of a name."""


class LeaderRow(NamedTuple):
    """One measured run, by `HEADINGS`."""

    agent: str
    rows: str
    accuracy: str
    called: str
    redundant: str
    calls: str
    p50: str
    p95: str
    tokens: str
    cost: str
    errors: str


class NeedRow(NamedTuple):
    """How well one run's calls follow its need, by `NEED_HEADINGS`."""

    agent: str
    pairs: str
    redundant: str
    corrected: str
    needed: str
    precision: str
    recall: str
    difference: str
    p: str


class PublishedRow(NamedTuple):
    """What one source says of one model, by `PUBLISHED_HEADINGS`."""

    model: str
    accuracy: str
    called: str
    sampling: str
    source: str


class MarkLine(NamedTuple):
    """One thing to know of some runs."""

    serious: bool
    runs: str
    text: str


def names_of(entries: Sequence[Entry]) -> dict[str, str]:
    """What each run is called: by its model where no other run has it, as in the headlines."""
    count = Counter(entry.model for entry in entries)
    return {entry.run: one_line(entry.model if count[entry.model] == 1 else entry.run, _LONGEST) for entry in entries}


def leader_row(entry: Entry, names: Mapping[str, str]) -> LeaderRow:
    """A run's line, under its name of `names_of`."""
    errors = sum(count for verdict, count in entry.outcomes.items() if Verdict(verdict).is_error)
    return LeaderRow(
        names[entry.run] + (", unfinished" if entry.live else ""),
        f"{entry.done}" if entry.done == entry.expected else f"{entry.done} of {entry.expected}",
        share_text(entry.accuracy),
        share_text(entry.tool_rate, interval=False),
        _redundant(entry.redundant),
        number_text(entry.calls),
        number_text(entry.p50),
        number_text(entry.p95),
        number_text(entry.tokens_out),
        number_text(entry.cost),
        str(errors) if errors else "",
    )


def need_rows(entries: Sequence[Entry]) -> list[NeedRow]:
    """The runs with counterfactual arms."""
    rows, names = [], names_of(entries)
    for entry in entries:
        if entry.need is None:
            continue
        first, difference = entry.need.need[0], entry.need.difference
        rows.append(
            NeedRow(
                names[entry.run],
                str(entry.need.pairs),
                share_text(first.redundant_rate.raw),
                share_text(first.redundant_rate.corrected),
                share_text(first.need.corrected),
                share_text(first.precision.corrected),
                share_text(first.recall.corrected),
                share_text(difference.raw, signed=True),
                MISSING if difference.p_value is None else _p(difference.p_value),
            )
        )
    return rows


def published_rows(figures: Sequence[Published]) -> list[PublishedRow]:
    """One line per model, source and sampling: sources that disagree have a line each. The most accurate first."""
    lines: dict[tuple[str, tuple[str, ...], str], dict[str, Published]] = {}
    for figure in figures:
        if figure.metric in ("accuracy", "tool_rate"):
            lines.setdefault((figure.model, figure.sources, figure.regime), {})[figure.metric] = figure
    found = [
        (
            line["accuracy"].value if "accuracy" in line else -1.0,
            PublishedRow(
                model, _published(line.get("accuracy")), _published(line.get("tool_rate")), regime, ", ".join(sources)
            ),
        )
        for (model, sources, regime), line in lines.items()
    ]
    return [row for _, row in sorted(found, key=lambda one: -one[0])]


def mark_lines(entries: Sequence[Entry], names: Mapping[str, str]) -> list[MarkLine]:
    """The marks, the serious ones first; runs with the same one share a line."""
    found: dict[tuple[bool, str], list[str]] = {}
    for entry in entries:
        for mark in entry.marks:
            found.setdefault((mark.serious, mark.text), []).append(names[entry.run])
    ordered = sorted(found.items(), key=lambda one: not one[0][0])
    return [MarkLine(serious, several(runs), text) for (serious, text), runs in ordered]


def missing_lines(entries: Sequence[Entry], names: Mapping[str, str]) -> list[str]:
    """Why figures of the leaderboard are not there, each reason once."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        for name, figure in _named(entry).items():
            if figure.why:
                what = name if figure.value is None else f"the interval of {name}"
                reasons.setdefault(figure.why, {}).setdefault(what, []).append(names[entry.run])
    lines = []
    for why, figures in reasons.items():
        runs = list(dict.fromkeys(run for which in figures.values() for run in which))
        lines.append(f"{', '.join(figures)} of {several(runs)}: not available, because {why}")
    return lines


def _named(entry: Entry) -> dict[str, Figure]:
    figures = {
        "accuracy": entry.accuracy,
        "tool rate": entry.tool_rate,
        "calls": entry.calls,
        "p50": entry.p50,
        "p95": entry.p95,
        "tokens": entry.tokens_out,
    }
    if entry.redundant is not None:
        figures |= {"redundant": entry.redundant.raw, "redundant (corrected)": entry.redundant.corrected}
    return figures | ({"cost": entry.cost} if entry.cost is not None else {})


def shown_columns(board: Board) -> list[int]:
    """Which of `HEADINGS` any run fills."""
    names = names_of(board.entries)
    rows = [leader_row(entry, names) for entry in board.entries]
    always = ("agent", "rows", "accuracy", "called", "redundant")
    return [i for i, name in enumerate(HEADINGS) if name in always or any(row[i] not in ("", MISSING) for row in rows)]


def _redundant(found: Corrected | None) -> str:
    if found is None:
        return MISSING
    raw = share_text(found.raw, interval=False)
    return raw if found.corrected.value is None else f"{raw} (corrected {share_text(found.corrected, interval=False)})"


def _published(figure: Published | None) -> str:
    if figure is None:
        return MISSING
    return f"{figure.value:.1f}%" if figure.unit == "%" else f"{figure.value:g} {figure.unit}"


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}"
