"""Recorded trajectories become the tokens that the model would have read and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from evalkit.agents.protocols import Metis
from evalkit.errors import DataError
from evalkit.images import ImageFile
from evalkit.models import ModelCard
from evalkit.models.card import Weights
from evalkit.records import (
    CallStatus,
    Observation,
    Outcome,
    Record,
    Sample,
    StopReason,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.training.encoding import Encoder, encode  # noqa: E402
from evalkit.training.rollout import Sequence  # noqa: E402

CALL = '<tool_call>{"name": "python", "arguments": {"code": "1"}}</tool_call>'
ANSWER = "<answer>A</answer>"
IMAGE = ImageFile.from_pil(Image.new("RGB", (96, 96), "red"), "board")
CROP = ImageFile.from_pil(Image.new("RGB", (64, 64), "blue"), "crop")
SEEN = "<|vision_start|>" + "<|image_pad|>" * 9 + "<|vision_end|>"
SMALL = SEEN.replace("<|image_pad|>" * 9, "<|image_pad|>" * 4)


@pytest.fixture(scope="module")
def model(tiny_qwen: Path) -> Any:
    return transformers.AutoModelForImageTextToText.from_pretrained(tiny_qwen, dtype=torch.float32)


@pytest.fixture
def card(tiny_qwen: Path) -> ModelCard:
    return ModelCard(name="t", protocol="qwen_tools", tools=("python",), weights=Weights(folder=str(tiny_qwen)))


def turn(text: str, observation: Observation | None = None, **fields: Any) -> Turn:
    call = ToolCall(tool="python", raw="", status=CallStatus.OK)
    seen = () if observation is None else (observation,)
    return Turn(text=text, finish_reason="stop", **{"calls": (call,) * len(seen), "observations": seen, **fields})


def record(*turns: Turn, question: str = "what?", **fields: Any) -> Record:
    sample = Sample(id="s", question=question, images=fields.pop("images", (IMAGE,)), **fields.pop("sample", {}))
    trajectory = Trajectory(prompt=question, stop=StopReason.ANSWERED, turns=turns, **fields)
    return Record(version=1, sample=sample, trajectory=trajectory, outcome=Outcome(verdict=Verdict.CORRECT))


def shown(model: Any, sequence: Sequence, folder: str) -> tuple[str, list[str]]:
    """The whole sequence as text, and each stretch that is learned."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    stretches: list[list[int]] = []
    for at, own in enumerate(sequence.written.tolist()):
        if own and not sequence.written[at - 1]:
            stretches.append([])
        if own:
            stretches[-1].append(int(sequence.tokens[at]))
    return tokenizer.decode(sequence.tokens), [tokenizer.decode(ids) for ids in stretches]


def test_a_trajectory_is_one_sequence_in_the_models_own_words(model: Any, card: ModelCard) -> None:
    done = record(turn(CALL, Observation(text="seen", images=(CROP,))), turn(ANSWER))
    (rollout,) = encode([done], model, card)
    assert rollout.record is done
    (one,) = rollout.sequences
    text, learned = shown(model, one, card.weights.location)
    assert text == (
        "<|im_start|>tools python<|im_end|>\n"
        f"<|im_start|>user\n{SEEN}what?<|im_end|>\n<|im_start|>assistant\n{CALL}<|im_end|>\n"
        f"<|im_start|>tool\nseen{SMALL}<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>"
    )
    assert learned == [f"{CALL}<|im_end|>", f"{ANSWER}<|im_end|>"]
    assert one.logprobs is None
    assert one.image_keys == (IMAGE.header.sha256, CROP.header.sha256)
    assert one.media["image_grid_thw"].tolist() == [[1, 6, 6], [1, 4, 4]]
    assert one.media["pixel_values"].shape[0] == 36 + 16
    kinds = one.per_token["mm_token_type_ids"]
    assert torch.equal(kinds, one.tokens.eq(model.config.image_token_id).int())


def test_a_card_without_tools_declares_none(model: Any, card: ModelCard) -> None:
    (rollout,) = encode([record(turn(ANSWER))], model, msgspec.structs.replace(card, tools=()))
    text, _ = shown(model, rollout.sequences[0], card.weights.location)
    assert text == f"<|im_start|>user\n{SEEN}what?<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>"


def test_a_turn_that_a_limit_ended_has_no_end(model: Any, card: ModelCard) -> None:
    cut = msgspec.structs.replace(turn("so far"), finish_reason="length")
    (rollout,) = encode([record(cut)], model, card)
    assert shown(model, rollout.sequences[0], card.weights.location)[1] == ["so far"]


def test_a_turn_that_a_stop_string_ended_has_no_end(model: Any, card: ModelCard) -> None:
    metis = msgspec.structs.replace(card, protocol="metis", tools=None)
    (stop, *_), encoder = Metis.stop, Encoder(model, metis, "s")
    rollout = encoder.encode(record(turn(f"x{stop}")))
    assert shown(model, rollout.sequences[0], card.weights.location)[1] == [f"x{stop}"]
    plain = Encoder(model, msgspec.structs.replace(metis, tools=()), "s").encode(record(turn(f"x{stop}")))
    assert shown(model, plain.sequences[0], card.weights.location)[1] == [f"x{stop}<|im_end|>"], "nothing stops there"


def test_turns_that_were_taken_out_are_not_learned(model: Any, card: ModelCard) -> None:
    done = record(turn("bad", discarded="no call"), turn(CALL, Observation(text="r")), turn(ANSWER))
    (rollout,) = encode([done], model, card)
    text, learned = shown(model, rollout.sequences[0], card.weights.location)
    assert "bad" not in text
    assert learned == [f"{CALL}<|im_end|>", f"{ANSWER}<|im_end|>"]


def test_a_fallback_is_a_conversation_of_its_own(model: Any, card: ModelCard) -> None:
    done = record(turn("bad", discarded="gave up"), turn(ANSWER), fallback="what?")
    (rollout,) = encode([done], model, card)
    (one,) = rollout.sequences
    text, _ = shown(model, one, card.weights.location)
    assert text == f"<|im_start|>user\n{SEEN}what?<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>"


def test_a_samples_own_prompts_are_used(model: Any, card: ModelCard) -> None:
    done = record(turn(ANSWER), sample={"prompt": "mine", "system": "be brief"})
    text, _ = shown(model, encode([done], model, card)[0].sequences[0], card.weights.location)
    assert "<|im_start|>system\nbe brief<|im_end|>" in text
    assert f"{SEEN}mine<|im_end|>" in text


def test_no_turn_gives_no_sequence(model: Any, card: ModelCard) -> None:
    (rollout,) = encode([record()], model, card)
    assert rollout.sequences == ()


def test_bad_records_are_named(model: Any, card: ModelCard, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png"):
        encode([record(turn(ANSWER), images=(ImageFile.from_path(tmp_path / "gone.png"),))], model, card)
    with pytest.raises(DataError, match="sample s: a turn's text has the model's placeholder"):
        encode([record(turn("<|image_pad|>"))], model, card)
