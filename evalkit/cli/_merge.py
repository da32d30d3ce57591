"""Shards merged, and the figures of the run that they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalkit.analysis.task_opener import TaskOpener
from evalkit.cli._arms import say_arms
from evalkit.cli._console import Console, plain
from evalkit.cli._finish import finish_run
from evalkit.cli._remote import reach, send
from evalkit.cli._tasks import check_rule
from evalkit.errors import EvalkitError, ExitCode, worst
from evalkit.records import Rule, Sample
from evalkit.runs.arms import Job
from evalkit.runs.find import run_folders
from evalkit.runs.folder import REPORT
from evalkit.runs.merge import merged_info, shards_of
from evalkit.runs.merge_files import merging
from evalkit.runs.merge_rows import rows_of
from evalkit.runs.remote.address import shown


def merge_shards(
    named: Sequence[Path],
    out: Path,
    run_dir: Path | None,
    task_dirs: tuple[Path, ...],
    rule: Rule,
    allowed_errors: float,
) -> ExitCode:
    """Write one run folder and show its figures; see `evalkit merge --help` for the meaning of each argument.

    Raises:
        EvalkitError: these are not all shards of one run, each whole and there once; nothing is written then.
    """
    console, err = Console(), Console(stderr=True)
    reach(run_dir or out, new=run_dir is not None)
    shards = shards_of(run_folders(named))
    info = merged_info(shards)
    task = TaskOpener(task_dirs)(info)
    if problem := check_rule(task, rule):
        raise EvalkitError(problem)
    with err.status(plain(f"reading {len(shards)} shards")):
        read = rows_of(shards)
    with merging(out, run_dir, info) as made:
        with err.status(plain(f"merging {len(shards)} shards")):
            made.fill(read)
        code = finish_run(made.folder, info, task, console, allowed_errors, rule, place=False)
        jobs = [Job(Sample(id=id, question=""), arm, repeat) for one in read for id, arm, repeat in one.rows]
        code = worst([code, say_arms(console, made.folder, jobs, allowed_errors)])
        folder = made.publish()
    console.print(f"report: {shown(folder) / REPORT}", markup=False, soft_wrap=True)
    send(folder)
    return code
