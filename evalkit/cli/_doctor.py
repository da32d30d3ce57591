"""The examinations of `evalkit doctor`."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table

from evalkit.cli._console import Console, plain
from evalkit.errors import EvalkitError, ExitCode
from evalkit.runs.setup import make_sandbox
from evalkit.sandbox import Sandbox, SessionSpec

_ROOM_GB = 5.0


async def examine(name: str, stress: int) -> ExitCode:
    """Print every finding; the exit code says whether code can be run in isolation."""
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for line in _packages():
        table.add_row(*map(plain, line))
    table.add_row(*map(plain, _disk()))
    code = ExitCode.OK
    sandbox = make_sandbox(name, allow_unisolated=False)
    try:
        try:
            found = await sandbox.start()
        except EvalkitError as error:
            table.add_row(plain(f"sandbox {name}"), f"[red]{plain(error, 2000)}[/red]")
            code = ExitCode.USAGE
        else:
            kept = "isolated" if found.isolated else "[red]NOT ISOLATED: needs --unsafe-no-isolation[/red]"
            table.add_row(plain(f"sandbox {name}"), f"tier {found.tier}, {kept}")
            for mechanism, state in found.details.items():
                table.add_row(plain(f"- {mechanism}"), plain(state))
        console.print(table)
        if stress and not code:
            await _stress(sandbox, stress, console)
    finally:
        await sandbox.close()
    return code


def _packages() -> list[tuple[str, str]]:
    lines = []
    for package, need in (("torch", "pip install 'evalkit[hf]'"), ("transformers", "pip install 'evalkit[hf]'")):
        try:
            lines.append((package, version(package)))
        except PackageNotFoundError:
            lines.append((package, f"not installed: the transformers engine needs it ({need})"))
    return lines


def _disk() -> tuple[str, str]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    low = "" if free >= _ROOM_GB else "; runs store every image: free some or choose another --out"
    return "disk", f"{free:.0f} GB free here{low}"


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
