"""What the user asked `evalkit run` for, and whether it can be had."""

from __future__ import annotations

from pathlib import Path

import msgspec

from evalkit.agents.protocols import PROTOCOLS, protocol
from evalkit.calibration import Calibration
from evalkit.cli._arms import arm_problems
from evalkit.cli._early import early_problems
from evalkit.cli._judge import judge_problem
from evalkit.cli._search import search_problems
from evalkit.cli._tasks import check_rule, options_for
from evalkit.content import TaskEntry, find_tasks, open_task, tasks_named
from evalkit.engines import Engine
from evalkit.errors import EvalkitError, unknown
from evalkit.models import ModelCard
from evalkit.prompts import PromptColumns
from evalkit.records import Prices, Rule
from evalkit.replicas import fleet_problems
from evalkit.runs.arms import Arms
from evalkit.runs.judges import JudgeSettings
from evalkit.runs.lock import check_free
from evalkit.runs.remote.address import address_of_spool
from evalkit.runs.setup import EngineSettings, make_engine
from evalkit.runs.shard import Shard
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
    prompts: PromptColumns = PromptColumns()
    stop_when: tuple[str, ...] = ()
    baseline: str | None = None
    faithful: bool = False
    quirks: tuple[str, ...] = ()
    search: str = ""
    image_search: str = ""
    judge: JudgeSettings | None = None
    calibration: Calibration | None = None
    log_to: tuple[str, ...] = ()
    replicas: int | None = None
    ray: str | None = None
    shard: Shard | None = None

    @property
    def elsewhere(self) -> bool:
        """Whether trajectories run in replicas, not in this process."""
        return self.replicas is not None or self.ray is not None


def resolved(request: RunRequest) -> tuple[Engine | None, list[Task]]:
    """The engine of this process (None where replicas have their own), not started yet, and the tasks.

    Raises:
        EvalkitError: every problem with them at once, a line each.
        InfrastructureError: another process fills the run folder that the user names.
    """
    problems: list[str] = []
    tasks: list[Task] = []
    engine: Engine | None = None
    if request.card.protocol not in PROTOCOLS:
        which = unknown("protocol", request.card.protocol, PROTOCOLS, "evalkit run --help")
        problems.append(f"{request.card.name} cannot be asked: {which}")
    else:
        try:
            protocol(request.card.protocol, request.quirks)
        except EvalkitError as error:
            problems.append(f"--quirk: {error}")
    if request.elsewhere:
        problems += fleet_problems(request.card, request.settings)
    else:
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
            task = open_task(entry, request.data, request.revision, options, request.prompts)
            if problem := check_rule(task, request.rule):
                problems.append(problem)
            tasks.append(task)
        except EvalkitError as error:
            problems.append(str(error))
    if request.run_dir is not None and len(entries) > 1:
        problems.append("--run-dir takes one task; use --out for several")
    if not request.tasks:
        problems.append("--tasks names no task (evalkit tasks lists all)")
    if request.judge and (problem := judge_problem(tasks)):
        problems.append(problem)
    problems += search_problems(request.card, request.search, request.image_search)
    if request.shard is not None and request.stop_when:
        problems.append("--stop-when-decided looks at the rows of a whole run: leave out --shard")
    problems += early_problems(request.stop_when, request.baseline, len(entries), request.arms)
    if problems:
        raise EvalkitError("\n".join(problems))
    if request.run_dir is not None and address_of_spool(request.run_dir) is None:
        # before weights are loaded for nothing
        check_free(request.run_dir)
    return engine, tasks
