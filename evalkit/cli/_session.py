"""What `evalkit run` does: one engine, one sandbox, and each task in turn."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from evalkit import __version__
from evalkit.agents import Agent
from evalkit.agents.protocols import PROTOCOLS, protocol
from evalkit.cli._arms import arm_problems, check_earlier, check_tools, direct_prompt, say_arms
from evalkit.cli._console import Console, plain
from evalkit.cli._finish import finish_run
from evalkit.cli._tasks import check_rule, checked_samples, options_for
from evalkit.content import TaskEntry, find_tasks, open_task, tasks_named
from evalkit.engines import Engine
from evalkit.errors import EvalkitError, ExitCode, unknown, worst
from evalkit.models import ModelCard
from evalkit.records import Prices, Record, Rule, Sample
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Arms, Job, again, forced_answers, isolated, schedule, unfinished
from evalkit.runs.environment import environment
from evalkit.runs.folder import INFO, SAMPLES, RunInfo, Session, find_run, new_run_folder, read_info, write_info
from evalkit.runs.imported import IMPORTED, PREDICTIONS
from evalkit.runs.pixels import budget_for, shrink_note
from evalkit.runs.plan import config_hash, config_of, differences
from evalkit.runs.progress import RunProgress
from evalkit.runs.runner import run_task
from evalkit.runs.scheduler import Stop
from evalkit.runs.setup import EngineSettings, make_engine, make_sandbox, make_tools
from evalkit.runs.store import Key, RunStore, latest_records
from evalkit.sandbox import Capabilities, Sandbox
from evalkit.task import Task


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for, parsed; see `evalkit run --help` for the meaning of each field."""

    card: ModelCard
    settings: EngineSettings
    tasks: tuple[str, ...]
    data: str | None
    revision: str | None
    task_dirs: tuple[Path, ...]
    task_options: dict[str, str]
    limit: int | None
    system_prompt: Path | None
    sandbox: str
    unsafe_no_isolation: bool
    out: Path
    run_dir: Path | None
    fresh: bool
    allowed_errors: float
    rule: Rule
    prices: Prices | None
    arms: Arms
    direct_system_prompt: Path | None


def run_session(request: RunRequest) -> ExitCode:
    """Run every task asked for; the worst exit code.

    Raises:
        EvalkitError: something is missing or broken; what finished before is stored.
    """
    engine, tasks = _resolve(request)
    import uvloop

    return uvloop.run(_Session(request, engine, tasks).run())


def _resolve(request: RunRequest) -> tuple[Engine, list[Task]]:
    """The engine and the tasks, or every problem with them at once, a line each."""
    problems: list[str] = []
    tasks: list[Task] = []
    engine: Engine | None = None
    if request.card.protocol not in PROTOCOLS:
        which = unknown("protocol", request.card.protocol, PROTOCOLS, "evalkit run --help")
        problems.append(f"{request.card.name} cannot be asked: {which}")
    try:
        engine = make_engine(request.card, request.settings)
    except EvalkitError as error:
        problems.append(str(error))
    problems += arm_problems(request.arms, request.card.sampling.temperature, request.settings.replay)
    found = find_tasks(request.task_dirs)
    entries: dict[str, TaskEntry] = {}
    for name in request.tasks:
        try:
            entries.update((entry.name, entry) for entry in tasks_named(name, found))
        except EvalkitError as error:
            problems.append(str(error))
    for entry in entries.values():
        try:
            options = options_for(entry.name, list(entries), request.task_options)
            task = open_task(entry, request.data, request.revision, options)
            if problem := check_rule(task, request.rule):
                problems.append(problem)
            tasks.append(task)
        except EvalkitError as error:
            problems.append(str(error))
    if request.run_dir is not None and len(entries) > 1:
        problems.append("--run-dir takes one task; use --out for several")
    if not request.tasks:
        problems.append("--tasks names no task (evalkit tasks lists all)")
    if problems or engine is None:
        raise EvalkitError("\n".join(problems))
    return engine, tasks


