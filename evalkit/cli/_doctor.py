"""The examinations of `evalkit doctor`."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from rich.table import Table

from evalkit.agents.protocols import PROTOCOLS, protocol
from evalkit.cli._console import Console, plain
from evalkit.cli._search import told
from evalkit.content import find_tasks, open_task, tasks_named
from evalkit.engines import Engine, Message, Request
from evalkit.errors import DataError, EvalkitError, ExitCode, worst
from evalkit.images import ImageFile
from evalkit.models import ModelCard
from evalkit.runs.plan import fingerprint, flat
from evalkit.runs.searches import Searches, searches_for
from evalkit.runs.setup import EngineSettings, make_engine, make_sandbox, make_tools
from evalkit.sandbox import Sandbox, SessionSpec

_ROOM_GB = 5.0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is examined beside the machine itself.

    Attributes:
        sandbox: as for `evalkit run`.
        stress: sessions to keep alive at once; 0 for none.
        card: the model, None for none.
        settings: where its engine is.
        tasks: the benchmarks whose data is looked at.
        search: providers of the model's search tools, as for `evalkit run`; empty for none.
        image_search: see `search`.
        data: where their rows come from, as for `evalkit run`.
        task_dirs: folders with further tasks.
        out: where run folders would go.
    """

    sandbox: str
    stress: int
    card: ModelCard | None
    settings: EngineSettings
    tasks: tuple[str, ...]
    search: str
    image_search: str
    data: str | None
    task_dirs: tuple[Path, ...]
    out: Path


class _Findings:
    """Lines for the user, and the worst code of those that are problems."""

    def __init__(self) -> None:
        self.table = Table(box=None, pad_edge=False, show_header=False)
        self.table.add_column()
        self.table.add_column(overflow="fold")
        self.codes = [ExitCode.OK]

    def say(self, what: str, found: object) -> None:
        self.table.add_row(plain(what), plain(found))

    def problem(self, what: str, error: EvalkitError) -> None:
        for line in str(error).splitlines():
            self.table.add_row(plain(what), f"[red]{plain(line, 2000)}[/red]")
        self.codes.append(error.exit_code)


async def examine(asked: Asked) -> ExitCode:
    """Print every finding; the exit code says whether what was asked about would work."""
    console = Console()
    findings = _Findings()
    for what, found in (*_packages(), _disk(asked.out)):
        findings.say(what, found)
    findings.say("judge", "none is configured: the tasks of this version need none")
    for name in asked.tasks:
        _examine_task(name, asked, findings)
    sandbox = make_sandbox(asked.sandbox, allow_unisolated=False)
    try:
        if asked.card is not None:
            await _examine_tools(asked.card, asked, sandbox, findings)
            await _examine_engine(asked.card, asked.settings, findings)
        works = await _examine_sandbox(asked.sandbox, sandbox, findings)
        console.print(findings.table)
        if asked.stress and works:
            await _stress(sandbox, asked.stress, console)
    finally:
        await sandbox.close()
    return worst(findings.codes)


def _examine_task(name: str, asked: Asked, findings: _Findings) -> None:
    """Whether the data is here and whole, and what identifies it."""
    try:
        for entry in tasks_named(name, find_tasks(asked.task_dirs)):
            try:
                task = open_task(entry, asked.data)
                samples = list(task.samples())
                images = sum(len(sample.images) for sample in samples)
                revision = f", revision {task.revision}" if task.revision else ""
                mark = fingerprint(samples)
                findings.say(entry.name, f"{len(samples)} rows, {images} images{revision}, fingerprint {mark}")
            except EvalkitError as error:
                findings.problem(entry.name, error)
    except EvalkitError as error:
        findings.problem(name, error)


async def _examine_tools(card: ModelCard, asked: Asked, sandbox: Sandbox, findings: _Findings) -> None:
    """Which of the agent's tools can be had, and whether those that search do."""
    if card.protocol not in PROTOCOLS:
        findings.problem("protocol", EvalkitError(f"evalkit has no protocol {card.protocol!r}: use --protocol"))
        return
    searches: Searches | None = None
    try:
        searches = searches_for(card, asked.search, asked.image_search)
        await searches.start()
    except EvalkitError as error:
        findings.problem("search", error)
    finally:
        if searches is not None:
            await searches.close()
    family = protocol(card.protocol)
    for tool in family.tools:
        if card.tools is None or tool in card.tools:
            facts = searches.facts.get(tool) if searches else None
            has = facts or tool in make_tools([tool], sandbox, family.zoom)
            none = "not offered: no provider is configured"
            findings.say(f"tool {tool}", f"offered: {told(facts)}" if facts else "offered" if has else none)


