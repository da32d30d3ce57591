"""Rollouts a second: evalkit's own agent loop and sandbox, beside a loop in one process that runs crops itself.

Both draw at temperature 1 from the same weights on the same boards, in turns and in one run of this script, so that
a busy machine slows both. Every round has new boards, drawn and encoded beforehand; the tool's results are new to both.

evalkit: chat template, tokenizer, protocol, a Python session for what the model writes, the task's own rules, records,
    and the drawn tokens with their log-probabilities.
prototype: `rollout` of a folder with `nano.py` and `data.py`: token ids put together by hand, an expression of two
    methods evaluated in the process; neither text nor log-probabilities are kept.

usage: python benchmarks/hdpo_rollouts.py [--prototype DIR] [--rounds 5] [--threads 1] [--model metis-nano-sft]
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHAPES = ((8, 8), (16, 16))
FIRST_BOARD = 4_000_000
TARGET = 0.5


class Evalkit:
    """Rollouts through evalkit; one event loop for all rounds, as a trainer has it."""

    def __init__(self, model: str, threads: int) -> None:
        import torch
        import uvloop
        from transformers import AutoModelForImageTextToText

        from evalkit.models import find_card
        from evalkit.training.roller import Roller

        torch.set_num_threads(threads)
        card = find_card(model)
        self.model = AutoModelForImageTextToText.from_pretrained(card.weights.location, dtype=torch.float32)
        self.runner = uvloop.Loop()
        self.task = _task(1, FIRST_BOARD)
        self.roller = Roller(self.model, card, self.task, max_batch=256)
        self.runner.run_until_complete(self.roller.__aenter__())
        self.step = 0

    def round(self, first: int, prompts: int, group: int) -> tuple[float, float, float]:
        """Seconds, CPU seconds of this process, and calls a rollout."""
        samples = list(_task(prompts, first).samples())
        for sample in samples:
            assert sample.images[0].header
        began, cpu = time.perf_counter(), time.process_time()
        self.step += 1
        rolled = self.runner.run_until_complete(self.roller.roll(samples, group, self.step))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        rollouts = [rollout for each in rolled for rollout in each]
        assert len(rollouts) == prompts * group
        assert all(rollout.sequences for rollout in rollouts)
        return seconds, cpu, sum(len(rollout.record.trajectory.calls) for rollout in rollouts) / len(rollouts)

    def close(self) -> None:
        """End the sandbox and the engine."""
        self.runner.run_until_complete(self.roller.__aexit__(None, None, None))


class Prototype:
    """The loop to compare with, in a process of its own: it changes classes of the transformers library."""

    def __init__(self, folder: Path, model: str, threads: int) -> None:
        command = [sys.executable, __file__, "--serve", "--prototype", str(folder), "--model", model]
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def round(self, first: int, prompts: int, group: int) -> tuple[float, float, float]:
        """See `Evalkit.round`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([first, prompts, group]) + "\n")
        self.process.stdin.flush()
        seconds, cpu, calls = json.loads(self.process.stdout.readline())
        return seconds, cpu, calls

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(folder: Path, model: str, threads: int) -> None:
    """The prototype's side: one line of JSON in, one out."""
    sys.path.insert(0, str(folder))
    import torch

    from evalkit.models import find_card

    nano: Any = importlib.import_module("nano")
    data: Any = importlib.import_module("data")
    torch.set_num_threads(threads)
    nano.speed_up()
    weights = find_card(model).weights.location
    policy = nano.Qwen3VLForConditionalGeneration.from_pretrained(weights, dtype=torch.float32)
    for line in sys.stdin:
        first, prompts, group = json.loads(line)
        items, views = [], []
        for index in range(prompts):
            item = data.item(first + index, index % 9)
            view = data.small(data.render(item["seed"]))
            items += [item] * group
            views += [view] * group
        began, cpu = time.perf_counter(), time.process_time()
        rolled, _ = nano.rollout(policy, items, views)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        calls = sum(rollout["calls"] for rollout in rolled) / len(rolled)
        print(json.dumps([seconds, cpu, calls]), flush=True)


def _task(boards: int, first: int) -> Any:
    from evalkit.content import find_tasks, open_task, task_named

    options = {"boards": str(boards), "questions": "1", "seed": str(first)}
    return open_task(task_named("panel_probe", find_tasks()), options=options)


def _line(name: str, shape: tuple[int, int], rounds: Sequence[tuple[float, float, float]]) -> str:
    count = shape[0] * shape[1]
    rates = sorted(count / seconds for seconds, _, _ in rounds)
    cpu = statistics.median(1e3 * spent / count for _, spent, _ in rounds)
    calls = statistics.mean(each for _, _, each in rounds)
    label = f"{shape[0]} x {shape[1]}"
    spread = f"{rates[0]:.0f}-{rates[-1]:.0f}"
    return f"{name:<10} {label:>8} {statistics.median(rates):>8.0f} {spread:>11} {cpu:>10.2f} {calls:>8.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prototype", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="metis-nano-sft")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.prototype, given.model, given.threads)
        return
    sides: dict[str, Evalkit | Prototype] = {"evalkit": Evalkit(given.model, given.threads)}
    if given.prototype:
        sides["prototype"] = Prototype(given.prototype, given.model, given.threads)
    print(f"{'loop':<10} {'rollouts':>8} {'a second':>8} {'range':>11} {'CPU ms':>10} {'calls':>8}")
    board = FIRST_BOARD
    for shape in SHAPES:
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in sides}
        # the first round is not counted: libraries load and memory grows
        for counted in range(given.rounds + 1):
            for name, side in sides.items():
                result = side.round(board, *shape)
                if counted:
                    found[name].append(result)
            board += shape[0]
        for name, rounds in found.items():
            print(_line(name, shape, rounds))
        if "prototype" in found:
            pairs = zip(found["prototype"], found["evalkit"], strict=True)
            ratio = statistics.median(theirs[0] / ours[0] for theirs, ours in pairs)
            print(f"  evalkit is {ratio:.2f} times as fast (target: at least {TARGET:g})")
    for side in sides.values():
        side.close()


if __name__ == "__main__":
    main()
