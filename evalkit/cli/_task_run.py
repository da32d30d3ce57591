"""One task of `evalkit run`: its folder, the trajectories that it still lacks, and its figures."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evalkit.analysis import Summary
from evalkit.cli._arms import check_earlier, say_arms
from evalkit.cli._console import Console
from evalkit.cli._early import EarlyRules, begin_early, go_on
from evalkit.cli._finish import finish_run
from evalkit.cli._judge import score_waiting
from evalkit.cli._request import RunRequest
from evalkit.cli._run_folder import folder_for
from evalkit.cli._run_place import RunPlace
from evalkit.errors import ExitCode, worst
from evalkit.hooks import Hooks
from evalkit.records import Record, Sample
from evalkit.replicas import Fleet
from evalkit.runs.arms import Job, forced_answers, planned, unfinished
from evalkit.runs.decided import Decider
from evalkit.runs.environment import environment
from evalkit.runs.folder import INFO, RunInfo, Session, read_info, write_info
from evalkit.runs.looks import EarlyStop
from evalkit.runs.pixels import shrink_note
from evalkit.runs.plan import config_hash, config_of
from evalkit.runs.progress import RunProgress
from evalkit.runs.remote.address import shown
from evalkit.runs.runner import run_task
from evalkit.runs.scheduler import Stop
from evalkit.runs.searches import Searches
from evalkit.runs.store import Key, RunStore, stream_latest
from evalkit.runs.stored import Stored
from evalkit.runs.stored_rows import stored_rows
from evalkit.runs.workshop import Opened, Workshop
from evalkit.scoring.judge.base import Judge
from evalkit.task import Task
from evalkit.version import __version__


class Ended(NamedTuple):
    """A task's run, and what it came to."""

    folder: Path
    code: ExitCode


@dataclass
class Shared:
    """What the tasks of a command have in common, all of it started.

    Attributes:
        request: what the user asked for.
        workshop: runs trajectories.
        opened: what it said at start.
        searches: of the agent's tools.
        judge: asked where a task's rules ask for one.
        early: when to stop before all rows are in.
        notes: what a reader of every one of the runs must know.
        hooks: told of every run.
        stop: whether to come to an end.
        out: for figures.
        err: for everything else.
        warm: whether a trajectory has gone through the engine.
    """

    request: RunRequest
    workshop: Workshop | Fleet
    opened: Opened
    searches: Searches
    judge: Judge | None
    early: EarlyRules | None
    notes: list[str]
    hooks: Hooks
    stop: Stop
    out: Console
    err: Console
    warm: bool = False

    @property
    def concurrency(self) -> int:
        """Trajectories in flight, over all replicas."""
        return self.request.settings.concurrency * self.workshop.replicas


