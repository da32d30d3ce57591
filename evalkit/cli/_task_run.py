"""One task of `evalkit run`: its folder, the trajectories that it still lacks, and its figures."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.analysis import Summary
from evalkit.cli._arms import check_earlier, say_arms
from evalkit.cli._console import Console
from evalkit.cli._early import EarlyRules, begin_early, go_on
from evalkit.cli._finish import finish_run
from evalkit.cli._judge import score_waiting
from evalkit.cli._request import RunRequest
from evalkit.cli._run_folder import folder_for
from evalkit.engines import Engine
from evalkit.errors import ExitCode, worst
from evalkit.hooks import Hooks
from evalkit.records import Record, Sample
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Job, forced_answers, planned, unfinished
from evalkit.runs.decided import Decider
from evalkit.runs.environment import environment
from evalkit.runs.folder import INFO, RunInfo, Session, read_info, write_info
from evalkit.runs.looks import EarlyStop
from evalkit.runs.pixels import shrink_note
from evalkit.runs.plan import config_hash, config_of
from evalkit.runs.progress import RunProgress
from evalkit.runs.runner import run_task
from evalkit.runs.scheduler import Stop
from evalkit.runs.searches import Searches
from evalkit.runs.store import Key, RunStore, latest_records
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
        engine: the model.
        started: what the engine said at start.
        agents: by arm.
        sandbox: what a run records of it; empty without one.
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
    engine: Engine
    started: dict[str, Any]
    agents: ArmAgents
    sandbox: dict[str, Any]
    searches: Searches
    judge: Judge | None
    early: EarlyRules | None
    notes: list[str]
    hooks: Hooks
    stop: Stop
    out: Console
    err: Console
    warm: bool = False


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

    def begin_early(self, folder: Path, info: RunInfo, done: dict[Key, Record]) -> Decider | None:
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
        shared, task, samples, judge = self.shared, self.task, self.samples, self.judge
        request = shared.request
        if shared.stop.gently:
            return None
        card, agent, arms = request.card, shared.agents.agent, shared.agents.arms
        config = config_of(
            task=task,
            samples=samples,
            card=card,
            identity=str(shared.started.get("identity", "")),
            agent=agent,
            sandbox={key: shared.sandbox[key] for key in ("kind", "limits") if key in shared.sandbox},
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
            system_prompt=agent.system_prompt,
        )
        session = Session(
            started=now,
            concurrency=request.settings.concurrency,
            engine=shared.started,
            sandbox=shared.sandbox,
            environment=environment(),
            notes=notes,
            arms=arms,
        )
        folder = folder_for(info, request.out, request.run_dir, fresh=request.fresh)
        with RunStore(folder) as store, shared.searches.into(folder):
            if (folder / INFO).is_file():
                info = read_info(folder)
            info.prices = request.prices or info.prices
            info.calibration = (request.calibration if judge else None) or info.calibration
            waiting = (request.settings.concurrency, shared.stop, store, shared.err)
            done = await score_waiting(judge, task, latest_records(folder), *waiting)
            check_earlier(folder, info, arms, card.sampling.temperature, done)
            decider = self.begin_early(folder, info, done)
            rows = decider.rows(done) if decider else samples
            main, twice, alone = planned(rows, arms)
            if unfinished([*main, *twice, *forced_answers(done.values(), arms), *alone], done):
                info.sessions.append(session)
            write_info(folder, info)
            shared.hooks.start(info, folder)
            try:
                await self.fill("", main, done, store, decider=decider)
                if decider and decider.close():
                    self.say_decided(decider.stop)
                    main, twice, alone = planned(decider.rows(latest_records(folder)), arms)
                await self.fill("again", twice, done, store)
                # read anew: which answers can be forced is known once the agent is through
                done = latest_records(folder) if arms.forced_answers else done
                answers = list(forced_answers(done.values(), arms))
                await self.fill("forced answers", answers, done, store)
                await self.fill("one at a time", alone, done, store, concurrency=1)
            finally:
                if (facts := getattr(shared.engine, "facts", None)) is not None:
                    session.engine = {**shared.started, "servers": facts()}
                if judge and (judge.facts().get("asked") or judge.facts().get("cached") or not info.judge):
                    info.judge = judge.facts()
                write_info(folder, info)
                if shared.stop.gently or sys.exc_info()[0] is not None:
                    shared.err.print(
                        f"unfinished: {folder}; run the same command to go on", markup=False, soft_wrap=True
                    )
        ids = [sample.id for sample in samples]
        found: list[Summary] = []
        allowed, rule = request.allowed_errors, request.rule
        code = finish_run(folder, info, task, shared.out, allowed, rule, ids, told=found.append)
        if not shared.stop.gently:
            # one that was stopped goes on another time: for its hooks it is broken off
            await shared.hooks.end(found[0], folder)
        jobs = [*main, *twice, *answers, *alone]
        code = worst([code, say_arms(shared.out, folder, jobs, request.allowed_errors)])
        return Ended(folder, code)

    async def fill(
        self,
        what: str,
        jobs: list[Job],
        done: dict[Key, Record],
        store: RunStore,
        concurrency: int | None = None,
        decider: Decider | None = None,
    ) -> None:
        """Run those of the jobs that the store does not hold yet; `what` tells them from others of the task."""
        if self.shared.stop.gently:
            return
        todo = unfinished(jobs, done)
        there = [record for job in jobs if (record := done.get(job.key))]
        if there:
            kept = len(jobs) - len(todo)
            tried_again = len(there) - kept
            self.shared.err.print(
                f"resuming {store.folder}: {kept} of {len(jobs)} rows{what and f' ({what})'} are there"
                + (f", {tried_again} errors are tried again" if tried_again else ""),
                markup=False,
                soft_wrap=True,
            )
        if not todo:
            return
        if concurrency == 1 and not self.shared.warm:
            # an engine is slow on its first request, whatever that is
            await self.shared.agents.run(Job(todo[-1].sample, "warm-up"))
        self.shared.warm = True
        waiting = {job.key for job in todo}
        label = " ".join(filter(None, (self.shared.request.card.name, "on", self.task.name, what)))
        progress = RunProgress(self.shared.err, label, len(jobs))
        for record in there:
            if record.key not in waiting:
                progress.count(record, resumed=True)

        def stored(record: Record) -> None:
            progress.count(record)
            self.shared.hooks.sample(record)
            if decider:
                decider.add(record)

        with progress:
            await run_task(
                agents=self.shared.agents,
                task=self.task,
                jobs=decider.undecided(todo) if decider else todo,
                store=store,
                stored=stored,
                concurrency=concurrency or self.shared.request.settings.concurrency,
                stop=self.shared.stop,
                judge=self.judge,
            )
