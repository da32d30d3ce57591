"""The end of a run: its figures on the terminal, `summary.json`, `report.md`, and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from evalkit.analysis import Summary, summarise
from evalkit.cli._console import Console, plain
from evalkit.cli._need import show_need
from evalkit.errors import ExitCode
from evalkit.records import AGENT, Rule
from evalkit.reporting import figure_rows, interval_note, judged_note, own_rows, run_markdown, tries_note
from evalkit.runs.folder import REPORT, SUMMARY, RunInfo, write_whole
from evalkit.runs.remote.address import shown
from evalkit.runs.run_records import RunRecords
from evalkit.runs.stored_rows import stored_rows
from evalkit.task import Task

_OWN_FIGURES = 16


def finish_run(
    folder: Path,
    info: RunInfo,
    task: Task,
    console: Console,
    allowed_errors: float = 0.01,
    rule: Rule = Rule.STRICT,
    ids: Sequence[str] = (),
    told: Callable[[Summary], None] = lambda summary: None,
    place: bool = True,
) -> ExitCode:
    """Derive and show a run's figures.

    Args:
        folder: the run folder; its records are read anew, they are the only source.
        info: its `run.json`.
        task: for the benchmark's own figures.
        console: where the table goes.
        allowed_errors: share of error rows above which the run counts as failed.
        rule: whose verdicts the figures rest on.
        ids: of all rows of the benchmark as configured, where they are known: missing ones are named.
        told: of the figures, once they are written.
        place: whether to say where the report is; not while the folder has another name than in the end.
    """
    summary = summarise(
        task,
        info.config["model"]["name"],
        info.due_rows,
        RunRecords(folder),
        rule,
        drawn_apart=info.drawn_apart,
        prices=info.prices,
        calibration=info.calibration,
    )
    write_whole(folder / SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=2))
    write_whole(folder / REPORT, run_markdown(info, summary).encode())
    told(summary)
    console.print(_table(summary))
    show_need(console, summary.need)
    errors = summary.done - summary.accuracy.n
    for text, count in summary.errors.items():
        console.print(f"[red]{count} x[/red] {plain(text)}")
    missing = summary.expected - summary.done
    if missing > 0:
        there = {id for id, arm, repeat in stored_rows(folder) if (arm, repeat) == (AGENT, 0)}
        console.print(_missing(missing, summary.expected, [id for id in ids if id not in there]))
    if summary.repeat and summary.repeat.differing:
        console.print(f"asked again, answered otherwise: {_some(summary.repeat.differing)}")
    for note in filter(None, [*info.notes, tries_note(summary), judged_note(summary.judged)]):
        console.print(f"[yellow]note:[/yellow] {plain(note)}")
    if place:
        console.print(f"report: {shown(folder) / REPORT}", markup=False, soft_wrap=True)
    if summary.accuracy.n == 0:
        console.print("[red]nothing was evaluated[/red]" + (f": {errors} errors" if errors else ""))
        return ExitCode.INFRASTRUCTURE if errors else ExitCode.NOTHING_EVALUATED
    if errors > allowed_errors * summary.done:
        console.print(f"[red]{errors} of {summary.done} rows are errors[/red], more than {allowed_errors:.1%}")
        return ExitCode.INFRASTRUCTURE
    return ExitCode.INFRASTRUCTURE if missing > 0 else ExitCode.OK


def _missing(count: int, expected: int, ids: Sequence[str]) -> str:
    """What is said of rows without a record; they count as not right in "of all rows"."""
    return f"[red]{count} of {expected} rows are missing[/red]" + (f": {_some(ids)}" if ids else "")


def _some(ids: Sequence[str]) -> str:
    return plain(", ".join(ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")


def _table(summary: Summary) -> Table:
    rest = {name: count for name, count in summary.outcomes.items() if name not in ("correct", "incorrect")}
    counts = [f"{summary.done} of {summary.expected} rows", f"{summary.outcomes.get('correct', 0)} correct"]
    counts += [
        f"{summary.outcomes.get('incorrect', 0)} incorrect",
        *(f"{n} {name}" for name, n in rest.items()),
    ]
    table = Table(
        title=f"{plain(summary.model)} on {plain(summary.task)}",
        caption="\n".join(filter(None, [", ".join(map(plain, counts)), interval_note(summary)])),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("figure")
    table.add_column("value", overflow="fold")
    table.add_column("95 % interval")
    table.add_column("rows", justify="right")
    own = own_rows(summary, summary.rule)
    more = len(summary.metrics) - len(own[:_OWN_FIGURES])
    for row in figure_rows(summary) + own[:_OWN_FIGURES]:
        table.add_row(*map(plain, row))
    if more:
        table.add_row(f"{more} more of its own figures", "in the report", "", "")
    return table