class _Session:
    """One engine and one sandbox, shared by the tasks of a command."""

    def __init__(self, request: RunRequest, engine: Engine, tasks: list[Task]) -> None:
        self.request = request
        self.engine = engine
        self.tasks = tasks
        self.protocol = protocol(request.card.protocol)
        self.out = Console()
        self.err = Console(stderr=True)
        self.stop = Stop()
        self.notes: list[str] = []
        self.warm = False
        card = request.card
        self.wanted = [name for name in self.protocol.tools if card.tools is None or name in card.tools]

    async def run(self) -> ExitCode:
        samples = [(task, self.samples(task)) for task in self.tasks]
        prompt = _read_prompt("--system-prompt", self.request.system_prompt)
        direct = _read_prompt("--direct-system-prompt", self.request.direct_system_prompt)
        direct = direct_prompt(self.request.arms, prompt, direct, self.protocol.native_tools)
        sandbox = make_sandbox(self.request.sandbox, self.request.unsafe_no_isolation)
        try:
            async with contextlib.AsyncExitStack() as opened:
                opened.push_async_callback(sandbox.close)
                opened.push_async_callback(self.engine.close)
                opened.enter_context(self.stop.on_interrupt(lambda line: self.err.print(line, markup=False)))
                codes = await self.run_all(samples, sandbox, prompt, direct)
        except asyncio.CancelledError:
            self.err.print("stopped at once; run the same command to go on")
            return ExitCode.INTERRUPTED
        return ExitCode.INTERRUPTED if self.stop.gently else worst(codes)

    async def run_all(
        self, samples: list[tuple[Task, list[Sample]]], sandbox: Sandbox, prompt: str | None, direct: str | None
    ) -> list[ExitCode]:
        """Start the engine and the sandbox, then each task in turn."""
        tools = make_tools(self.wanted, sandbox)
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
        agents = ArmAgents(agent, self.request.arms, direct)
        described = {**msgspec.to_builtins(capabilities), **sandbox.describe()} if agent.tools else {}
        return [await self.run_one(task, rows, agents, started, described) for task, rows in samples]

    def samples(self, task: Task) -> list[Sample]:
        """The task's rows, each id once, cut to the limit."""
        return checked_samples(task)[: self.request.limit]

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
            note = (
                f"the model's code runs WITHOUT ISOLATION (sandbox tier {capabilities.tier}): it can read this "
                "user's files and reach the network; run models you do not trust in a container"
            )
            self.notes.append(note)
            self.err.print(f"WARNING: {note}", style="bold yellow")
        return capabilities

    def say_missing_tools(self, agent: Agent) -> None:
        missing = [name for name in self.wanted if name not in agent.tools]
        if missing:
            note = f"{', '.join(missing)} not offered to the model: no provider is configured"
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
        config = config_of(
            task=task,
            samples=samples,
            card=card,
            identity=str(started.get("identity", "")),
            agent=agent,
            sandbox={key: sandbox[key] for key in ("kind", "limits") if key in sandbox},
        )
        notes = [*self.notes]
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
        folder = self.folder_for(info)
        with RunStore(folder) as store:
            if (folder / INFO).is_file():
                info = read_info(folder)
            info.prices = self.request.prices or info.prices
            done = latest_records(folder)
            check_earlier(folder, info, arms, card.sampling.temperature, done)
            main, twice, alone = (
                list(schedule(samples, arms)),
                list(again(samples, arms)),
                list(isolated(samples, arms)),
            )
            if unfinished([*main, *twice, *forced_answers(done.values(), arms), *alone], done):
                info.sessions.append(session)
            write_info(folder, info)
            try:
                await self.fill("", task, main, done, agents, store)
                await self.fill("again", task, twice, done, agents, store)
                # read anew: which answers can be forced is known once the agent is through
                done = latest_records(folder) if arms.forced_answers else done
                answers = list(forced_answers(done.values(), arms))
                await self.fill("forced answers", task, answers, done, agents, store)
                await self.fill("one at a time", task, alone, done, agents, store, concurrency=1)
            finally:
                if (facts := getattr(self.engine, "facts", None)) is not None:
                    session.engine = {**started, "servers": facts()}
                    write_info(folder, info)
                if self.stop.gently or sys.exc_info()[0] is not None:
                    self.err.print(f"unfinished: {folder}; run the same command to go on", markup=False, soft_wrap=True)
        ids = [sample.id for sample in samples]
        code = finish_run(folder, info, task, self.out, self.request.allowed_errors, self.request.rule, ids)
        jobs = [*main, *twice, *answers, *alone]
        return worst([code, say_arms(self.out, folder, jobs, self.request.allowed_errors)])

    async def fill(
        self,
        what: str,
        task: Task,
        jobs: list[Job],
        done: dict[Key, Record],
        agents: ArmAgents,
        store: RunStore,
        concurrency: int | None = None,
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
        with progress:
            await run_task(
                agents=agents,
                task=task,
                jobs=todo,
                store=store,
                progress=progress,
                concurrency=concurrency or self.request.settings.concurrency,
                stop=self.stop,
            )

    def folder_for(self, info: RunInfo) -> Path:
        """The run folder: the one named, an earlier one with this configuration, or a new one.

        Raises:
            EvalkitError: the folder named holds a run of another configuration.
        """
        model, task = info.config["model"]["name"], info.config["task"]["name"]
        named = self.request.run_dir
        if named is None:
            earlier = None if self.request.fresh else find_run(self.request.out, model, task, info.config_hash)
            return earlier or new_run_folder(self.request.out, model, task)
        if (named / INFO).is_file():
            if self.request.fresh:
                raise EvalkitError(f"--fresh: {named} holds a run already; name another --run-dir")
            other = read_info(named)
            if other.config.get("engine") in (IMPORTED, PREDICTIONS):
                raise EvalkitError(f"{named} holds results that were made elsewhere; name another --run-dir")
            if other.config_hash != info.config_hash:
                changed = "; ".join(differences(other.config, info.config))
                raise EvalkitError(
                    f"{named} holds a run of another configuration ({changed}); "
                    "name another --run-dir, or make the settings equal"
                )
            return named
        if (named / SAMPLES).is_file() and (named / SAMPLES).stat().st_size:
            raise EvalkitError(f"{named} has a {SAMPLES} and no {INFO}: whose rows are they? Name another --run-dir")
        try:
            named.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvalkitError(f"cannot make {named}: {error.strerror}") from error
        return named


def _read_prompt(option: str, file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise EvalkitError(f"{option} {file}: {error}") from error
