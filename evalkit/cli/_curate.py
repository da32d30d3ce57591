"""What `evalkit curate` does: settings put together, filters shown, an exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.status import Status
from rich.table import Table

from evalkit.cli._console import Console, plain
from evalkit.cli._judge import judge_settings
from evalkit.curation.benchmarks import Against
from evalkit.curation.folder import check_out
from evalkit.curation.mix import DIFFICULTY
from evalkit.curation.report import FATES, MARKDOWN, Fate, Report, write_report
from evalkit.curation.report import Table as Figures
from evalkit.curation.rl import RlSettings, curate_rl
from evalkit.curation.sft import SftSettings, curate_sft
from evalkit.curation.stored import leakage_of
from evalkit.errors import EvalkitError, ExitCode, worst
from evalkit.runs.judges import JudgeSettings

_SHOWN = 10
"""Matches that a terminal shows."""
_COLUMNS = 6
"""Columns that a terminal has room for; a wider table is shown on its side."""


class Judging(NamedTuple):
    """The options that name a judge, as they were given."""

    url: str | None
    model: str | None
    key_env: str | None
    concurrency: int | None
    cache: Path | None
    blind: bool
    rubric: Path | None

    def settings(self, out: Path) -> JudgeSettings | None:
        """The judge; None without one.

        Args:
            out: the cache is beside it where none is named.

        Raises:
            EvalkitError: options of a judge, and no judge.
        """
        if self.url is None and (self.blind or self.rubric):
            option = "--judge-blind" if self.blind else "--rubric"
            raise EvalkitError(f"{option} goes with --judge-url URL, the judge's server")
        beside = out.resolve().parent
        return judge_settings(self.url, self.model, self.key_env, self.concurrency, self.cache, beside)


def against_of(named: str, task_data: Sequence[str] | None = None) -> tuple[Against, ...]:
    """The benchmarks in a list separated by commas.

    Args:
        named: the list.
        task_data: where the data of some is, each as name=data.

    Raises:
        EvalkitError: data of a benchmark that is not in the list.
    """
    names = [name for part in named.split(",") if (name := part.strip())]
    data: dict[str, str] = {}
    for given in task_data or ():
        name, _, where = given.partition("=")
        if name not in names or not where:
            raise EvalkitError(f"--task-data takes NAME=DATA, with a name that --against has, not {given!r}")
        data[name] = where
    return tuple(Against(name=name, data=data.get(name)) for name in names)


def curated_sft(runs: Sequence[Path], out: Path, settings: SftSettings, allowed_errors: float) -> ExitCode:
    """Choose trajectories and say what became of them.

    Raises:
        EvalkitError: see `curate_sft`.
    """
    with _progress() as progress:
        report = curate_sft(runs, out, settings, progress=progress)
    return _finish(report, out, allowed_errors, "trajectories")


def curated_rl(runs: Sequence[Path], out: Path, settings: RlSettings, allowed_errors: float) -> ExitCode:
    """Choose prompts and say what became of them.

    Raises:
        EvalkitError: see `curate_rl`.
    """
    with _progress() as progress:
        report = curate_rl(runs, out, settings, progress=progress)
    difficulty = next((table for table in report.tables if table.title == DIFFICULTY), None)
    if difficulty is not None:
        _show(difficulty, Console())
    return _finish(report, out, allowed_errors, "prompts")


def checked_leakage(dataset: Path, against: Sequence[Against], task_dirs: Sequence[Path], out: Path | None) -> ExitCode:
    """Show what a data set shares with benchmarks; 1 where a row leaks.

    Raises:
        EvalkitError: the data set or a benchmark cannot be read, or the report cannot be written.
    """
    if not against:
        raise EvalkitError("--against names no benchmark (evalkit tasks lists them)")
    if out is not None:
        check_out(out)
    with _progress() as progress:
        found = leakage_of(dataset, against, task_dirs, progress)
    console = Console()
    for figures in found.tables(_SHOWN):
        _show(figures, console)
    if out is not None:
        name = dataset.resolve().name
        settings = {"dataset": str(dataset), "against": [one.name for one in against]}
        report = Report(
            title="Overlap of a data set with benchmarks",
            sources=(),
            steps=(),
            settings=settings,
            dataset=None,
            tables=found.tables(),
        )
        fates = [
            Fate(run=name, id=row, step="leakage", reason=match.evidence.value, detail=str(match))
            for row, match in found.matches
        ]
        write_report(report, out, fates)
        console.print(f"{out} ({MARKDOWN}, {FATES})", markup=False, soft_wrap=True)
    return ExitCode.REGRESSION if found.leaking else ExitCode.OK


def _show(figures: Figures, console: Console) -> None:
    head, rows = figures.head, figures.rows
    if len(head) > _COLUMNS:
        head, *rest = zip(head, *rows, strict=True)
        rows = tuple(rest)
    table = Table(*(plain(str(cell)) for cell in head), title=plain(figures.title), title_justify="left")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else plain(str(cell)) for cell in row))
    console.print(table)
    if figures.note:
        console.print(plain(figures.note), soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Callable[[str, int], Callable[[], None]]]:
    with Console(stderr=True).status("reading runs") as status:
        yield lambda what, rows: _counter(status, what, rows)


def _counter(status: Status, what: str, rows: int) -> Callable[[], None]:
    through = 0

    def done() -> None:
        nonlocal through
        through += 1
        status.update(plain(f"{what}: {through} of {rows}"))

    return done


def _finish(report: Report, out: Path, allowed_errors: float, what: str) -> ExitCode:
    """Show the filters, and say how it ended."""
    console, err = Console(), Console(stderr=True)
    table = Table("filter")
    for head in ("came in", "kept", "dropped", "errors"):
        table.add_column(head, justify="right")
    table.add_column("why", overflow="fold")
    for step in report.steps:
        reasons = {**step.reasons, **step.errors}
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        errors = sum(step.errors.values())
        figures = (step.entered, step.kept, step.dropped, errors)
        table.add_row(plain(step.name), *(f"{figure:,}" for figure in figures), plain(why, 2000))
    console.print(table)
    rows = report.dataset.rows if report.dataset else 0
    entered = report.steps[0].entered if report.steps else 0
    console.print(f"{rows:,} of {entered:,} {what} kept: {out} ({MARKDOWN}, {FATES})", markup=False, soft_wrap=True)
    codes = [ExitCode.OK]
    errors = sum(sum(step.errors.values()) for step in report.steps)
    if errors > allowed_errors * entered:
        err.print(
            f"error: a filter could not judge {errors:,} of {entered:,} {what} (allowed: {allowed_errors:.0%}); "
            f"{out / FATES} says why",
            markup=False,
            soft_wrap=True,
        )
        codes.append(ExitCode.INFRASTRUCTURE)
    if not rows:
        err.print(
            f"error: no {what} are left; {out / MARKDOWN} says which filter took them", markup=False, soft_wrap=True
        )
        codes.append(ExitCode.NOTHING_EVALUATED)
    return worst(codes)
