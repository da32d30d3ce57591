"""What `evalkit run` does: one engine, one sandbox, and each task in turn."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evalkit.agents import Agent
from evalkit.agents.protocols import PROTOCOLS, protocol
from evalkit.analysis import Summary
from evalkit.cli._arms import check_earlier, check_tools, say_arms
from evalkit.cli._console import Console, plain
from evalkit.cli._early import EarlyRules, begin_early, go_on, read_early
from evalkit.cli._finish import finish_run
from evalkit.cli._judge import open_judge, score_waiting
from evalkit.cli._prompts import read_prompts
from evalkit.cli._request import RunRequest, resolved
from evalkit.cli._run_folder import folder_for
from evalkit.cli._search import searches_for, trying
from evalkit.cli._tasks import checked_samples
from evalkit.engines import Engine
from evalkit.errors import EvalkitError, ExitCode, worst
from evalkit.hooks import Hook, Hooks, open_hooks
from evalkit.records import Record, Sample
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Job, forced_answers, planned, unfinished
from evalkit.runs.decided import Decider
from evalkit.runs.environment import environment
from evalkit.runs.folder import INFO, RunInfo, Session, read_info, write_info
from evalkit.runs.looks import EarlyStop
from evalkit.runs.notes import no_isolation, not_offered
from evalkit.runs.pixels import budget_for, shrink_note
from evalkit.runs.plan import config_hash, config_of
from evalkit.runs.progress import RunProgress
from evalkit.runs.runner import run_task
from evalkit.runs.scheduler import Stop
from evalkit.runs.setup import make_sandbox, make_tools
from evalkit.runs.store import Key, RunStore, latest_records
from evalkit.sandbox import Capabilities, Sandbox
from evalkit.scoring.judge.base import Judge
from evalkit.task import Task
from evalkit.version import __version__


class Ended(NamedTuple):
    """A task's run, and what it came to."""

    folder: Path
    code: ExitCode


def run_session(request: RunRequest) -> ExitCode:
    """Run every task asked for; the worst exit code. Raises as `run_tasks` does."""
    return run_tasks(request)[0]


def run_tasks(
    request: RunRequest, hooks: Sequence[Hook] = (), stop: Stop | None = None
) -> tuple[ExitCode, list[Ended]]:
    """Run every task asked for.

    Args:
        request: what the user asked for.
        hooks: told of it, beside those that the request names.
        stop: for a caller that stops it.

    Returns:
        The worst exit code, and the runs that came to their end, in order.

    Raises:
        EvalkitError: something is missing or broken; what finished before is stored.
    """
    engine, tasks = resolved(request)
    session = _Session(request, engine, tasks, [*hooks, *open_hooks(request.log_to)], stop or Stop())
    import uvloop

    return uvloop.run(session.run()), session.ended


