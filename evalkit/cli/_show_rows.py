"""The rows of a run as a list."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from evalkit.analysis.transitions import verdict_name
from evalkit.cli._console import Console, plain
from evalkit.errors import DataError, EvalkitError, unknown
from evalkit.records import AGENT, Record, Rule, Verdict
from evalkit.runs.folder import read_info
from evalkit.runs.store import read_records

ALL = "all"
_ERROR = "error"
_NO_VERDICT = "no verdict"
_WIDEST_ID = 28
_NARROW = 100


class RowFilter(NamedTuple):
    """Which rows to list.

    Attributes:
        verdicts: any of them; "error" stands for every error; empty for all.
        category: None for all.
        called: with a dispatched call, without one, or None for both.
        arm: its name, or `ALL`.
    """

    verdicts: tuple[str, ...] = ()
    category: str | None = None
    called: bool | None = None
    arm: str = ALL


class Row(NamedTuple):
    """What a list says of a trajectory."""

    id: str
    arm: str
    repeat: int
    category: str
    verdict: str
    is_error: bool
    answer: str | None
    right: str
    calls: int | None
    seconds: float | None


def show_rows(console: Console, run: Path, wanted: RowFilter, limit: int, rule: Rule) -> None:
    """Print the rows that fit the filter.

    Args:
        console: where the list goes.
        run: the run folder.
        wanted: the filter.
        limit: rows shown; 0 for all.
        rule: whose verdicts.

    Raises:
        DataError: it is no run folder, a line is corrupt, or no trajectory is finished.
        EvalkitError: the filter names a verdict, a category or an arm that there is not.
    """
    info = read_info(run)
    known = {str(verdict) for verdict in Verdict} | {_ERROR, _NO_VERDICT}
    for verdict in wanted.verdicts:
        if verdict not in known:
            raise unknown("verdict", verdict, known, "evalkit show --help")
    # a later line of the same trajectory supersedes an earlier one and keeps its place
    rows = list({record.key: _row(record, rule) for record in read_records(run)}.values())
    if not rows:
        raise DataError(f"{run} has no finished trajectory yet")
    _check(wanted, rows, run)
    place = {id: number for number, id in enumerate(dict.fromkeys(row.id for row in rows))}
    mine = [row for row in rows if _fits(row, wanted)]
    mine.sort(key=lambda row: (place[row.id], row.arm != AGENT, row.arm, row.repeat))
    shown = mine[:limit] if limit else mine
    model, task = (plain(info.config.get(part, {}).get("name"), 60) for part in ("model", "task"))
    console.print(f"[bold]{model}[/bold] on [bold]{task}[/bold]: {len(mine)} of {len(rows)} trajectories, {rule} rule")
    if shown:
        console.print(_table(shown, mine, narrow=console.width < _NARROW))
    if len(shown) < len(mine):
        console.print(f"and {len(mine) - len(shown)} more (--limit 0 shows all)")


def _row(record: Record, rule: Rule) -> Row:
    outcome, trajectory = record.outcome, record.trajectory
    return Row(
        id=record.sample.id,
        arm=record.arm,
        repeat=record.repeat,
        category=record.sample.category,
        verdict=verdict_name(outcome, rule),
        is_error=outcome.verdict.is_error,
        answer=outcome.answer if rule is Rule.STRICT else outcome.official_answer,
        right=record.sample.answer,
        calls=None if trajectory.partial else sum(call.status.dispatched for call in trajectory.calls),
        seconds=trajectory.total_s,
    )


def _check(wanted: RowFilter, rows: Iterable[Row], run: Path) -> None:
    """Refuses what no row has, rather than showing an empty list."""
    arms, categories = {row.arm for row in rows}, {row.category for row in rows if row.category}
    if wanted.arm not in (ALL, *arms):
        raise unknown("arm", wanted.arm, {*arms, ALL}, f"evalkit show {run} --arm all")
    if wanted.category is not None and wanted.category not in categories:
        if not categories:
            raise EvalkitError(f"--category {wanted.category}: the rows of {run} have no categories")
        raise unknown("category", wanted.category, categories, f"evalkit show {run}")


def _fits(row: Row, wanted: RowFilter) -> bool:
    return (
        wanted.arm in (ALL, row.arm)
        and (not wanted.verdicts or row.verdict in wanted.verdicts or (row.is_error and _ERROR in wanted.verdicts))
        and wanted.category in (None, row.category)
        # where nothing is known of calls, a row is neither with nor without one
        and (wanted.called is None or (row.calls is not None and wanted.called == (row.calls > 0)))
    )


def _table(rows: list[Row], among: list[Row], *, narrow: bool) -> Table:
    """The list; on a narrow terminal without categories (a filter has them), and with shorter answers.

    Args:
        rows: those shown.
        among: all that fit: in what they differ has a column.
        narrow: whether there is little room.
    """
    arms, repeats = len({row.arm for row in among}) > 1, any(row.repeat for row in among)
    categories = not narrow and len({row.category for row in among}) > 1
    answer, right = (16, 10) if narrow else (40, 40)
    table = Table(box=None, padding=(0, 1 if narrow else 2, 0, 0), pad_edge=False)
    table.add_column("id", overflow="fold", min_width=min(_WIDEST_ID, max(len(row.id) for row in rows)))
    for heading, there in (("arm", arms), ("repeat", repeats), ("category", categories)):
        if there:
            table.add_column(heading, overflow="fold")
    table.add_column("verdict", overflow="fold")
    table.add_column("answer", overflow="fold")
    table.add_column("right", overflow="fold")
    table.add_column("calls", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for row in rows:
        cells = [plain(row.id, 80)]
        extra = ((row.arm, arms), (str(row.repeat), repeats), (row.category, categories))
        cells += [plain(text, 40) for text, there in extra if there]
        cells += [
            plain(row.verdict),
            "[dim]none[/dim]" if row.answer is None else plain(row.answer, answer),
            plain(row.right, right),
            "unknown" if row.calls is None else str(row.calls),
            "unknown" if row.seconds is None else f"{row.seconds:.2f}",
        ]
        table.add_row(*cells)
    return table
