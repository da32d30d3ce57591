"""Whether an engine ever waits for a tool, a disk or another trajectory, and what memory a long run takes.

utilisation: agents of two turns on an engine of 32 slots that takes 200 ms a request, and a tool between the
    turns whose time is drawn from a log-normal distribution (median 50 ms, 99th percentile 5 s, ended at 20 s as
    Metis' Python tool is). The makespan stands beside its lower bound, max(engine work / slots, longest
    trajectory), and beside what a lockstep runner (a batch of 32 goes through generation, tools and generation
    together) takes for the same draws.
tools: We-Math rows with one call each behind the mock server, everything recorded, beside a bare client that sends the
    same two requests and does nothing else.
memory: 10,000 rows on 64 different 8K images, 256 in flight, everything recorded: the process' memory after each
    thousand rows.

usage: python benchmarks/engines.py [utilisation] [tools] [memory] [--trajectories 16000] [--wemath DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop
from harness_overhead import draw_eight_k, served, wemath_items

from evalkit.agents import Agent
from evalkit.agents.limits import Limits
from evalkit.agents.protocols import protocol
from evalkit.engines import Completion, Engine, Request, Sampling
from evalkit.images import warm_up
from evalkit.records import RECORD_VERSION, CallStatus, Outcome, Record, Sample, Verdict
from evalkit.runs.scheduler import Stop, in_flight
from evalkit.runs.store import RunStore
from evalkit.runs.writer import Writer
from evalkit.tools import ToolResult, ToolSpec

HERE = Path(__file__).resolve().parent
SLOTS, REQUEST_S, MEDIAN_S, P99_S, LIMIT_S = 32, 0.2, 0.05, 5.0, 20.0
_TOOL_ENDS = 2
CALL = '<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>'
ANSWER = "<reason>It is plain to see.</reason>\n<answer>A</answer>"


class SlotEngine:
    """An engine that is nothing but slots and time; what does not fit waits in order of arrival."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(SLOTS)

    async def start(self) -> dict[str, Any]:
        """Nothing to load."""
        return {"kind": "slots"}

    async def generate(self, request: Request) -> Completion:
        """A call first, then an answer."""
        async with self.slots:
            await asyncio.sleep(REQUEST_S)
        return Completion(text=CALL if request.turn == 0 else ANSWER)

    async def close(self) -> None:
        """Nothing to free."""


class WaitingTool:
    """A tool that only takes its time, drawn beforehand for each sample."""

    spec = ToolSpec(name="python", description="Waits.", parameters={"type": "object"})

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = seconds

    async def open(self, sample: Sample, names: Mapping[str, str]) -> WaitingSession:
        """A session that waits once a call."""
        return WaitingSession(self.seconds.get(sample.id, 0.0))