class _Session:
    """One engine and one sandbox, shared by the tasks of a command."""

    def __init__(
        self, request: RunRequest, engine: Engine, tasks: list[Task], hooks: Sequence[Hook], stop: Stop
    ) -> None:
        self.request = request
        self.engine = engine
        self.tasks = tasks
        quirks = PROTOCOLS[request.card.protocol].quirks if request.faithful else request.quirks
        self.protocol = protocol(request.card.protocol, quirks)
        self.out = Console()
        self.err = Console(stderr=True)
        self.hooks = Hooks(hooks, lambda line: self.err.print(line, markup=False, soft_wrap=True), lambda: stop.presses)
        self.stop = stop
        self.ended: list[Ended] = []
        self.notes: list[str] = []
        self.early: EarlyRules | None = None
        self.judge: Judge | None = None
        self.warm = False
        card = request.card
        self.searches = searches_for(card, request.search, request.image_search)
        self.wanted = [name for name in self.protocol.tools if card.tools is None or name in card.tools]

    async def run(self) -> ExitCode:
        samples, failed = self.opened()
        if self.request.stop_when and self.request.baseline:
            names = (self.request.stop_when, self.request.baseline)
            self.early = read_early(*names, *samples[0], self.request.card.name, self.request.rule)
        files = (self.request.system_prompt, self.request.direct_system_prompt)
        every = (row for _, rows in samples for row in rows)
        prompt, direct = read_prompts(*files, self.request.arms, self.protocol, every)
        sandbox = make_sandbox(self.request.sandbox, self.request.unsafe_no_isolation)
        try:
            async with contextlib.AsyncExitStack() as opened:
                opened.push_async_callback(sandbox.close)
                opened.push_async_callback(self.engine.close)
                opened.enter_context(self.stop.on_interrupt(lambda line: self.err.print(line, markup=False)))
                if self.request.judge:
                    judge = open_judge(self.request.judge, self.err, self.request.calibration)
                    self.judge = await opened.enter_async_context(judge)
                await opened.enter_async_context(self.hooks)
                await opened.enter_async_context(trying(self.searches, [rows for _, rows in samples], self.err))
                codes = await self.run_all(samples, sandbox, prompt, direct)
        except asyncio.CancelledError:
            self.err.print("stopped at once; run the same command to go on")
            return ExitCode.INTERRUPTED
        return ExitCode.INTERRUPTED if self.stop.gently else worst([*codes, *failed])

    async def run_all(
        self, samples: list[tuple[Task, list[Sample]]], sandbox: Sandbox, prompt: str | None, direct: str | None
    ) -> list[ExitCode]:
        """Start the engine and the sandbox, then each task in turn."""
        tools = make_tools(self.wanted, sandbox, self.protocol.zoom, self.searches)
        check_tools(self.request.arms, self.wanted, tools, self.protocol.name)
        capabilities = await self.start_sandbox(sandbox)
        with self.err.status(plain(f"starting {self.request.card.name} ({self.request.card.engine})")):
            started = await self.engine.start()
        agent = Agent(
            engine=self.engine,
            protocol=self.protocol,
            tools=tools,
            sampling=self.request.card.sampling,
            limits=self.request.card.limits,
            system_prompt=prompt,
            budget=budget_for(self.request.card, started),
        )
        self.say_missing_tools(agent)
        self.say_greedy_repeats()
        if self.request.faithful and not self.protocol.quirks:
            self.err.print(f"note: --faithful changes nothing: {self.protocol.name} has no quirks", markup=False)
        agents = ArmAgents(agent, self.request.arms, direct)
        described = {**msgspec.to_builtins(capabilities), **sandbox.describe()} if capabilities else {}
        return [await self.run_one(task, rows, agents, started, described) for task, rows in samples]

    def opened(self) -> tuple[list[tuple[Task, list[Sample]]], list[ExitCode]]:
        """The tasks with their rows; of another harness, those that can be had, and what the others end with.

        Raises:
            EvalkitError: a task of evalkit's has no rows, or none of the other harness's has.
        """
        samples, failed = [], []
        for task in self.tasks:
            try:
                with self.err.status(plain(f"opening {task.name}")) if task.foreign else contextlib.nullcontext():
                    samples.append((task, self.samples(task)))
            except EvalkitError as error:
                if not task.foreign or len(self.tasks) == 1:
                    raise
                self.err.print(f"error: {error}", markup=False, soft_wrap=True)
                failed.append(error.exit_code)
        if not samples:
            raise EvalkitError("none of the tasks can be opened")
        return samples, failed

    def samples(self, task: Task) -> list[Sample]:
        """The task's rows, each id once, cut to the limit."""
        return checked_samples(task)[: self.request.limit]

    def begin_early(
        self, folder: Path, info: RunInfo, samples: list[Sample], done: dict[Key, Record]
    ) -> Decider | None:
        """The looks of this run, if it may stop early; said where it has."""
        if self.early is None:
            go_on(info)
            return None
        decider = begin_early(self.early, folder, info, samples, done, self.request.allowed_errors)
        if decider.stop.decision:
            self.say_decided(decider.stop)
            self.err.print("no new row is run; leave out --stop-when-decided to run the others")
        return decider

    def say_decided(self, stop: EarlyStop) -> None:
        self.err.print(f"decided: {stop.why()}", markup=False, soft_wrap=True)

    async def start_sandbox(self, sandbox: Sandbox) -> Capabilities | None:
        """Probe the sandbox if the protocol can use it, and say loudly when it does not isolate.

        Raises:
            EvalkitError: it does not, and the user has not said that this will do.
        """
        if "python" not in self.wanted:
            return None
        with self.err.status("probing the sandbox"):
            capabilities = await sandbox.start()
        if not capabilities.isolated and not self.request.unsafe_no_isolation:
            raise EvalkitError(
                f"--sandbox {self.request.sandbox} does not isolate the model's code (tier {capabilities.tier}); "
                "use --sandbox local, or accept what it may do with --unsafe-no-isolation"
            )
        if not capabilities.isolated:
            note = no_isolation(capabilities.tier)
            self.notes.append(note)
            self.err.print(f"WARNING: {note}", style="bold yellow")
        return capabilities

    def say_missing_tools(self, agent: Agent) -> None:
        missing = [name for name in self.wanted if name not in agent.tools]
        if missing:
            note = not_offered(missing)
            self.notes.append(note)
            self.err.print(f"note: {note}", markup=False)

    def say_greedy_repeats(self) -> None:
        if self.request.arms.repeats > 1 and self.request.card.sampling.temperature == 0:
            note = "repeats at temperature 0: they differ only as far as the engine does not repeat itself"
            self.notes.append(note)
            self.err.print(f"note: {note}", markup=False)

    async def run_one(
        self,
        task: Task,
        samples: list[Sample],
        agents: ArmAgents,
        started: dict[str, Any],
        sandbox: dict[str, Any],
    ) -> ExitCode:
        """One task, from its folder to its summary."""
        if self.stop.gently:
            return ExitCode.INTERRUPTED
        card, agent, arms = self.request.card, agents.agent, agents.arms
        judge = self.judge if task.judge_for else None
        config = config_of(
            task=task,
            samples=samples,
            card=card,
            identity=str(started.get("identity", "")),
            agent=agent,
            sandbox={key: sandbox[key] for key in ("kind", "limits") if key in sandbox},
            search=self.searches.facts,
            judge=judge.identity if judge else None,
        )
        notes = [*self.notes, *self.searches.notes(samples)]
        if shrunk := await asyncio.to_thread(shrink_note, samples, agent.budget, card.engine):
            notes.append(shrunk)
            self.err.print(f"note: {shrunk}", markup=False)
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
            concurrency=self.request.settings.concurrency,
            engine=started,
            sandbox=sandbox,
            environment=environment(),
            notes=notes,
            arms=arms,
        )
        request = self.request
        folder = folder_for(info, request.out, request.run_dir, fresh=request.fresh)
        with RunStore(folder) as store, self.searches.into(folder):
            if (folder / INFO).is_file():
                info = read_info(folder)
            info.prices = self.request.prices or info.prices
            info.calibration = (self.request.calibration if judge else None) or info.calibration
            waiting = (self.request.settings.concurrency, self.stop, store, self.err)
            done = await score_waiting(judge, task, latest_records(folder), *waiting)
            check_earlier(folder, info, arms, card.sampling.temperature, done)
            decider = self.begin_early(folder, info, samples, done)
            rows = decider.rows(done) if decider else samples
            main, twice, alone = planned(rows, arms)
            if unfinished([*main, *twice, *forced_answers(done.values(), arms), *alone], done):
                info.sessions.append(session)
            write_info(folder, info)
            self.hooks.start(info, folder)
            try:
                await self.fill("", task, main, done, agents, store, decider=decider)
                if decider and decider.close():
                    self.say_decided(decider.stop)
                    main, twice, alone = planned(decider.rows(latest_records(folder)), arms)
                await self.fill("again", task, twice, done, agents, store)
                # read anew: which answers can be forced is known once the agent is through
                done = latest_records(folder) if arms.forced_answers else done
                answers = list(forced_answers(done.values(), arms))
                await self.fill("forced answers", task, answers, done, agents, store)
                await self.fill("one at a time", task, alone, done, agents, store, concurrency=1)
            finally:
                if (facts := getattr(self.engine, "facts", None)) is not None:
                    session.engine = {**started, "servers": facts()}
                if judge and (judge.facts().get("asked") or judge.facts().get("cached") or not info.judge):
                    info.judge = judge.facts()
                write_info(folder, info)
                if self.stop.gently or sys.exc_info()[0] is not None:
                    self.err.print(f"unfinished: {folder}; run the same command to go on", markup=False, soft_wrap=True)
        ids = [sample.id for sample in samples]
        found: list[Summary] = []
        allowed, rule = self.request.allowed_errors, self.request.rule
        code = finish_run(folder, info, task, self.out, allowed, rule, ids, told=found.append)
        if not self.stop.gently:
            # one that was stopped goes on another time: for its hooks it is broken off
            await self.hooks.end(found[0], folder)
        jobs = [*main, *twice, *answers, *alone]
        code = worst([code, say_arms(self.out, folder, jobs, self.request.allowed_errors)])
        self.ended.append(Ended(folder, code))
        return code

    async def fill(
        self,
        what: str,
        task: Task,
        jobs: list[Job],
        done: dict[Key, Record],
        agents: ArmAgents,
        store: RunStore,
        concurrency: int | None = None,
        decider: Decider | None = None,
    ) -> None:
        """Run those of the jobs that the store does not hold yet; `what` tells them from others of the task."""
        if self.stop.gently:
            return
        todo = unfinished(jobs, done)
        there = [record for job in jobs if (record := done.get(job.key))]
        if there:
            kept = len(jobs) - len(todo)
            tried_again = len(there) - kept
            self.err.print(
                f"resuming {store.folder}: {kept} of {len(jobs)} rows{what and f' ({what})'} are there"
                + (f", {tried_again} errors are tried again" if tried_again else ""),
                markup=False,
                soft_wrap=True,
            )
        if not todo:
            return
        if concurrency == 1 and not self.warm:
            # an engine is slow on its first request, whatever that is
            await agents.run(Job(todo[-1].sample, "warm-up"))
        self.warm = True
        waiting = {job.key for job in todo}
        label = " ".join(filter(None, (self.request.card.name, "on", task.name, what)))
        progress = RunProgress(self.err, label, len(jobs))
        for record in there:
            if record.key not in waiting:
                progress.count(record, resumed=True)

        def stored(record: Record) -> None:
            progress.count(record)
            self.hooks.sample(record)
            if decider:
                decider.add(record)

        with progress:
            await run_task(
                agents=agents,
                task=task,
                jobs=decider.undecided(todo) if decider else todo,
                store=store,
                stored=stored,
                concurrency=concurrency or self.request.settings.concurrency,
                stop=self.stop,
                judge=self.judge if task.judge_for else None,
            )
