"""`evalkit score`: score a run's stored trajectories again, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("score")(score)


def score(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    task_dir: Annotated[
        list[Path] | None, typer.Option("--task-dir", help="Folder with further tasks (repeatable).")
    ] = None,
) -> None:
    """Score a run again with today's rules; changed verdicts are appended to its samples.jsonl."""
    from evalkit.cli._console import Console, plain
    from evalkit.cli._finish import finish_run
    from evalkit.content import find_tasks, reopen_task, task_named
    from evalkit.runs.folder import read_info
    from evalkit.runs.rescore import rescore
    from evalkit.runs.store import RunStore, latest_records

    console = Console()
    info = read_info(run)
    asked = info.config["task"]
    entry = task_named(asked["name"], find_tasks(task_dir or ()))
    task = reopen_task(entry, asked)
    records = latest_records(run)
    with RunStore(run) as store:
        changed = rescore(task, records, store)
    console.print(f"{len(changed)} of {len(records)} verdicts changed", markup=False)
    for old, new in changed[:20]:
        was, now = old.outcome, new.outcome
        console.print(plain(f"  {old.sample.id}: {was.verdict} ({was.answer}) -> {now.verdict} ({now.answer})"))
    code = finish_run(run, info, task, console)
    if code:
        raise typer.Exit(int(code))
