"""What a curation did: every filter counted and explained, and the fate of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.curation.dataset import DatasetInfo
from evalkit.errors import InfrastructureError
from evalkit.reporting.cells import cell
from evalkit.runs.folder import write_whole
from evalkit.runs.plan import flat

MARKDOWN = "report.md"
JSON = "report.json"
FATES = "rows.jsonl"


class Fate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one row, a trajectory or a prompt.

    Attributes:
        run: name of the run folder that it comes from.
        id: the sample's.
        arm: the trajectory's; empty for a prompt.
        repeat: the trajectory's.
        step: name of the filter that took it out; empty for a row that was kept.
        reason: why, in one word of that filter's; empty for a row that was kept.
        error: the filter could not tell (an image is gone, a judge failed): the row is neither kept nor found wanting.
        detail: one line.
        found: what filters measured on it, also where it was kept. JSON values.
    """

    run: str
    id: str
    arm: str = ""
    repeat: int = 0
    step: str = ""
    reason: str = ""
    error: bool = False
    detail: str = ""
    found: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One filter, counted.

    Attributes:
        name: of the filter.
        kept: rows that went on.
        dropped: rows that it took out.
        reasons: how many of them for which reason.
        explained: what it looks for and why, in a sentence or two.
        errors: rows of which it could not tell, by reason: they went neither on nor among the dropped.
    """

    name: str
    kept: int
    dropped: int
    reasons: dict[str, int]
    explained: str
    errors: dict[str, int] = {}

    @property
    def entered(self) -> int:
        """Rows that came to it."""
        return self.kept + self.dropped + sum(self.errors.values())


def step(name: str, kept: int, out: Iterable[Fate], explained: str) -> Step:
    """A step from the fates of the rows that it took out.

    Args:
        name: see `Step`.
        kept: see `Step`.
        out: of the rows that it took out, errors included.
        explained: see `Step`.
    """
    out = list(out)
    dropped = Counter(fate.reason for fate in out if not fate.error)
    errors = Counter(fate.reason for fate in out if fate.error)
    return Step(
        name=name,
        kept=kept,
        dropped=dropped.total(),
        reasons=dict(dropped.most_common()),
        errors=dict(errors.most_common()),
        explained=explained,
    )


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A run that rows come from.

    Attributes:
        run: name of its folder.
        task: its benchmark.
        model: that ran it.
        config_hash: of its configuration.
        rows: trajectories (or prompts) taken from it.
    """

    run: str
    task: str
    model: str
    config_hash: str
    rows: int


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Further figures, e.g. a histogram.

    Attributes:
        title: what they are.
        head: names of the columns.
        rows: cells, as many as `head` has.
        note: a sentence before the table.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    note: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a curation did.

    Attributes:
        title: of the page.
        sources: the runs.
        steps: in the order in which they ran; each is entered by the rows that the one before kept.
        settings: everything that decides what is kept (thresholds, judge, rubric). JSON values.
        dataset: what was written; None where no data set was to be made.
        tables: further figures.
        notes: what a reader must know.
    """

    title: str
    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    settings: dict[str, Any]
    dataset: DatasetInfo | None
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def write_report(report: Report, out: Path, fates: Iterable[Fate] = ()) -> None:
    """Write `report.md`, `report.json` and the fates of all rows (`rows.jsonl`) into `out`.

    Raises:
        InfrastructureError: they cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(f"cannot make {out}: {error.strerror}; choose another --out") from error
    encode = msgspec.json.encode
    write_whole(out / FATES, b"".join(encode(fate) + b"\n" for fate in fates))
    write_whole(out / JSON, msgspec.json.format(encode(report), indent=2) + b"\n")
    write_whole(out / MARKDOWN, markdown(report).encode("utf-8", "replace"))


def markdown(report: Report) -> str:
    """The report as a page. Text of unknown origin is neutralised."""
    lines = [f"# {cell(report.title)}", ""]
    if data := report.dataset:
        left = f"{data.rows:,} rows with {data.images:,} images" if data.rows else "no rows"
        lines += [f"The data set has {left}.", ""]
    if report.sources:
        lines += _table(
            ("run", "task", "model", "configuration", "rows taken"),
            [(s.run, s.task, s.model, s.config_hash, s.rows) for s in report.sources],
        )
    if report.steps:
        lines += ["## Filters", ""]
        lines += _table(
            ("filter", "came in", "kept", "dropped", "errors"),
            [(s.name, s.entered, s.kept, s.dropped, sum(s.errors.values())) for s in report.steps],
        )
    for part in report.steps:
        lines += [f"### {cell(part.name)}", "", cell(part.explained, 4000), ""]
        reasons = [(reason, count, "dropped") for reason, count in part.reasons.items()]
        reasons += [(reason, count, "error: neither kept nor dropped") for reason, count in part.errors.items()]
        lines += _table(("reason", "rows", "what became of them"), reasons) if reasons else []
    for table in report.tables:
        lines += [f"## {cell(table.title)}", "", *([cell(table.note, 4000), ""] if table.note else [])]
        lines += _table(table.head, table.rows)
    if report.notes:
        lines += ["## Notes", "", *(f"- {cell(note, 1000)}" for note in report.notes), ""]
    lines += ["## Settings", ""]
    lines += _table(("setting", "value"), list(flat(report.settings)))
    lines += [f"The fate of every row is in `{FATES}`; the figures above are in `{JSON}`.", ""]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    def line(cells: Iterable[object]) -> str:
        return f"| {' | '.join(_figure(value) for value in cells)} |"

    return [line(head), f"|{' --- |' * len(head)}", *map(line, rows), ""]


def _figure(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else cell(value)
