"""From rollouts to the gradient, against the formulas of arXiv 2604.08545 written out by hand.

The other side shares no code with evalkit's: rewards and advantages in plain Python, one unpadded forward pass a
sequence in float64, the loss token by token, and its gradient by finite differences.
"""

from __future__ import annotations

import asyncio
import copy
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evalkit.records import (
    RECORD_VERSION,
    CallStatus,
    Outcome,
    Record,
    Sample,
    StopReason,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
)
from evalkit.training.config import Method, PolicySettings
from tests.tiny_qwen import build

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.training.learner import Learner  # noqa: E402
from evalkit.training.policy import Policy  # noqa: E402
from evalkit.training.processes import Alone  # noqa: E402
from evalkit.training.rehearsal import Rehearsal  # noqa: E402
from evalkit.training.rollout import Rollout  # noqa: E402
from evalkit.training.rollout import Sequence as Tokens  # noqa: E402

LR = 2e-3
TEMPERATURE, CLIP_LOW, CLIP_HIGH, DUAL, W_TOOL, PENALTY, EPSILON = 0.7, 0.2, 0.3, 3.0, 0.15, 0.2, 1e-6


STEP = 3e-4
"""How far the differences go: the model's norms compute in float32 whatever its weights are."""


class Drawn(NamedTuple):
    """One rollout by hand: None for an answer that could not be scored."""

    right: bool | None
    calls: int
    formed: bool
    lengths: tuple[int, ...]


