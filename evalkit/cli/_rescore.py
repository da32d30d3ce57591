"""A stored run under today's rules: what changes, shown or written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from evalkit.analysis.transitions import transitions, verdict_name
from evalkit.calibration import Calibration
from evalkit.cli._console import Console, plain
from evalkit.cli._finish import finish_run
from evalkit.cli._judge import judge_problem, open_judge, with_judge
from evalkit.cli._tasks import check_rule
from evalkit.content import find_tasks, reopen_task, task_named
from evalkit.errors import EvalkitError, ExitCode
from evalkit.recorded import PREFIX, unscorable
from evalkit.records import AGENT, Outcome, Record, Rule
from evalkit.runs.calibrate import check_judge
from evalkit.runs.folder import RunInfo, read_info, write_info
from evalkit.runs.judges import JudgeSettings
from evalkit.runs.plan import config_hash
from evalkit.runs.rescore import Change, scored_again, store_changes, visible
from evalkit.runs.run_records import RunRecords
from evalkit.runs.scheduler import Stop
from evalkit.runs.store import RunStore
from evalkit.scoring.judge.base import identity_digest
from evalkit.task import Task

EXAMPLES = 3
"""Rows shown of each transition."""


def show_changes(run: Path, task_dirs: Sequence[Path], rule: Rule, settings: JudgeSettings | None = None) -> ExitCode:
    """Show which verdicts would change and why; nothing is written but what a judge said to its cache.

    Raises:
        EvalkitError: no such run or task, or the task has no such rule.
    """
    console = Console()
    info, task = _open(run, task_dirs, rule)
    records = RunRecords(run)
    changes = visible(_changes(task, info, records, settings)[0])
    how = f"; nothing is written (evalkit score {run} writes it)" if changes else ""
    console.print(f"{len(changes)} of {len(records)} verdicts would change{how}", markup=False, soft_wrap=True)
    _print(console, changes, rule)
    if changes:
        new = {change.new.key: change.new.outcome for change in changes}
        before = ((record.arm, record.outcome) for record in records)
        after = ((record.arm, new.get(record.key, record.outcome)) for record in records)
        console.print(f"accuracy, of scored rows: {_accuracy(before, rule)} -> {_accuracy(after, rule)}")
    return ExitCode.OK


def score_again(
    run: Path,
    task_dirs: Sequence[Path],
    rule: Rule,
    allowed_errors: float,
    settings: JudgeSettings | None = None,
    calibration: Calibration | None = None,
) -> ExitCode:
    """Score a run, append what changed, and show its figures.

    What a judge says is written when it has said all, and with it who it is; stopped before, nothing is.

    Raises:
        EvalkitError: see `show_changes`; or the folder cannot be written.
    """
    console = Console()
    info, task = _open(run, task_dirs, rule)
    info, changes, count = write_changes(run, task, info, settings, calibration)
    console.print(f"{len(changes)} of {count} verdicts changed", markup=False)
    _print(console, changes, rule)
    return finish_run(run, info, task, console, allowed_errors, rule)


def write_changes(
    run: Path, task: Task, info: RunInfo, settings: JudgeSettings | None, calibration: Calibration | None = None
) -> tuple[RunInfo, list[Change], int]:
    """Score a run again and append what changed; a calibration of its judge is kept with it.

    Returns:
        Its `run.json`, which names the judge; the changes that a reader sees; how many records there are.

    Raises:
        EvalkitError: the judge cannot be used, the calibration is of another, or the folder cannot be written.
    """
    if calibration is not None and settings is None:
        check_judge(calibration, info.config.get("judge"))
    with RunStore(run) as store:
        records = RunRecords(run)
        changes, judged = _changes(task, info, records, settings, calibration)
        if judged is not None or calibration is not None:
            info = msgspec.structs.replace(judged or info, calibration=calibration or info.calibration)
            write_info(run, info)
        store_changes(changes, store)
    return info, visible(changes), len(records)


def _changes(
    task: Task,
    info: RunInfo,
    records: RunRecords,
    settings: JudgeSettings | None,
    calibration: Calibration | None = None,
) -> tuple[list[Change], RunInfo | None]:
    """What changes; with a judge, the run's new `run.json` too, which names it."""
    if settings is None:
        judge = info.config.get("judge")
        return scored_again(task, records.whole(), identity_digest(judge) if judge else ""), None
    if problem := judge_problem([task]):
        raise EvalkitError(problem)
    return asyncio.run(_judged(task, info, records, settings, calibration))