class WaitingSession:
    """See `WaitingTool`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        """Wait."""
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return ToolResult(status=CallStatus.OK, text="1")

    async def close(self) -> None:
        """Nothing to free."""


async def run(engine: Engine, samples: list[Sample], seconds: Mapping[str, float], concurrency: int) -> float:
    """All samples through the agent loop into a run folder; the seconds it took."""
    tools = {"python": WaitingTool(seconds)}
    agent = Agent(engine=engine, protocol=protocol("metis"), tools=tools, sampling=Sampling(), limits=Limits())
    warm_up()
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder)) as store:
        started = time.perf_counter()

        async def work(sample: Sample) -> None:
            trajectory = await agent.run(sample, sample.id)
            assert len(trajectory.turns) == 2, trajectory
            outcome = Outcome(verdict=Verdict.CORRECT, answer="A")
            record = Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome)
            await writer.put(lambda: record)

        async with Writer(store, backlog=concurrency, stored=lambda record: None) as writer:
            await in_flight(samples, work, concurrency, Stop())
        return time.perf_counter() - started


def draws(count: int) -> list[float]:
    """Tool times in seconds."""
    generator = random.Random(0)
    sigma = math.log(P99_S / MEDIAN_S) / statistics.NormalDist().inv_cdf(0.99)
    return [min(LIMIT_S, generator.lognormvariate(math.log(MEDIAN_S), sigma)) for _ in range(count)]


def without_overhead(seconds: list[float], concurrency: int) -> float:
    """Makespan of the same order of work if everything but engine and tools took no time (event by event)."""
    starting = iter(range(len(seconds)))
    waiting = deque((row, 0) for row in islice(starting, concurrency))
    events: list[tuple[float, int, int]] = []
    free, now = SLOTS, 0.0
    while waiting or events:
        while free and waiting:
            row, turn = waiting.popleft()
            free -= 1
            heapq.heappush(events, (now + REQUEST_S, turn, row))
        now, done, row = heapq.heappop(events)
        if done == _TOOL_ENDS:
            waiting.append((row, 1))
            continue
        free += 1
        if done == 0:
            heapq.heappush(events, (now + seconds[row], _TOOL_ENDS, row))
        elif (new := next(starting, None)) is not None:
            waiting.append((new, 0))
    return now


def utilisation(count: int, concurrency: int) -> None:
    """Makespan beside its bound and beside lockstep."""
    seconds = draws(count)
    samples = [Sample(id=str(i), question="?") for i in range(count)]
    took = uvloop.run(run(SlotEngine(), samples, dict(zip((s.id for s in samples), seconds, strict=True)), concurrency))
    bound = max(2 * count * REQUEST_S / SLOTS, max(seconds) + 2 * REQUEST_S)
    lockstep = sum(2 * REQUEST_S + max(seconds[at : at + SLOTS]) for at in range(0, count, SLOTS))
    print(f"utilisation: {count} trajectories of 2 requests, {concurrency} in flight, {SLOTS} slots of {REQUEST_S:g} s")
    print(f"  tool time     mean {statistics.fmean(seconds):.2f} s, longest {max(seconds):.1f} s")
    ideal = without_overhead(seconds, concurrency)
    print(f"  lower bound   {bound:8.1f} s")
    print(
        f"  no overhead   {ideal:8.1f} s   {ideal / bound:.3f} of the bound (computed: only engine and tools cost time)"
    )
    print(f"  evalkit       {took:8.1f} s   {took / bound:.3f} of the bound")
    print(f"  lockstep      {lockstep:8.1f} s   {lockstep / bound:.1f} of the bound (computed from the same draws)")


def tools(wemath: Path, runs: int) -> None:
    """Two requests and a call a row, beside the bare client's two requests."""
    from evalkit.content import find_tasks, open_task, task_named
    from evalkit.engines.openai import OpenAIEngine

    ratios, ours, limits = [], [], []
    samples = list(open_task(task_named("wemath", find_tasks()), str(wemath)).samples())[:400]
    with tempfile.TemporaryDirectory() as name, served("--tools") as url:
        items = wemath_items(wemath, Path(name))

        async def harness() -> float:
            engine = OpenAIEngine(base_url=url, model="mock", connections=64)
            await engine.start()
            try:
                return await run(engine, samples, {}, 64)
            finally:
                await engine.close()

        for _ in range(runs + 1):
            command = [sys.executable, str(HERE / "bare_client.py"), str(items), "64", url, "2"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            limits.append(400 / json.loads(done.stdout.splitlines()[-1])["loop_s"])
            ours.append(400 / uvloop.run(harness()))
            ratios.append(ours[-1] / limits[-1])
    print(f"tools: 400 We-Math rows with one call each, 64 in flight (medians of {runs} runs, taken in turns)")
    print(f"  bare client   {statistics.median(limits[1:]):8.1f} rows/s")
    print(f"  evalkit       {statistics.median(ours[1:]):8.1f} rows/s")
    print(f"  ratio         {statistics.median(ratios[1:]):8.2f}")


def memory(rows: int) -> None:
    """Resident memory of the whole run, read while it goes on."""
    with tempfile.TemporaryDirectory() as name, served() as url:
        folder = Path(name)
        subprocess.run([sys.executable, __file__, "--draw", str(folder / "8k.jpg")], check=True)
        images = folder / "images"
        images.mkdir()
        for index in range(64):
            # other bytes behind the image's end: another image to whoever goes by the content
            (images / f"{index}.jpg").write_bytes((folder / "8k.jpg").read_bytes() + index.to_bytes(2, "big"))
        command = [sys.executable, "-m", "evalkit", "run", "--engine", "openai", "--model", "mock", "--base-url", url]
        command += ["--protocol", "direct", "-c", "256", "--run-dir", str(folder / "run"), "--tasks", "eight_k"]
        command += ["--task-dir", str(HERE / "tasks"), "-T", f"image={images}", "-T", f"rows={rows}"]
        started = time.perf_counter()
        said = (folder / "said.txt").open("w+")
        process = subprocess.Popen(command, stdout=said, stderr=said)
        print(f"memory: {rows} rows on 64 different 8K images, 256 in flight")
        step, file = max(1, rows // 10), folder / "run" / "samples.jsonl"
        wanted, done, position = step, 0, 0
        while process.poll() is None:
            time.sleep(0.2)
            if file.exists():
                with file.open("rb") as lines:
                    lines.seek(position)
                    new = lines.read()
                position += len(new)
                done += new.count(b"\n")
            if done >= wanted:
                status = Path(f"/proc/{process.pid}/status").read_text()
                resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
                print(f"  after {done:6d} rows  {resident:6.0f} MB  {time.perf_counter() - started:6.1f} s", flush=True)
                wanted = (done // step + 1) * step
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"the run ended with {process.returncode}:\n{said.read()[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[], help="utilisation, tools, memory (default: all)")
    parser.add_argument("--trajectories", type=int, default=16_000)
    parser.add_argument("--concurrency", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--wemath", type=Path, default=HERE.parents[1] / "shared" / "data" / "wemath")
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        draw_eight_k(options.draw)
        return
    parts = options.parts or ["utilisation", "tools", "memory"]
    if "utilisation" in parts:
        utilisation(options.trajectories, options.concurrency)
    if "tools" in parts:
        tools(options.wemath.resolve(), options.runs)
    if "memory" in parts:
        memory(options.rows)


if __name__ == "__main__":
    main()
