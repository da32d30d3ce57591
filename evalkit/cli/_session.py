"""What `evalkit run` does: one engine and one sandbox, or replicas of them, and each task in turn."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence

from evalkit.agents.protocols import PROTOCOLS, protocol
from evalkit.cli._arms import check_tools
from evalkit.cli._console import Console, plain
from evalkit.cli._early import EarlyRules, read_early
from evalkit.cli._judge import open_judge
from evalkit.cli._prompts import read_prompts
from evalkit.cli._remote import reach
from evalkit.cli._request import RunRequest, resolved
from evalkit.cli._search import trying
from evalkit.cli._task_run import Ended, Shared, TaskRun
from evalkit.cli._tasks import checked_samples
from evalkit.engines import Engine
from evalkit.errors import EvalkitError, ExitCode, worst
from evalkit.hooks import Hook, Hooks, open_hooks
from evalkit.records import Sample
from evalkit.replicas import Fleet, RayCluster
from evalkit.runs.notes import no_isolation, not_offered
from evalkit.runs.scheduler import Stop
from evalkit.runs.searches import offered, searches_for
from evalkit.runs.workshop import Opened, Order, Workshop
from evalkit.scoring.judge.base import Judge
from evalkit.task import Task


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
    reach(request.run_dir or request.out)
    session = _Session(request, engine, tasks, [*hooks, *open_hooks(request.log_to)], stop or Stop())
    import uvloop

    return uvloop.run(session.run()), session.ended


class _Session:
    """One engine and one sandbox, shared by the tasks of a command."""

    def __init__(
        self, request: RunRequest, engine: Engine | None, tasks: list[Task], hooks: Sequence[Hook], stop: Stop
    ) -> None:
        self.request = request
        self.engine = engine
        self.tasks = tasks
        self.quirks = tuple(PROTOCOLS[request.card.protocol].quirks) if request.faithful else request.quirks
        self.protocol = protocol(request.card.protocol, self.quirks)
        self.out = Console()
        self.err = Console(stderr=True)
        self.hooks = Hooks(hooks, lambda line: self.err.print(line, markup=False, soft_wrap=True), lambda: stop.presses)
        self.stop = stop
        self.ended: list[Ended] = []
        self.notes: list[str] = []
        self.early: EarlyRules | None = None
        self.judge: Judge | None = None
        card = request.card
        self.searches = searches_for(card, request.search, request.image_search)
        self.wanted = offered(card)

    async def run(self) -> ExitCode:
        samples, failed = self.opened()
        if self.request.stop_when and self.request.baseline:
            names = (self.request.stop_when, self.request.baseline)
            self.early = read_early(*names, *samples[0], self.request.card.name, self.request.rule)
        files = (self.request.system_prompt, self.request.direct_system_prompt)
        every = (row for _, rows in samples for row in rows)
        prompt, direct = read_prompts(*files, self.request.arms, self.protocol, every)
        workshop = self.workshop(prompt, direct)
        try:
            async with contextlib.AsyncExitStack() as opened:
                opened.push_async_callback(workshop.close)
                opened.enter_context(self.stop.on_interrupt(lambda line: self.err.print(line, markup=False)))
                if self.request.judge:
                    judge = open_judge(self.request.judge, self.err, self.request.calibration)
                    self.judge = await opened.enter_async_context(judge)
                await opened.enter_async_context(self.hooks)
                await opened.enter_async_context(trying(self.searches, [rows for _, rows in samples], self.err))
                codes = await self.run_all(samples, workshop)
        except asyncio.CancelledError:
            self.err.print("stopped at once; run the same command to go on")
            return self.stop.exit_code
        return self.stop.exit_code if self.stop.gently else worst([*codes, *failed])

    def workshop(self, system_prompt: str | None, direct_system_prompt: str | None) -> Workshop | Fleet:
        """What runs the trajectories, not started yet.

        Args:
            system_prompt: in place of the protocol's own.
            direct_system_prompt: likewise, for the direct arm.
        """
        order = Order(
            card=self.request.card,
            settings=self.request.settings,
            arms=self.request.arms,
            quirks=self.quirks,
            sandbox=self.request.sandbox,
            unsafe_no_isolation=self.request.unsafe_no_isolation,
            search=self.request.search,
            image_search=self.request.image_search,
            system_prompt=system_prompt,
            direct_system_prompt=direct_system_prompt,
        )
        if not self.request.elsewhere:
            return Workshop(order, self.searches, self.engine)
        cluster = RayCluster(self.request.ray, self.request.replicas)
        say = functools.partial(self.err.print, markup=False, soft_wrap=True)
        return Fleet(order, self.searches, cluster, self.request.replicas, say)

    async def run_all(self, samples: list[tuple[Task, list[Sample]]], workshop: Workshop | Fleet) -> list[ExitCode]:
        """Start the engine and the sandbox, then each task in turn."""
        check_tools(self.request.arms, self.wanted, workshop.tools, self.protocol.name)
        opened = await workshop.start(lambda what: self.err.status(plain(what)))
        self.say_isolation(opened)
        self.say_missing_tools(workshop)
        self.say_greedy_repeats()
        if self.request.faithful and not self.protocol.quirks:
            self.err.print(f"note: --faithful changes nothing: {self.protocol.name} has no quirks", markup=False)
        shared = Shared(
            request=self.request,
            workshop=workshop,
            opened=opened,
            searches=self.searches,
            judge=self.judge,
            early=self.early,
            notes=self.notes,
            hooks=self.hooks,
            stop=self.stop,
            out=self.out,
            err=self.err,
        )
        for task, rows in samples:
            if ended := await TaskRun(shared, task, rows).run():
                self.ended.append(ended)
        return [ended.code for ended in self.ended]

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
        rows = checked_samples(task)[: self.request.limit]
        if self.request.shard is not None:
            self.request.shard.check(task.name, len(rows))
        return rows

    def say_isolation(self, opened: Opened) -> None:
        """Say loudly where nothing keeps the model's code in."""
        if opened.capabilities and not opened.capabilities.isolated:
            note = no_isolation(opened.capabilities.tier)
            self.notes.append(note)
            self.err.print(f"WARNING: {note}", style="bold yellow")

    def say_missing_tools(self, workshop: Workshop | Fleet) -> None:
        missing = [name for name in self.wanted if name not in workshop.tools]
        if missing:
            note = not_offered(missing)
            self.notes.append(note)
            self.err.print(f"note: {note}", markup=False)

    def say_greedy_repeats(self) -> None:
        if self.request.arms.repeats > 1 and self.request.card.sampling.temperature == 0:
            note = "repeats at temperature 0: they differ only as far as the engine does not repeat itself"
            self.notes.append(note)
            self.err.print(f"note: {note}", markup=False)