async def _judged(
    task: Task,
    info: RunInfo,
    records: RunRecords,
    settings: JudgeSettings,
    calibration: Calibration | None,
) -> tuple[list[Change], RunInfo]:
    err, stop = Console(stderr=True), Stop()
    async with open_judge(settings, err, calibration) as judge:
        # as many in work as the judge takes, and some whose turn with the rules it is
        changes = await with_judge(judge, task, records.whole(), len(records), 2 * settings.concurrency, stop, err)
        config = {**info.config, "judge": dict(judge.identity)}
        facts = judge.facts()
    return changes, msgspec.structs.replace(info, config=config, config_hash=config_hash(config), judge=facts)


def _open(run: Path, task_dirs: Sequence[Path], rule: Rule) -> tuple[RunInfo, Task]:
    info = read_info(run)
    asked = info.config["task"]
    if asked["name"].startswith(PREFIX):
        raise EvalkitError(f"{run}: {unscorable(asked['name'])}; where evalkit has the task, import with --task")
    task = reopen_task(task_named(asked["name"], find_tasks(task_dirs)), asked)
    if problem := check_rule(task, rule):
        raise EvalkitError(problem)
    return info, task


def _print(console: Console, changes: Sequence[Change], rule: Rule) -> None:
    mine = [change for change in changes if _seen(change.old.outcome, rule) != _seen(change.new.outcome, rule)]
    groups = transitions(mine, rule)
    if groups:
        table = Table("was", "is now", title_justify="left")
        table.add_column("rows", justify="right")
        for group in groups:
            same = " (another answer)" if group.old == group.new else ""
            table.add_row(plain(group.old), plain(group.new) + same, str(len(group.rows)))
        console.print(table)
    for group in groups:
        console.print(f"[bold]{plain(group.old)} -> {plain(group.new)}[/bold]")
        for old, new in group.rows[:EXAMPLES]:
            console.print(f"  {plain(old.sample.id, 80)}: {_answer(old, rule)} -> {_answer(new, rule)}", soft_wrap=True)
            console.print(f"      {_tail(new)}", style="dim", soft_wrap=True)
        if len(group.rows) > EXAMPLES:
            console.print(f"  and {len(group.rows) - EXAMPLES} more")
    if len(mine) < len(changes):
        other = "official" if rule is Rule.STRICT else "strict"
        console.print(f"{len(changes) - len(mine)} of them only under the {other} rule (--rule {other})")


def _seen(outcome: Outcome, rule: Rule) -> tuple[str, str | None]:
    return verdict_name(outcome, rule), outcome.official_answer if rule is Rule.OFFICIAL else outcome.answer


def _answer(record: Record, rule: Rule) -> str:
    """The answer and how it was found, or why there is none."""
    outcome = record.outcome
    answer = outcome.official_answer if rule is Rule.OFFICIAL else outcome.answer
    shown = "no answer" if answer is None else plain(repr(answer), 60)
    why = outcome.error if outcome.verdict.is_error else outcome.reason if rule is Rule.STRICT else ""
    return f"{shown} ({plain(why, 120)})" if why else shown


def _tail(record: Record) -> str:
    """The end of the response on one line."""
    response = record.trajectory.response
    return f"right: {plain(record.sample.answer, 40)}; response ends: {plain(repr(response[-80:]), 120)}"


def _accuracy(rows: Iterable[tuple[str, Outcome]], rule: Rule) -> str:
    scored = [outcome.right(rule) for arm, outcome in rows if arm == AGENT and not outcome.verdict.is_error]
    return f"{sum(scored) / len(scored):.1%} ({sum(scored)} of {len(scored)})" if scored else "not available"