class TaskRun:
    """One task's run.

    Args:
        shared: with the command's other tasks.
        task: what is asked.
        samples: its rows.
    """

    def __init__(self, shared: Shared, task: Task, samples: list[Sample]) -> None:
        self.shared = shared
        self.task = task
        self.samples = samples
        self.judge = shared.judge if task.judge_for else None

    def begin_early(self, folder: Path, info: RunInfo, done: dict[Key, Stored]) -> Decider | None:
        """The looks of this run, if it may stop early; said where it has."""
        if self.shared.early is None:
            go_on(info)
            return None
        decider = begin_early(self.shared.early, folder, info, self.samples, done, self.shared.request.allowed_errors)
        if decider.stop.decision:
            self.say_decided(decider.stop)
            self.shared.err.print("no new row is run; leave out --stop-when-decided to run the others")
        return decider

    def say_decided(self, stop: EarlyStop) -> None:
        self.shared.err.print(f"decided: {stop.why()}", markup=False, soft_wrap=True)

    async def run(self) -> Ended | None:
        """From its folder to its summary; None where the user has stopped the command before."""
        request, err = self.shared.request, self.shared.err
        place = RunPlace(
            request.out,
            request.run_dir,
            request.fresh,
            lambda line: err.print(line, markup=False, soft_wrap=True),
        )
        async with place:
            ended = await self.run_in(place)
        return ended and Ended(ended.folder, worst([ended.code, place.code]))

    async def run_in(self, place: RunPlace) -> Ended | None:
        """The same, but that its store may still lack some of it."""
        shared, task, samples, judge = self.shared, self.task, self.samples, self.judge
        request = shared.request
        if shared.stop.gently:
            return None
        card, agent, arms = request.card, shared.workshop.agent, shared.workshop.arms
        config = config_of(
            task=task,
            samples=samples,
            card=card,
            identity=str(shared.opened.engine.get("identity", "")),
            agent=agent,
            sandbox={key: value for key, value in shared.opened.sandbox.items() if key in ("kind", "limits")},
            search=shared.searches.facts,
            judge=judge.identity if judge else None,
        )
        notes = [*shared.notes, *shared.searches.notes(samples)]
        if shrunk := await asyncio.to_thread(shrink_note, samples, agent.budget, card.engine):
            notes.append(shrunk)
            shared.err.print(f"note: {shrunk}", markup=False)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        info = RunInfo(
            evalkit=__version__,
            created=now,
            config=config,
            config_hash=config_hash(config),
            expected_rows=len(samples),
            shard=request.shard,
            system_prompt=agent.system_prompt,
        )
        session = Session(
            started=now,
            concurrency=shared.concurrency,
            engine=shared.opened.engine,
            sandbox=shared.opened.record,
            environment=environment(),
            notes=notes,
            arms=arms,
        )
        folder = await place.folder(info)
        with RunStore(folder) as store, shared.searches.into(folder):
            if left := store.lock.taken_over:
                shared.err.print(
                    f"note: {shown(folder)} was left locked by {left}; taken over", markup=False, soft_wrap=True
                )
            if (folder / INFO).is_file():
                # another process may have made a run of it before the lock was ours
                info = read_info(folder_for(info, request.out, folder, fresh=False))
            info.prices = request.prices or info.prices
            info.calibration = (request.calibration if judge else None) or info.calibration
            waiting = (shared.concurrency, shared.stop, store, shared.err)
            done = await score_waiting(judge, task, stored_rows(folder), *waiting)
            check_earlier(folder, info, arms, card.sampling.temperature, done)
            decider = self.begin_early(folder, info, done)
            rows = decider.rows(done) if decider else samples
            main, twice, alone = planned(rows, arms)
            if (shard := info.shard) is not None:
                # what runs twice or alone is chosen from the whole benchmark
                main, twice, alone = (shard.jobs(jobs, samples) for jobs in (main, twice, alone))
            if unfinished([*main, *twice, *self.answers(folder), *alone], done):
                info.sessions.append(session)
            write_info(folder, info)
            shared.hooks.start(info, folder)
            try:
                await self.fill("", main, done, store, decider=decider)
                if decider and decider.close():
                    self.say_decided(decider.stop)
                    main, twice, alone = planned(decider.rows(stored_rows(folder)), arms)
                await self.fill("again", twice, done, store)
                # read anew: which answers can be forced is known once the agent is through
                answers = self.answers(folder)
                done = stored_rows(folder) if answers else done
                await self.fill("forced answers", answers, done, store)
                await self.fill("one at a time", alone, done, store, concurrency=1)
            finally:
                session.engine = {**shared.opened.engine, **shared.workshop.facts()}
                if judge and (judge.facts().get("asked") or judge.facts().get("cached") or not info.judge):
                    info.judge = judge.facts()
                write_info(folder, info)
                if shared.stop.gently or sys.exc_info()[0] is not None:
                    shared.err.print(
                        f"unfinished: {shown(folder)}; run the same command to go on", markup=False, soft_wrap=True
                    )
        ids = [sample.id for sample in (shard.of(samples) if shard else samples)]
        found: list[Summary] = []
        allowed, rule = request.allowed_errors, request.rule
        code = finish_run(folder, info, task, shared.out, allowed, rule, ids, told=found.append)
        if not shared.stop.gently:
            # one that was stopped goes on another time: for its hooks it is broken off
            await shared.hooks.end(found[0], folder)
        jobs = [*main, *twice, *answers, *alone]
        code = worst([code, say_arms(shared.out, folder, jobs, request.allowed_errors)])
        return Ended(folder, code)

    def answers(self, folder: Path) -> list[Job]:
        """The forced answers that the trajectories stored so far ask for; only then are these read whole."""
        arms = self.shared.workshop.arms
        return list(forced_answers(stream_latest(folder), arms)) if arms.forced_answers else []

    async def fill(
        self,
        what: str,
        jobs: list[Job],
        done: dict[Key, Stored],
        store: RunStore,
        concurrency: int | None = None,
        decider: Decider | None = None,
    ) -> None:
        """Run those of the jobs that the store does not hold yet; `what` tells them from others of the task."""
        if self.shared.stop.gently:
            return
        todo = unfinished(jobs, done)
        there = [job.key for job in jobs if job.key in done]
        if there:
            kept = len(jobs) - len(todo)
            tried_again = len(there) - kept
            self.shared.err.print(
                f"resuming {shown(store.folder)}: {kept} of {len(jobs)} rows{what and f' ({what})'} are there"
                + (f", {tried_again} errors are tried again" if tried_again else ""),
                markup=False,
                soft_wrap=True,
            )
        if not todo:
            return
        if concurrency == 1 and not self.shared.warm:
            await self.shared.workshop.warm_up(Job(todo[-1].sample, "warm-up"))
        self.shared.warm = True
        waiting = {job.key for job in todo}
        label = " ".join(filter(None, (self.shared.request.card.name, "on", self.task.name, what)))
        progress = RunProgress(self.shared.err, label, len(jobs))
        for key in there:
            if key not in waiting:
                progress.resume(done[key])

        def stored(record: Record) -> None:
            progress.count(record)
            self.shared.hooks.sample(record)
            if decider:
                decider.add(record)

        with progress:
            await run_task(
                agents=self.shared.workshop,
                task=self.task,
                jobs=decider.undecided(todo) if decider else todo,
                store=store,
                stored=stored,
                concurrency=concurrency or self.shared.concurrency,
                stop=self.shared.stop,
                judge=self.judge,
            )
