"""What a reader must know before trusting a run's figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from evalkit.analysis.board import Entry, Mark
from evalkit.analysis.judged import judged_line
from evalkit.errors import one_line
from evalkit.records import Verdict
from evalkit.runs.folder import RunInfo
from evalkit.runs.imported import IMPORTED, PREDICTIONS
from evalkit.runs.notes import is_no_isolation, is_not_offered

ERRORS, ISOLATION, UNFINISHED, TOOLS, OTHER = "errors", "isolation", "unfinished", "tools", "other"
_LONGEST = 300
_MEND = "evalkit score RUN brings all to today's"


def marks_of(entry: Entry, info: RunInfo, scorers: Sequence[str], allowed_errors: float) -> tuple[Mark, ...]:
    """The marks of one run, the serious ones first.

    Args:
        entry: its figures.
        info: its `run.json`.
        scorers: rules and versions that gave its verdicts.
        allowed_errors: share of error rows above which the figures should not be relied on.
    """
    found = [*_errors(entry, allowed_errors), *_isolation(info), *_unfinished(entry, info), *_imported(entry, info)]
    if len(scorers) > 1:
        found.append(_mark(OTHER, f"its rows were scored by different rules ({', '.join(scorers)}); {_MEND}"))
    if entry.judged is not None:
        found.append(_mark(OTHER, judged_line(entry.judged)))
    for note in info.notes:
        if not is_no_isolation(note) and not (info.shard and note == info.shard.note(info.expected_rows)):
            found.append(_mark(TOOLS if is_not_offered(note) else OTHER, note))
    return tuple(sorted(found, key=lambda mark: not mark.serious))


def with_scorers(entries: Sequence[Entry], scorers: Sequence[Sequence[str]]) -> list[Entry]:
    """The entries of one board, marked where their verdicts were not given by the same rules.

    Args:
        entries: of one benchmark.
        scorers: of each of them.
    """
    known = list(dict.fromkeys(tuple(names) for names in scorers if names))
    if len(known) < 2:
        return list(entries)
    marked = []
    for entry, names in zip(entries, scorers, strict=True):
        others = ", ".join(dict.fromkeys(name for other in known if other != tuple(names) for name in other))
        text = f"scored by {', '.join(names) or 'no rule that is named'}, other runs here by {others}; {_MEND}"
        marks = entry.marks + ((_mark(OTHER, text),) if names else ())
        marked.append(msgspec.structs.replace(entry, marks=marks))
    return marked


def _errors(entry: Entry, allowed: float) -> Iterator[Mark]:
    count = sum(number for verdict, number in entry.outcomes.items() if Verdict(verdict).is_error)
    if count > allowed * entry.done:
        share = f"{count} of {entry.done} rows are errors ({count / entry.done:.1%}), more than {allowed:.1%}"
        yield _mark(ERRORS, f"{share}: they have no score", serious=True)


def _isolation(info: RunInfo) -> Iterator[Mark]:
    open_ = [session.sandbox for session in info.sessions if session.sandbox.get("isolated") is False]
    tiers = ", ".join(dict.fromkeys(str(sandbox.get("tier")) for sandbox in open_ if sandbox.get("tier")))
    if open_ or any(is_no_isolation(note) for note in info.notes):
        yield _mark(
            ISOLATION, f"the model's code ran without isolation{tiers and f' (sandbox tier {tiers})'}", serious=True
        )


def _unfinished(entry: Entry, info: RunInfo) -> Iterator[Mark]:
    if info.shard is not None:
        yield _mark(UNFINISHED, info.shard.note(info.expected_rows), serious=True)
    if entry.live:
        yield _mark(UNFINISHED, f"{entry.done} of {entry.expected} rows are done")


def _imported(entry: Entry, info: RunInfo) -> Iterator[Mark]:
    engine = info.config.get("engine")
    if engine == PREDICTIONS:
        yield _mark(IMPORTED, "scored from a table of last responses: tool use, times and settings are not known")
    elif engine == IMPORTED:
        unknown = "settings" if entry.p50.value is not None else "times and settings"
        yield _mark(IMPORTED, f"imported from another program's log: its {unknown} are not known beyond what it says")


def _mark(kind: str, text: str, *, serious: bool = False) -> Mark:
    return Mark(kind=kind, text=one_line(text, _LONGEST), serious=serious)