PROMPTS: list[list[Drawn]] = [
    # a mix, with unequal calls among the right ones; the third has a sequence more, the last is no answer
    [
        Drawn(True, 0, True, (4,)),
        Drawn(True, 2, True, (9,)),
        Drawn(False, 1, False, (5, 6)),
        Drawn(False, 0, True, (3,)),
        Drawn(None, 3, True, (8,)),
    ],
    # all right: nothing in the accuracy channel but the form
    [
        Drawn(True, 1, True, (6,)),
        Drawn(True, 1, True, (4,)),
        Drawn(True, 3, False, (7,)),
        Drawn(True, 0, True, (2,)),
        Drawn(True, 1, True, (5,)),
    ],
    # a single right one has no tool advantage
    [
        Drawn(True, 4, True, (5,)),
        Drawn(False, 0, True, (4,)),
        Drawn(False, 0, True, (4,)),
        Drawn(False, 2, True, (6,)),
        Drawn(False, 0, False, (3,)),
    ],
    # flat: no gradient, but its tokens count
    [Drawn(False, 0, True, (10,))] * 5,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"))


def sequence(generator: Any, length: int) -> Tokens:
    """Two turns with an observation between them; `length` tokens are written."""
    before, between = int(torch.randint(2, 6, (), generator=generator)), 2
    first = (length + 1) // 2
    written = [False] * before + [True] * first + ([False] * between + [True] * (length - first))
    tokens = torch.randint(0, 60, (len(written),), generator=generator)
    return Tokens(tokens, torch.tensor(written), torch.where(torch.tensor(written), -1.0, 0.0), {}, {})


def rollout(sample: Sample, drawn: Drawn, generator: Any) -> Rollout:
    calls = tuple(ToolCall(tool="python", raw="", status=CallStatus.OK) for _ in range(drawn.calls))
    verdict = Verdict.SANDBOX_ERROR if drawn.right is None else Verdict.CORRECT if drawn.right else Verdict.INCORRECT
    stop = StopReason.ANSWERED if drawn.formed else StopReason.ENDED
    record = Record(
        version=RECORD_VERSION,
        sample=sample,
        trajectory=Trajectory(prompt="", stop=stop, turns=(Turn(text="", calls=calls),)),
        outcome=Outcome(verdict=verdict),
    )
    return Rollout(record, tuple(sequence(generator, length) for length in drawn.lengths))


def advantages(rewards: Sequence[float], divide: bool) -> list[float]:
    mean = statistics.fmean(rewards)
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    return [(r - mean) / (statistics.stdev(rewards) + EPSILON if divide else 1.0) for r in rewards]


def worth(settings: PolicySettings) -> list[list[tuple[float, float]]]:
    """Both advantages of every scored rollout."""
    found = []
    for group in PROMPTS:
        scored = [drawn for drawn in group if drawn.right is not None]
        reward = [0.9 * bool(d.right) + 0.1 * d.formed for d in scored]
        if settings.method == Method.COUPLED:
            reward = [r - PENALTY * d.calls for r, d in zip(reward, scored, strict=True)]
        tool = [0.0] * len(scored)
        among = [at for at, d in enumerate(scored) if d.right]
        if settings.method == Method.HDPO and len(among) > 1:
            rewards = [1 / (scored[at].calls + 1) for at in among]
            for at, value in zip(among, advantages(rewards, settings.divide), strict=True):
                tool[at] = value
        found.append(list(zip(advantages(reward, settings.divide), tool, strict=True)))
    return found


def logprobs(model: Any, tokens: Tokens, never: list[int]) -> Any:
    """Of the written tokens, one forward pass without padding."""
    logits = model(input_ids=tokens.tokens[None]).logits[0] / TEMPERATURE
    logits = logits.index_fill(-1, torch.tensor(never), -math.inf)
    all_of_them = torch.log_softmax(logits, -1)
    places = [at for at, wrote in enumerate(tokens.written.tolist()) if wrote]
    return torch.stack([all_of_them[at - 1, tokens.tokens[at]] for at in places])


def by_hand(
    model: Any, start: Any, rolled: list[list[Rollout]], settings: PolicySettings, never: list[int]
) -> tuple[float, dict[str, float]]:
    """The loss with the weights of `model`, where `start` drew."""
    accuracy = tool = kl = 0.0
    count = count_tool = bounded = 0
    with torch.no_grad():
        for group, values in zip(rolled, worth(settings), strict=True):
            scored = [r for r in group if r.record.outcome.verdict is not Verdict.SANDBOX_ERROR]
            for each, (a_accuracy, a_tool) in zip(scored, values, strict=True):
                for tokens in each.sequences:
                    now, then = logprobs(model, tokens, never), logprobs(start, tokens, never)
                    count += len(now)
                    count_tool += len(now) if a_tool else 0
                    for new, old in zip(now.tolist(), then.tolist(), strict=True):
                        ratio = math.exp(new - old)
                        cut = min(max(ratio, 1 - CLIP_LOW), 1 + CLIP_HIGH)
                        bounded += (cut != ratio) and a_accuracy != 0

                        def clipped(a: float, ratio: float = ratio, cut: float = cut) -> float:
                            worst = max(-ratio * a, -cut * a)
                            return min(worst, -DUAL * a) if a < 0 else worst

                        accuracy += clipped(a_accuracy)
                        tool += clipped(a_tool)
                        kl += math.exp(old - new) - 1 - (old - new)
    parts = {"accuracy": accuracy / count, "tool": tool / max(count_tool, 1), "kl": kl / count, "bounded": bounded}
    weight = W_TOOL if settings.method == Method.HDPO else 0.0
    return parts["accuracy"] + weight * parts["tool"] + settings.kl * parts["kl"], parts


@pytest.mark.parametrize("method", [Method.HDPO, Method.GRPO, Method.COUPLED])
@pytest.mark.parametrize(("divide", "kl"), [(True, 0.0), (False, 0.3)])
def test_the_gradient_is_the_papers(folder: Path, method: Method, divide: bool, kl: float) -> None:
    torch.manual_seed(0)
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    start = copy.deepcopy(model).double().eval()
    # as pictures' places are never drawn
    never = [model.config.image_token_id, model.config.video_token_id]
    settings = PolicySettings(
        method=method, steps=1, prompts=len(PROMPTS), group=5, updates=2, lr=LR, warmup=0, grad_clip=1e9,
        temperature=TEMPERATURE, clip_low=CLIP_LOW, clip_high=CLIP_HIGH, w_tool=W_TOOL, penalty=PENALTY,
        divide=divide, kl=kl, resample=0, forward_tokens=30,
    )  # fmt: skip
    samples = [Sample(id=str(i), question="?") for i in range(len(PROMPTS))]
    generator = torch.Generator().manual_seed(1)
    made = {s.id: [rollout(s, drawn, generator) for drawn in PROMPTS[int(s.id)]] for s in samples}
    rolled = [made[str(i)] for i in range(len(PROMPTS))]

    class Script:
        async def roll(self, asked: Sequence[Sample], group: int, step: int) -> list[list[Rollout]]:
            return [made[sample.id] for sample in asked]

    learner = Learner(Policy(model, settings), settings, Alone(torch.device("cpu")))
    seen: list[tuple[Any, dict[int, Any]]] = []
    real = learner.optimizer.step

    def step() -> None:
        gradient = {at: p.grad.double().clone() for at, p in enumerate(learner.trained) if p.grad is not None}
        seen.append((copy.deepcopy(model).double(), gradient))
        real()

    learner.optimizer.step = step
    figures = asyncio.run(Rehearsal(learner, settings, samples, Script(), None).step(1))

    loss, parts = by_hand(start, start, rolled, settings, never)
    assert figures.loss == pytest.approx(loss, abs=1e-5)
    assert figures.loss_accuracy == pytest.approx(parts["accuracy"], abs=1e-5)
    if method == Method.HDPO:
        assert figures.loss_tool == pytest.approx(parts["tool"], abs=1e-5)
    assert figures.tokens == sum(sum(d.lengths) for group in PROMPTS for d in group if d.right is not None)
    assert (figures.errors, figures.all_right, figures.all_wrong) == (1, 1, 1)

    assert len(seen) == 2
    for turn, (weights, gradient) in enumerate(seen):
        if turn:
            # some tokens are beyond the clip by now
            assert by_hand(weights, start, rolled, settings, never)[1]["bounded"] > 3
        half = {at: g for at, g in gradient.items() if at % 2}
        for part in (gradient, half):
            size = float(torch.stack([g.norm() for g in part.values()]).norm())
            sides = []
            for sign in (1, -1):
                there = copy.deepcopy(weights)
                with torch.no_grad():
                    for at, parameter in enumerate(there.parameters()):
                        if at in part:
                            parameter.add_(sign * STEP / size * part[at])
                sides.append(by_hand(there, start, rolled, settings, never)[0])
            assert size == pytest.approx((sides[0] - sides[1]) / (2 * STEP), rel=0.02), turn
