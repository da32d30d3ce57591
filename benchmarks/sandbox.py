"""What a session costs: start to first executed cell, round trip, memory, sessions per second, for each tier.

Beside it, in the same run, jupyter_client with ipykernel, where both are installed.

usage: python benchmarks/sandbox.py [--starts 60] [--calls 600] [--live 300] [--tiers T1,T2,T0]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from PIL import Image

from evalkit.errors import EvalkitError
from evalkit.images import ImageFile
from evalkit.sandbox import Limits, LocalSandbox, SessionSpec, Tier
from evalkit.sandbox._memory import free_mb, pss_mb

TARGETS = "start <= 15 / 30 ms, >= 80 sessions/s, call <= 0.5 ms, <= 5 MB PSS idle, 300 live"
CROP = "image_1.crop((100, 100, 1124, 1124))"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()"
IMPORTS = "import numpy, PIL.Image, matplotlib.pyplot"


class Row(NamedTuple):
    """One kind of session. Times in ms (median and 95th percentile), memory in MB."""

    name: str
    server_s: str = "-"
    start: str = "-"
    call: str = "-"
    per_second: str = "-"
    pss: str = "-"
    live: str = "-"
    crop: str = "-"
    plot: str = "-"


def spread(seconds: list[float], digits: int = 1) -> str:
    """Median / 95th percentile in ms."""
    high = statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
    return f"{1e3 * statistics.median(seconds):.{digits}f} / {1e3 * high:.{digits}f}"


def photograph(width: int, height: int) -> ImageFile:
    """A JPEG with detail in it."""
    import io

    noise = Image.effect_noise((width // 8, height // 8), 60).resize((width, height)).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG", quality=90)
    return ImageFile.from_bytes(buffer.getvalue())


async def starts(sandbox: LocalSandbox, count: int) -> list[float]:
    """Seconds from `open` to the end of the first cell, one session after the other."""
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        session = await sandbox.open(SessionSpec())
        await session.run("1 + 1")
        found.append(time.perf_counter() - begun)
        await session.close()
    return found


async def throughput(sandbox: LocalSandbox, count: int) -> float:
    """Sessions per second: opened, one cell run, closed; 8 at a time."""
    gate = asyncio.Semaphore(8)

    async def one() -> None:
        async with gate:
            session = await sandbox.open(SessionSpec())
            await session.run("1 + 1")
            await session.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    return count / (time.perf_counter() - begun)


async def calls(sandbox: LocalSandbox, count: int) -> list[float]:
    """Seconds per call in one session."""
    session = await sandbox.open(SessionSpec())
    await session.run("x = 1")
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        await session.run("x + 1")
        found.append(time.perf_counter() - begun)
    await session.close()
    return found


async def first_use(sandbox: LocalSandbox, spec: SessionSpec, code: str, count: int) -> list[float]:
    """Seconds of a cell that is a session's second."""
    found = []
    for _ in range(count):
        session = await sandbox.open(spec)
        await session.run("1")
        begun = time.perf_counter()
        result = await session.run(code)
        found.append(time.perf_counter() - begun)
        assert len(result.images) == 1, result.stderr
        await session.close()
    return found


async def live(sandbox: LocalSandbox, count: int) -> tuple[str, str]:
    """PSS per session of `count` idle ones, and how many of them answer."""
    free = free_mb()
    sessions = [await sandbox.open(SessionSpec()) for _ in range(count)]
    await asyncio.gather(*(session.run("x = 1") for session in sessions))
    sizes = [pss_mb(running.pid) for session in sessions if (running := session._running)]  # type: ignore[attr-defined]
    used = (free - free_mb()) / count
    answers = await asyncio.gather(*(session.run("x + 1") for session in sessions))
    await asyncio.gather(*(session.close() for session in sessions))
    return f"{statistics.mean(sizes):.1f} ({used:.1f})", str(sum(answer.value == "2" for answer in answers))


async def measure(tier: str, options: argparse.Namespace) -> Row:
    sandbox = LocalSandbox(Limits(call_s=60), tier=Tier(tier), allow_unisolated=True)
    begun = time.perf_counter()
    try:
        await sandbox.start()
    except EvalkitError as error:
        print(f"{tier} does not hold here: {error}")
        return Row(tier)
    server_s = time.perf_counter() - begun
    try:
        await starts(sandbox, 5)
        start = spread(await starts(sandbox, options.starts))
        call = spread(await calls(sandbox, options.calls), 2)
        per_second = await throughput(sandbox, 2 * options.starts)
        pss, alive = await live(sandbox, options.live)
        image = SessionSpec(images=(photograph(3840, 2160),))
        crop = spread(await first_use(sandbox, image, CROP, 10))
        plot = spread(await first_use(sandbox, SessionSpec(), PLOT, 10))
    finally:
        await sandbox.close()
    name = f"{tier} {'root' if os.geteuid() == 0 else 'unprivileged'}"
    return Row(name, f"{server_s:.1f}", start, call, f"{per_second:.0f}", pss, alive, crop, plot)


def jupyter(options: argparse.Namespace) -> Row:
    """The same of Jupyter kernels that import what the fork server has imported."""
    start_new_kernel = import_module("jupyter_client.manager").start_new_kernel

    def run(client: Any, code: str) -> None:
        reply = client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
        assert reply["content"]["status"] == "ok"

    begun_all, found, kernels, times, sizes = time.perf_counter(), [], [], [], []
    for _ in range(options.kernels):
        begun = time.perf_counter()
        manager, client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
        run(client, f"{IMPORTS}\n1 + 1")
        found.append(time.perf_counter() - begun)
        kernels.append((manager, client))
    per_second = options.kernels / (time.perf_counter() - begun_all)
    try:
        for manager, _ in kernels:
            sizes.append(pss_mb(manager.provisioner.pid))
        for _ in range(options.calls // 4):
            begun = time.perf_counter()
            run(kernels[0][1], "1 + 1")
            times.append(time.perf_counter() - begun)
    finally:
        for manager, client in kernels:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    return Row(
        "jupyter_client", "-", spread(found), spread(times, 2), f"{per_second:.1f}", f"{statistics.mean(sizes):.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=60)
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--live", type=int, default=300)
    parser.add_argument("--kernels", type=int, default=5)
    parser.add_argument("--tiers", default="T1,T2,T0")
    options = parser.parse_args()
    rows = [asyncio.run(measure(tier, options)) for tier in options.tiers.split(",")]
    if find_spec("jupyter_client") and find_spec("ipykernel"):
        rows.append(jupyter(options))
    else:
        print("jupyter_client and ipykernel are not installed: nothing to compare with")
    head = Row(
        "", "server s", "start ms", "call ms", "sessions/s", "PSS MB (free)", "live", "4K crop ms", "first plot ms"
    )  # fmt: skip
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"median / p95; {os.cpu_count()} cores; targets: {TARGETS}")


if __name__ == "__main__":
    main()
