"""What four benchmarks cost on 1, 8, 64 and 512 GPUs: a model on paper, from recorded trajectories.

Every trajectory's turns and tokens come from the recorded runs (`scale_work.py`); what a GPU does in a second is
assumed (`Gpu`), because none was at hand. Replicas of one GPU each are simulated event by event: prompts one after the
other, decoding in one batch, tools beside it, the next trajectory to the replica that has just become free.

usage: python -m benchmarks.scale_model [--data DIR] [--gpus 1,8,64,512] [--turn-tokens N] [--check]
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import scale_work
from benchmarks.scale_work import Trajectory, Turn

HERE = Path(__file__).resolve().parent
_SEGMENT = 512
"""Steps after which the cost of a step is worked out anew, because contexts have grown."""
_TINY = 1e-9


class Gpu(NamedTuple):
    """One replica: an H100 of 80 GB with Qwen2.5-VL-7B in bfloat16. All of it assumed, none measured here.

    Attributes:
        weight_bytes: read once a step (the card deepeyes-7b: 16.6 GB).
        kv_bytes: of one token (28 layers, 4 key-value heads of 128, two bytes, keys and values: its config.json).
        memory_bytes: for keys and values: 0.9 of 80 GB, less the weights and 4 GB.
        bandwidth: bytes/s: 0.7 of the 3.35 TB/s of the data sheet.
        flops: 1/s: 0.4 of the 989 T of the data sheet (bfloat16, dense).
        parameters: of the language model and the image encoder's share of a token.
        step_s: of each step, whatever its batch: scheduling and sampling.
        image_s: of a megapixel on the host, one image after the other: decoding, resizing, cutting into patches.
            Measured with transformers' PIL processor on one core: 0.13 to 0.2; vLLM's torchvision one is assumed to
            be four times as fast.
    """

    weight_bytes: float = 16.6e9
    kv_bytes: float = 57_344
    memory_bytes: float = 0.9 * 80e9 - 16.6e9 - 4e9
    bandwidth: float = 0.7 * 3.35e12
    flops: float = 0.4 * 989e12
    parameters: float = 8.3e9 + 2.7e9
    step_s: float = 0.0015
    image_s: float = 0.04

    @property
    def kv_tokens(self) -> float:
        """Tokens that fit."""
        return self.memory_bytes / self.kv_bytes

    def prefill(self, tokens: float, megapixels: float = 0.0) -> float:
        """Seconds to take in a prompt; the host processes images beside the GPU, and the slower one counts."""
        return max(2 * self.parameters * tokens / self.flops, self.image_s * megapixels)

    def step(self, batch: int, context: float) -> float:
        """Seconds of one decoding step.

        Args:
            batch: sequences.
            context: tokens of them all.
        """
        memory = (self.weight_bytes + self.kv_bytes * context) / self.bandwidth
        return self.step_s + max(memory, 2 * self.parameters * batch / self.flops)


class Outcome(NamedTuple):
    """Of one simulated run.

    Attributes:
        seconds: from the first request to the last reply.
        busy_s: GPU seconds with work, all replicas.
    """

    seconds: float
    busy_s: float


def limited(trajectory: Trajectory, turn_tokens: float) -> Trajectory:
    """The trajectory if no generation may be longer."""
    return [turn._replace(out=min(turn.out, turn_tokens)) for turn in trajectory]


def alone(trajectory: Trajectory, gpu: Gpu) -> float:
    """Seconds of a trajectory that has a replica for itself: no number of GPUs makes a run shorter than its longest."""
    seconds = context = 0.0
    for at, turn in enumerate(trajectory):
        context += turn.prompt
        seconds += gpu.prefill(turn.prompt, turn.megapixels)
        if at + 1 < len(trajectory):
            seconds += turn.tool_s
        seconds += turn.out * gpu.step(1, context + turn.out / 2)
        context += turn.out
    return seconds


class _Sequence:
    """A trajectory under way."""

    __slots__ = ("context", "held", "left", "trajectory", "turn")

    def __init__(self, trajectory: Trajectory) -> None:
        self.trajectory = trajectory
        self.turn = 0
        self.context = self.left = self.held = 0.0


class _Replica:
    """One GPU; `until` is when something happens next of itself."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.now = self.busy_s = self.kv = 0.0
        self.waiting: deque[_Sequence] = deque()
        self.filling: _Sequence | None = None
        self.filled_at = 0.0
        self.decoding: list[_Sequence] = []
        self.version = 0

    def arrive(self, sequence: _Sequence) -> None:
        """A turn is due."""
        self.waiting.append(sequence)

    def until(self) -> float | None:
        """When the prompt is taken in, the first of the batch ends, or its step has to be worked out anew."""
        if self.filling is None and self.waiting:
            first = self.waiting[0]
            turn = first.trajectory[first.turn]
            room = first.context + turn.prompt + turn.out
            if self.kv + room <= self.gpu.kv_tokens or not self.decoding:
                self.filling = self.waiting.popleft()
                self.filling.held = room
                self.kv += room
                self.filled_at = self.now + self.gpu.prefill(turn.prompt, turn.megapixels)
        if self.filling is not None:
            return self.filled_at
        if self.decoding:
            steps = min(_SEGMENT, min(each.left for each in self.decoding))
            return self.now + steps * self.step()
        return None

    def step(self) -> float:
        """Seconds of a step of the batch as it is."""
        return self.gpu.step(len(self.decoding), sum(each.context for each in self.decoding))

    def advance(self, now: float) -> list[_Sequence]:
        """Go on to a moment not after `until`; what ended its generation by then."""
        passed, self.now = now - self.now, now
        if self.filling is not None:
            self.busy_s += passed
            if now >= self.filled_at - _TINY:
                turn = self.filling.trajectory[self.filling.turn]
                self.filling.context += turn.prompt
                self.filling.left = turn.out
                self.decoding.append(self.filling)
                self.filling = None
        elif self.decoding:
            self.busy_s += passed
            steps = passed / self.step()
            for each in self.decoding:
                each.left -= steps
                each.context += steps
        ended = [each for each in self.decoding if each.left <= _TINY * _SEGMENT]
        if ended:
            self.decoding = [each for each in self.decoding if each not in ended]
            for each in ended:
                self.kv -= each.held
        return ended