async def _examine_engine(card: ModelCard, settings: EngineSettings, findings: _Findings) -> None:
    """Whether the model answers, and all that its engine says of itself."""
    try:
        engine = make_engine(card, settings)
        try:
            facts = await engine.start()
            findings.say("engine", f"{facts.pop('kind', card.engine)} answers for {card.name}")
            for fact, value in flat(facts):
                if value not in (None, ""):
                    findings.say(f"- {fact.replace('_', ' ')}", value)
            await _try(engine, card, findings)
        finally:
            await engine.close()
    except EvalkitError as error:
        findings.problem("engine", error)


async def _try(engine: Engine, card: ModelCard, findings: _Findings) -> None:
    """One short generation on one small image, as a run would ask for it."""
    from PIL import Image

    image = ImageFile.from_pil(Image.new("RGB", (64, 64), (200, 30, 30)), "a red square")
    message = Message("user", (image, "Which colour is this? One word."))
    clock = time.perf_counter()
    try:
        reply = await engine.generate(Request(messages=(message,), sampling=card.sampling, max_tokens=8))
    except DataError as error:
        findings.problem("- an image", error)
        return
    usage = reply.usage
    tokens = f"{usage.prompt_tokens} prompt tokens" if usage.prompt_tokens is not None else "it counts no tokens"
    findings.say("- an image", f"taken; {tokens}; answered in {time.perf_counter() - clock:.2f} s: {reply.text[:40]!r}")


async def _examine_sandbox(name: str, sandbox: Sandbox, findings: _Findings) -> bool:
    """Whether code can be run in isolation, and what keeps it in."""
    try:
        found = await sandbox.start()
    except EvalkitError as error:
        findings.problem(f"sandbox {name}", error)
        return False
    kept = "isolated" if found.isolated else "NOT ISOLATED: needs --unsafe-no-isolation"
    findings.say(f"sandbox {name}", f"tier {found.tier}, {kept}")
    for mechanism, state in found.details.items():
        findings.say(f"- {mechanism}", state)
    return True


def _packages() -> list[tuple[str, str]]:
    lines = []
    for package, need in (("torch", "pip install 'evalkit[hf]'"), ("transformers", "pip install 'evalkit[hf]'")):
        try:
            lines.append((package, version(package)))
        except PackageNotFoundError:
            lines.append((package, f"not installed: the transformers engine needs it ({need})"))
    return lines


def _disk(out: Path) -> tuple[str, str]:
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free / 2**30
    low = "" if free >= _ROOM_GB else "; runs store every image: free some or choose another --out"
    return "disk", f"{free:.0f} GB free for {out}{low}"


async def _stress(sandbox: Sandbox, count: int, console: Console) -> None:
    """`count` sessions at once: seconds to the first cell of each, and of a second one."""
    begun = time.perf_counter()
    first: list[float] = []
    second: list[float] = []

    async def use() -> None:
        session = await sandbox.open(SessionSpec())
        try:
            for times in (first, second):
                clock = time.perf_counter()
                result = await session.run("sum(range(1000))")
                times.append(time.perf_counter() - clock)
                if result.value != "499500":
                    raise EvalkitError(f"a session answered {result.status}: {result.stderr or result.value}")
            await everyone.wait()
        finally:
            await session.close()

    everyone = asyncio.Barrier(count)
    users = [asyncio.create_task(use()) for _ in range(count)]
    try:
        await asyncio.gather(*users)
    finally:
        for user in users:
            user.cancel()
        await asyncio.gather(*users, return_exceptions=True)
    total = time.perf_counter() - begun
    console.print(
        f"{count} sessions alive at once, all right: {count / total:.0f} a second, "
        f"call {statistics.median(second) * 1000:.1f} ms median"
    )
