"""Rollouts come through the agent loop with the very tokens that were drawn, and repeat."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from evalkit.content import find_tasks, open_task, task_named
from evalkit.engines.base import Message, Request, Sampling
from evalkit.errors import EngineError, EvalkitError
from evalkit.images import ImageFile
from evalkit.models import ModelCard, find_card
from evalkit.models.card import Weights
from evalkit.records import Outcome, Sample, StopReason, Verdict
from evalkit.rulings import Ruling, Said
from evalkit.sandbox.fake import FakeSandbox
from evalkit.scoring.judge import Asked, FakeJudge
from evalkit.task import DataSource, Task
from tests.tiny_families import tiny
from tests.tiny_qwen import END, IMAGES, build, tiny_tokenizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.training.forward import token_logprobs  # noqa: E402
from evalkit.training.policy_engine import PolicyEngine  # noqa: E402
from evalkit.training.roller import Roller  # noqa: E402
from evalkit.training.rollout import Rollout  # noqa: E402
from evalkit.training.sequences import Spoken, sequences_of  # noqa: E402


def boards(count: int, first: int = 4_100_000) -> tuple[Task, list[Sample]]:
    options = {"boards": str(count), "questions": "1", "seed": str(first)}
    task = open_task(task_named("panel_probe", find_tasks()), options=options)
    return task, list(task.samples())


@pytest.fixture(scope="module")
def nano() -> Any:
    """The shipped cold start, which calls its tool nearly always; in training mode, as a trainer has it."""
    folder = find_card("metis-nano-sft").weights.location
    return transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).train()


def texts(rolled: list[list[Rollout]]) -> list[list[tuple[str, ...]]]:
    return [[tuple(turn.text for turn in each.record.trajectory.turns) for each in group] for group in rolled]


def check(model: Any, rollouts: Iterable[Rollout], temperature: float) -> None:
    """What was noted while drawing is what the model says of the sequences now."""
    sequences = [sequence for rollout in rollouts for sequence in rollout.sequences]
    noted = torch.nn.utils.rnn.pad_sequence([s.logprobs for s in sequences], batch_first=True)
    with torch.no_grad():
        found = token_logprobs(model.eval(), sequences, temperature)
    assert torch.allclose(noted, found.logprobs, atol=1e-4)
    assert not noted[~found.mask].any()
    assert (noted[found.mask] <= 0).all()


async def test_rollouts_have_records_outcomes_and_the_tokens_that_were_drawn(nano: Any) -> None:
    card, (task, samples) = find_card("metis-nano-sft"), boards(3)
    nano.train()
    nano.model.visual.eval()
    defaults = nano.generation_config.to_dict()
    async with Roller(nano, card, task, seed=3) as roller:
        rolled = await roller.roll(samples, 4, 1)
    assert (nano.training, nano.model.visual.training) == (True, False), "modes are left as they were"
    assert nano.generation_config.to_dict() == defaults
    assert [[each.record.sample.id for each in group] for group in rolled] == [[s.id] * 4 for s in samples]
    assert [[each.record.repeat for each in group] for group in rolled] == [[0, 1, 2, 3]] * 3
    rollouts = [each for group in rolled for each in group]
    assert sum(each.record.outcome.verdict is Verdict.CORRECT for each in rollouts) >= 10
    called = [each for each in rollouts if any(call.status == "ok" for call in each.record.trajectory.calls)]
    assert len(called) >= 10
    tokenizer = transformers.AutoTokenizer.from_pretrained(card.weights.location)
    for each in rollouts:
        written = [s.tokens[s.written].tolist() for s in each.sequences]
        said = "".join(tokenizer.decode(ids, skip_special_tokens=True) for ids in written)
        turns = each.record.trajectory.turns
        assert said == "".join(turn.text for turn in turns)
        assert sum(map(len, written)) == sum(turn.usage.completion_tokens or 0 for turn in turns)
        (images,) = {len(s.image_keys) for s in each.sequences[-1:]}
        assert images == 1 + sum(len(o.images) for turn in turns for o in turn.observations)
    check(nano, rollouts, 1.0)
    one = next(each for each in called if len(each.sequences) == 1)
    assert one.sequences[0].written.diff().sum() == 3, "prompt, call, result, answer"


async def test_draws_follow_from_seed_step_sample_and_place_alone(nano: Any) -> None:
    card, (task, samples) = find_card("metis-nano-sft"), boards(2, 4_200_000)
    async with Roller(nano, card, task, seed=5, temperature=3.0) as roller:
        first = texts(await roller.roll(samples, 3, 1))
        assert texts(await roller.roll(samples[::-1], 3, 1)) == first[::-1]
        assert texts(await roller.roll(samples[:1], 2, 1)) == [first[0][:2]]
        assert texts(await roller.roll(samples, 3, 2)) != first
        twice = texts(await roller.roll([samples[0], samples[0]], 2, 1))
        assert twice[0] == first[0][:2]
        assert twice[1][0] == first[0][2], "the same prompt again goes on in its group"
    async with Roller(nano, card, task, seed=6, temperature=3.0) as roller:
        assert texts(await roller.roll(samples, 3, 1)) != first


async def test_a_temperature_of_the_draw_is_that_of_its_probabilities(nano: Any) -> None:
    card, (task, samples) = find_card("metis-nano-sft"), boards(2, 4_300_000)
    async with Roller(nano, card, task, temperature=1.7) as roller:
        rolled = await roller.roll(samples, 3, 1)
    check(nano, [each for group in rolled for each in group], 1.7)


@pytest.fixture(scope="module", params=["qwen3_vl", "qwen2_5_vl"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_qwen: Path) -> Path:
    """Weights of a tiny model with a tokenizer of characters, in two families."""
    if request.param == "qwen3_vl":
        return tiny_qwen
    place = tmp_path_factory.mktemp("tiny-qwen2.5")
    tokenizer = tiny_tokenizer()
    ids = {
        name: tokenizer.convert_tokens_to_ids(f"<|{mark}|>")
        for name, mark in (
            ("image_token_id", "image_pad"), ("video_token_id", "video_pad"),
            ("vision_start_token_id", "vision_start"), ("vision_end_token_id", "vision_end"),
        )
    }  # fmt: skip
    config = tiny("qwen2_5_vl").config
    config.update(ids)
    config.text_config.update(
        {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    )
    torch.manual_seed(1)
    transformers.Qwen2_5_VLForConditionalGeneration(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    processor = {"image_processor": {**IMAGES, "patch_size": 4}, "processor_class": "Qwen2_5_VLProcessor"}
    processor["image_processor"]["size"] = {"shortest_edge": 8 * 8, "longest_edge": 24 * 24}  # type: ignore[index]
    (place / "processor_config.json").write_text(json.dumps(processor))
    return place


def load(folder: Path) -> Any:
    return transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)


def picture(colour: str) -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (24, 24), colour), colour)


def requests() -> list[Request]:
    """Equal prompts under different keys, and unlike ones; with images, one of them in nearly all."""
    shown = ImageFile.from_pil(Image.linear_gradient("L").convert("RGB").resize((40, 24)), "gradient")
    asked = {
        "a": (shown, "what?"),
        "b": (shown, "what?"),
        "c": (shown, picture("red"), "and now, longer?"),
        "d": (shown, "what?"),
        "e": (picture("red"), "which?"),
        "f": (shown, picture("red"), "x"),
    }
    sampling = Sampling(temperature=1.0, seed=1)
    return [
        Request(messages=(Message("user", parts),), sampling=sampling, max_tokens=6, key=key)
        for key, parts in asked.items()
    ]


async def drawn(engine: PolicyEngine, *, shared: bool) -> list[Any]:
    with engine.unchanged() if shared else contextlib.nullcontext():
        replies = await asyncio.gather(*map(engine.generate, requests()))
        taken = [engine.take(request.key) for request in requests()]
    assert all(len(sequences) == 1 for sequences in taken)
    return [(reply.text, sequences[0]) for reply, sequences in zip(replies, taken, strict=True)]


async def test_what_is_shared_in_a_batch_changes_nothing(folder: Path) -> None:
    engine = PolicyEngine(load(folder), str(folder))
    await engine.start()
    try:
        alone = await drawn(engine, shared=False)
        shared = await drawn(engine, shared=True)
    finally:
        await engine.close()
    for (text, ours), (other, theirs) in zip(alone, shared, strict=True):
        assert text == other
        assert torch.equal(ours.tokens, theirs.tokens)
        assert torch.allclose(ours.logprobs, theirs.logprobs, atol=1e-4)
    model = load(folder).eval()
    sequences = [sequence for _, sequence in shared]
    with torch.no_grad():
        found = token_logprobs(model, sequences)
    for row, sequence in zip(found.logprobs, sequences, strict=True):
        assert torch.allclose(row[: len(sequence.tokens)], sequence.logprobs, atol=1e-4)
    assert len({text for text, _ in shared}) > 3, "keys have draws of their own"


async def test_equal_prompts_are_read_once_where_the_model_can(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(folder)
    engine = PolicyEngine(model, str(folder))
    sizes: list[int] = []
    model.lm_head.register_forward_hook(lambda module, given, output: sizes.append(len(output)))
    await engine.start()
    try:
        wanted = await drawn(engine, shared=True)
        assert (sizes[0], sizes[1]) == (4, 6)
        # a model that keeps what it has read in another form
        monkeypatch.setattr("evalkit.training.prefill.DynamicCache", int)
        sizes.clear()
        found = await drawn(engine, shared=True)
        assert 4 not in sizes
    finally:
        await engine.close()
    assert [text for text, _ in found] == [text for text, _ in wanted]


async def test_training_between_requests_is_seen(folder: Path) -> None:
    model = load(folder)
    engine = PolicyEngine(model, str(folder))
    await engine.start()
    try:
        before = await drawn(engine, shared=True)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.3)
        after = await drawn(engine, shared=True)
    finally:
        await engine.close()
    with torch.no_grad():
        found = token_logprobs(model.eval(), [sequence for _, sequence in after])
    for row, (_, sequence) in zip(found.logprobs, after, strict=True):
        assert torch.allclose(row[: len(sequence.tokens)], sequence.logprobs, atol=1e-4)
    assert any(not torch.equal(a.tokens, b.tokens) for (_, a), (_, b) in zip(before, after, strict=True))


async def test_a_placeholder_of_an_image_is_never_drawn(folder: Path) -> None:
    model = load(folder)
    with torch.no_grad():
        model.lm_head.weight[model.config.image_token_id] = 100 * model.lm_head.weight.mean(0)
        model.lm_head.weight[model.config.image_token_id] += 1
    engine = PolicyEngine(model, str(folder))
    await engine.start()
    try:
        found = await drawn(engine, shared=True)
    finally:
        await engine.close()
    for _, sequence in found:
        assert model.config.image_token_id not in sequence.tokens[sequence.written].tolist()


async def test_a_narrowed_draw_is_refused(tiny_qwen: Path) -> None:
    engine = PolicyEngine(load(tiny_qwen), str(tiny_qwen))
    await engine.start()
    try:
        for narrow in ({"top_p": 0.9}, {"top_k": 4}, {"presence_penalty": 1.0}, {"repetition_penalty": 1.1}):
            sampling = Sampling(temperature=1.0, **narrow)
            with pytest.raises(EngineError, match="whole distribution"):
                await engine.generate(Request(messages=(Message("user", ("a",)),), sampling=sampling, max_tokens=2))
    finally:
        await engine.close()


async def test_any_family_rolls_through_the_loop(folder: Path, tmp_path: Path) -> None:
    card = ModelCard(name="t", protocol="qwen_tools", weights=Weights(folder=str(folder)))
    card = msgspec.structs.replace(card, limits=msgspec.structs.replace(card.limits, turn_tokens=8))
    samples = [
        Sample(id="red", question="what?", images=(picture("red"),)),
        Sample(id="none", question="no image"),
        Sample(id="gone", question="what?", images=(ImageFile.from_path(tmp_path / "gone.png"),)),
    ]
    model = load(folder)
    async with Roller(model, card, Essay(DataSource(kind="sample"), tmp_path), sandbox=FakeSandbox()) as roller:
        red, none, gone = await roller.roll(samples, 3, 0)
    assert {each.record.outcome.verdict for each in gone} == {Verdict.DATA_ERROR}
    assert {each.record.trajectory.stop for each in gone} == {StopReason.DATA_ERROR}
    assert all(not each.sequences for each in gone)
    assert all(len(each.sequences) == 1 for each in (*red, *none))
    check(model, [*red, *none], 1.0)


class Essay(Task):
    """A task whose answers only a judge can compare."""

    name = "essay"
    judge_for = Asked.EQUIVALENCE

    def samples(self) -> Iterable[Sample]:
        return ()

    def score(self, sample: Sample, response: str) -> Outcome:
        return Outcome(verdict=Verdict.INCORRECT, answer=response, reason="whole", scorer="essay/1")


async def test_a_judge_says_what_the_rules_cannot(tmp_path: Path) -> None:
    place = build(tmp_path / "ends", likely={END: 3.0})
    card = ModelCard(name="t", protocol="direct", weights=Weights(folder=str(place)))
    judge = FakeJudge(lambda question: Ruling(asked=question.asked.value, said=Said.CORRECT))
    sample = Sample(id="1", question="What?", answer="a red mug")
    task = Essay(DataSource(kind="sample"), tmp_path)
    async with Roller(load(place), card, task, judge=judge) as roller:
        ((one, two),) = await roller.roll([sample], 2, 0)
    ended = [each for each in (one, two) if each.record.trajectory.stop is StopReason.ENDED]
    assert ended
    assert {each.record.outcome.verdict for each in ended} == {Verdict.CORRECT}
    assert len(judge.asked) == len(ended)


async def test_misuse_is_one_line(nano: Any) -> None:
    card, (task, samples) = find_card("metis-nano-sft"), boards(1)
    with pytest.raises(EvalkitError, match="above 0, not 0"):
        Roller(nano, card, task, temperature=0.0)
    with pytest.raises(EvalkitError, match="not started"):
        await Roller(nano, card, task).roll(samples, 1, 0)


def spoken(prompt: list[int], wrote: list[int], images: tuple[str, ...] = (), known: bool = True) -> Spoken:
    kinds = torch.zeros(len(prompt), dtype=torch.int32)
    logprobs = [-0.5 * token for token in wrote] if known else None
    return Spoken(torch.tensor(prompt), {"kinds": kinds}, {}, images, wrote, logprobs)


def test_turns_that_go_on_are_one_sequence() -> None:
    turns = [
        spoken([1, 2], [3, 4]),
        spoken([1, 2, 3, 4, 5], [6], ("a",)),
        spoken([1, 2, 3, 4, 5, 6, 7], [8], ("a", "b")),
    ]
    (one,) = sequences_of(turns)
    assert one.tokens.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert one.written.tolist() == [False, False, True, True, False, True, False, True]
    assert one.logprobs is not None
    assert one.logprobs.tolist() == [0, 0, -1.5, -2, 0, -3, 0, -4]
    assert one.image_keys == ("a", "b")
    assert len(one.per_token["kinds"]) == 8


@pytest.mark.parametrize(
    "second",
    [
        spoken([1, 2, 3, 9, 5], [6]),
        spoken([1, 2, 3], [6]),
        spoken([1, 2, 3, 4, 5], [6], ("b", "a")),
        spoken([9, 2, 3, 4, 5], [6], ("a",)),
    ],
)
def test_a_conversation_that_was_rewritten_is_another_sequence(second: Spoken) -> None:
    """Other tokens for the same text, a turn taken out, another first image, another beginning."""
    first, other = sequences_of([spoken([1, 2], [3, 4], ("a",)), second])
    assert first.tokens.tolist() == [1, 2, 3, 4]
    assert other.tokens.tolist() == [*second.prompt.tolist(), 6]
    assert other.written.sum() == 1