def simulate(trajectories: Sequence[Trajectory], gpus: int, in_flight: int, gpu: Gpu) -> Outcome:
    """A run of all trajectories in their order.

    Args:
        trajectories: with a turn at least each.
        gpus: replicas.
        in_flight: trajectories at a replica, at most.
        gpu: what each is.
    """
    replicas = [_Replica(gpu) for _ in range(gpus)]
    order = itertools.count()
    events: list[tuple[float, int, int, int, _Sequence | None]] = []
    queue = iter(trajectories)
    last = 0.0

    def dispatch(place: int, now: float) -> None:
        if (found := next(queue, None)) is not None:
            heapq.heappush(events, (now, next(order), place, -1, _Sequence(found)))

    for _ in range(min(in_flight, -(-len(trajectories) // gpus))):
        for place in range(gpus):
            dispatch(place, 0.0)
    while events:
        now, _, place, version, arrived = heapq.heappop(events)
        replica = replicas[place]
        if arrived is None and version != replica.version:
            continue
        for ended in replica.advance(now):
            turn = ended.trajectory[ended.turn]
            ended.turn += 1
            if ended.turn < len(ended.trajectory):
                heapq.heappush(events, (now + turn.tool_s, next(order), place, -1, ended))
            else:
                last = max(last, now)
                dispatch(place, now)
        if arrived is not None:
            replica.arrive(arrived)
        replica.version += 1
        if (until := replica.until()) is not None:
            heapq.heappush(events, (until, next(order), place, replica.version, None))
    return Outcome(last, sum(replica.busy_s for replica in replicas))


def cost(gpus: int, seconds: float, start_s: float, price: float) -> float:
    """Of all GPUs from the start of loading to the end of the run, at `price` a GPU hour."""
    return gpus * (seconds + start_s) / 3600 * price


def check(gpu: Gpu) -> tuple[float, float]:
    """The simulation of a published measurement, and what was measured (seconds).

    vllm-project/vllm#18566: Llama-3.1-8B, 1,000 ShareGPT prompts at once, 229,711 tokens in and 203,068 out, 30.85 s
    (the GPU is not named there). Lengths are drawn here from exponential distributions with those means.
    """
    llama = gpu._replace(weight_bytes=16.1e9, kv_bytes=131_072, parameters=8.0e9)
    draw = random.Random(0)
    rows = [(Turn(draw.expovariate(1 / 229.7), 1 + draw.expovariate(1 / 202.1)),) for _ in range(1000)]
    return simulate(rows, 1, 1000, llama).seconds, 30.85


def load_s(nodes: int, weight_bytes: float, store: float, node: float) -> float:
    """Seconds until every node has read the weights once, its GPUs from the node's own memory after that.

    Args:
        nodes: that read at once.
        weight_bytes: of the model.
        store: bytes/s that the shared file system gives to all of them.
        node: bytes/s that one of them can take.
    """
    return max(weight_bytes / node, nodes * weight_bytes / store)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data", help="recorded runs")
    parser.add_argument("--gpus", default="1,8,64,512")
    parser.add_argument("--in-flight", type=int, default=64, help="trajectories at a replica")
    parser.add_argument("--price", type=float, default=2.5, help="of a GPU hour")
    parser.add_argument("--start-s", type=float, default=120.0, help="loading the weights until the first request")
    parser.add_argument("--image-s", type=float, default=Gpu().image_s, help="of a megapixel on the host")
    parser.add_argument("--turn-tokens", type=float, default=float("inf"), help="limit of a generation")
    parser.add_argument("--check", action="store_true", help="only compare with a published measurement")
    options = parser.parse_args()
    gpu = Gpu(image_s=options.image_s)
    if options.check:
        print("simulated {:.1f} s, measured {:.1f} s".format(*check(gpu)))
        return
    counts = [int(text) for text in options.gpus.split(",")]
    peaks = []
    print(
        "| run + start, s; GPU time with work; cost | rows | tokens a row |", *(f"{count} GPUs |" for count in counts)
    )
    print("|---" * (len(counts) + 3) + "|")
    for work in scale_work.all_work(options.data):
        rows = [limited(each, options.turn_tokens) for each in work.trajectories]
        cells = []
        for count in counts:
            run = simulate(rows, count, options.in_flight, gpu)
            busy = run.busy_s / (count * (run.seconds + options.start_s))
            price = cost(count, run.seconds, options.start_s, options.price)
            cells.append(f"{run.seconds:,.0f} + {options.start_s:,.0f}; {busy:.0%}; ${price:,.2f}")
        written = sum(turn.out for each in rows for turn in each) / len(rows)
        print(f"| {work.name} | {len(rows):,} | {written:,.0f} |", *(f"{cell} |" for cell in cells), flush=True)
        longest = max(alone(each, gpu) for each in rows)
        rate = len(rows) / run.seconds
        calls = sum(turn.tool_s > 0 for each in rows for turn in each) / run.seconds
        peaks.append(
            f"| {work.name} | {longest:,.0f} | {rate:,.0f} | {calls:,.0f} | {rate * work.image_bytes / 1e6:,.0f} |"
        )
    print(
        f"\n| with {counts[-1]} GPUs | longest trajectory alone, s | rows/s | calls/s | images, MB/s |",
        "|---" * 5 + "|",
        sep="\n",
    )
    print(*peaks, sep="\n")
    print("\n| nodes of 8 | weights read from a store of 5 GB/s, s | of 50 GB/s, s |", "|---|---|---|", sep="\n")
    for nodes in (1, 8, 64):
        slow, fast = (load_s(nodes, gpu.weight_bytes, store, 5e9) for store in (5e9, 50e9))
        print(f"| {nodes} | {slow:,.0f} | {fast:,.0f} |")


if __name__ == "__main__":
    main()
