"""A judge for a command: from its options to its last word."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from evalkit.calibration import Calibration
from evalkit.cli._console import Console, plain
from evalkit.errors import EvalkitError
from evalkit.records import Record, Verdict
from evalkit.runs.calibrate import check_judge
from evalkit.runs.judges import JudgeSettings, make_judge, unjudged_rows
from evalkit.runs.judging import Bench
from evalkit.runs.rescore import Change, judged_again, scored_again, store_changes
from evalkit.runs.scheduler import Stop
from evalkit.runs.store import Key, RunStore, stream_latest
from evalkit.runs.stored import Stored, stored_of
from evalkit.scoring.judge.base import Judge, identity_digest
from evalkit.task import Task

CACHE = "judge.sqlite"


def judge_settings(
    url: str | None, model: str | None, key_env: str | None, concurrency: int | None, cache: Path | None, beside: Path
) -> JudgeSettings | None:
    """The judge that the options name; None without one.

    Args:
        url: see `JudgeSettings`, as the other options.
        model: see `url`.
        key_env: see `url`.
        concurrency: see `url`.
        cache: see `url`.
        beside: folder of the cache where none is named.

    Raises:
        EvalkitError: options of a judge, and no judge.
    """
    given = {"model": model, "key_env": key_env, "concurrency": concurrency}
    if url is None:
        named = [f"--judge-{name.replace('_', '-')}" for name, value in {**given, "cache": cache}.items() if value]
        if named:
            raise EvalkitError(f"{', '.join(named)} goes with --judge-url URL, the judge's server")
        return None
    settings = JudgeSettings(url=url, cache=cache or beside / CACHE)
    return msgspec.structs.replace(settings, **{k: v for k, v in given.items() if v is not None})


def judge_problem(tasks: Sequence[Task]) -> str | None:
    """Why a judge is of no use; None where it is."""
    if not tasks or any(task.judge_for for task in tasks):
        return None
    names = ", ".join(task.name for task in tasks)
    return f"--judge-url: {names} asks no judge, its rules read every answer; leave it out"


def new_judge(settings: JudgeSettings) -> Judge:
    """The judge, not started yet.

    Raises:
        EvalkitError: the settings are wrong.
    """
    try:
        return make_judge(settings)
    except EvalkitError as error:
        raise type(error)(f"--judge-url: {error}") from None


async def start_judge(judge: Judge, console: Console) -> dict[str, Any]:
    """Reach the judge; what it says of itself.

    Raises:
        EvalkitError: it cannot be used.
    """
    try:
        with console.status("reaching the judge"):
            return await judge.start()
    except EvalkitError as error:
        raise type(error)(f"--judge-url: {error}") from None


@asynccontextmanager
async def open_judge(
    settings: JudgeSettings, console: Console, calibration: Calibration | None = None
) -> AsyncIterator[Judge]:
    """A judge that is ready, closed at the end; then it is said what it did.

    Raises:
        EvalkitError: it cannot be used, or the calibration is of another.
    """
    judge = new_judge(settings)
    try:
        await start_judge(judge, console)
        if calibration is not None:
            check_judge(calibration, judge.identity)
        yield judge
        say_judge(judge, console)
    finally:
        await judge.close()


def say_judge(judge: Judge, console: Console) -> None:
    """How often it was asked, and what went wrong."""
    counts = {name: count for name, count in judge.facts().items() if isinstance(count, int)}
    asked, cached = counts.pop("asked", 0), counts.pop("cached", 0)
    rest = "".join(f", {count} {name}" for name, count in counts.items() if count)
    console.print(f"judge: {asked} asked, {cached} from the cache{rest}", markup=False, soft_wrap=True)


async def with_judge(
    judge: Judge, task: Task, records: Iterable[Record], count: int, at_once: int, stop: Stop, console: Console
) -> list[Change]:
    """Score `count` records with a judge, and show how far it is; what changed. Nothing is stored."""
    bench = Bench(task, judge)
    through = 0

    def done() -> None:
        nonlocal through
        through += 1
        status.update(plain(f"scoring with the judge: {through} of {count}"))

    try:
        with console.status("scoring with the judge") as status:
            return await judged_again(bench, records, at_once, stop, done)
    finally:
        bench.close()


async def score_waiting(
    judge: Judge | None, task: Task, done: dict[Key, Stored], at_once: int, stop: Stop, store: RunStore, err: Console
) -> dict[Key, Stored]:
    """Score those rows again whose scoring failed or was stopped, and store what came of it.

    Returns:
        All that is stored, with the new outcomes.
    """
    if judge is None and not any(there.verdict is Verdict.JUDGE_ERROR for there in done.values()):
        return done
    whose = identity_digest(judge.identity) if judge else ""
    if not (waiting := unjudged_rows(stream_latest(store.folder), task, whose)):
        return done
    err.print(f"{len(waiting)} rows that could not be scored are scored again", markup=False)
    if judge is None:
        changes = scored_again(task, waiting)
    else:
        changes = await with_judge(judge, task, waiting, len(waiting), at_once, stop, err)
    store_changes(changes, store)
    return done | {change.new.key: stored_of(change.new) for change in changes}
