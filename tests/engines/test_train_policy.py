"""Learning from own rollouts, on the real small model: what a step does, and that nothing of it is luck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from evalkit.errors import DataError, EvalkitError
from evalkit.runs.store import read_records
from evalkit.training import learner
from evalkit.training.checkpoint import newest, restore
from evalkit.training.config import Method
from evalkit.training.failed import load_batch
from evalkit.training.figures import StepFigures
from evalkit.training.policy import Policy
from evalkit.training.processes import Alone
from tests.nano_training import SETTINGS, exact, nano, rehearse, weights

ONE = msgspec.structs.replace(SETTINGS, steps=1, prompts=4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of the same numbers in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_training_repeats_with_its_seed_and_differs_with_another() -> None:
    settings = msgspec.structs.replace(SETTINGS, steps=2)
    told: list[StepFigures] = []
    first, second = rehearse(settings, on_step=told.append), rehearse(settings)
    assert [exact(step) for step in first.steps] == [exact(step) for step in second.steps]
    assert told == list(first.steps)
    other = rehearse(msgspec.structs.replace(settings, seed=1))
    assert [exact(step) for step in other.steps] != [exact(step) for step in first.steps]


def test_what_is_learned_was_drawn_with_those_probabilities() -> None:
    (step,) = rehearse(ONE).steps
    assert step.learned > 0
    assert step.gap is not None
    assert step.gap < 1e-5


def test_figures_count_every_rollout() -> None:
    (step,) = rehearse(ONE).steps
    assert step.overall is not None
    assert step.rollouts == step.overall.rollouts == 16
    assert sum(part.rollouts for part in step.categories.values()) == 16
    assert set(step.categories) <= {"legible", "needs tool"}
    assert step.errors == 0
    assert step.tokens > 16 * 3


def test_small_forward_passes_add_up_to_a_large_one() -> None:
    settings = msgspec.structs.replace(ONE, grad_clip=1e9)
    (whole,) = rehearse(settings).steps
    (parts,) = rehearse(msgspec.structs.replace(settings, forward_tokens=70)).steps
    assert parts.loss == pytest.approx(whole.loss, rel=1e-4, abs=1e-7)
    assert parts.grad_norm == pytest.approx(whole.grad_norm, rel=1e-3)


def test_checkpointed_activations_give_the_same_gradient() -> None:
    (plain,) = rehearse(ONE).steps
    (again,) = rehearse(msgspec.structs.replace(ONE, gradient_checkpointing=True)).steps
    assert again.grad_norm == pytest.approx(plain.grad_norm, rel=1e-3)


def test_without_a_gradient_nothing_moves() -> None:
    model = nano()
    before = weights(model)
    # without a tool channel, right rollouts alone have nothing to learn from; this small start is right throughout
    settings = msgspec.structs.replace(SETTINGS, method=Method.GRPO, steps=1, prompts=1, temperature=0.05)
    (step,) = rehearse(settings, model=model).steps
    assert (step.learned, step.flat, step.grad_norm) == (0, 1, 0.0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_bfloat16_learns_in_float32() -> None:
    settings = msgspec.structs.replace(ONE, bf16=True)
    model = nano(settings)
    forward = model.forward
    before = weights(model)
    (step,) = rehearse(settings, model=model).steps
    assert step.learned > 0
    assert step.gap is not None
    assert step.gap < 0.05
    (precise,) = rehearse(ONE).steps
    assert 1e-7 < abs(step.grad_norm - precise.grad_norm) < 0.1 * precise.grad_norm
    after = model.state_dict()
    assert {value.dtype for value in after.values()} == {torch.float32}
    assert any(not torch.equal(before[name], after[name]) for name in after)
    assert model.forward == forward


def test_the_divergence_is_from_the_start_and_grows() -> None:
    settings = msgspec.structs.replace(SETTINGS, kl=0.01, lr=1e-3, steps=3)
    first, *_, last = rehearse(settings).steps
    assert first.kl == pytest.approx(0.0, abs=1e-6)
    assert last.kl is not None
    assert last.kl > 1e-5
    *_, mixed = rehearse(msgspec.structs.replace(settings, bf16=True)).steps
    assert mixed.kl is not None
    assert mixed.kl > 1e-5


def test_further_updates_meet_the_clip() -> None:
    settings = msgspec.structs.replace(ONE, updates=4, lr=2e-3)
    (step,) = rehearse(settings).steps
    assert step.clipped_accuracy is not None
    assert step.clipped_tool is not None
    assert step.clipped_accuracy + step.clipped_tool > 0
    (one,) = rehearse(ONE).steps
    assert one.clipped_accuracy is None


def test_only_rollouts_with_a_gradient_go_through_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = learner.token_logprobs

    def counted(model: object, sequences: list[object], temperature: float) -> object:
        seen.append(len(sequences))
        return real(model, sequences, temperature)

    monkeypatch.setattr(learner, "token_logprobs", counted)
    (step,) = rehearse(ONE).steps
    assert sum(seen) == step.learned < step.rollouts


def test_a_loss_that_is_no_number_stops_with_the_batch_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    real = learner.hdpo_loss

    losses: list[float] = []

    def broken(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        losses.append(found.loss.item())
        return found._replace(loss=found.loss * float("nan"))

    monkeypatch.setattr(learner, "hdpo_loss", broken)
    model = nano()
    before = weights(model)
    with pytest.raises(EvalkitError, match=r"step 1: the loss is not a number.*the batch is saved in ") as caught:
        rehearse(ONE, tmp_path, model)
    assert "\n" not in str(caught.value)
    folder = tmp_path / "failed-step-000001"
    saved = load_file(folder / "batch.safetensors")
    assert len(saved["accuracy"]) == len([name for name in saved if name.endswith(".tokens")]) > 0
    records = list(read_records(folder))
    assert len(records) == 16
    assert all(record.sample.images[0].read() for record in records)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    # with the weights that are kept beside it, the batch has the very loss
    monkeypatch.undo()
    again = nano()
    kept = newest(tmp_path)
    assert kept is not None
    restore(kept, Policy(again, ONE))
    pupil = learner.Learner(Policy(again, ONE), ONE, Alone(torch.device("cpu")))
    lessons, counts = load_batch(folder)
    assert pupil.reinforce(lessons, counts, 1).loss == pytest.approx(sum(losses), abs=1e-7)
    assert len({key for lesson in lessons for key in lesson.sequence.image_keys}) > 1
    (folder / "batch.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot read"):
        load_batch(folder)
