"""What the extra `train` brings: LoRA, several processes, TensorBoard; each on the real small model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from evalkit.errors import DataError
from evalkit.training.checkpoint import newest
from evalkit.training.figures import StepFigures
from evalkit.training.metrics import Metrics, read_metrics
from tests.nano_training import SETTINGS, exact, nano, rehearse, weights

LORA = msgspec.structs.replace(SETTINGS, lora=4, lr=2e-3, prompts=4, steps=3)


@pytest.fixture(autouse=True)
def _quiet_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def adapters(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights(model).items() if ".lora_" in name}


def test_lora_learns_its_matrices_alone_and_resumes_exactly(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    whole, frozen = nano(), weights(nano())
    expected = [exact(step) for step in rehearse(LORA, model=whole).steps]
    after = {name.replace(".base_layer.", "."): v for name, v in weights(whole).items() if ".lora_" not in name}
    assert all(torch.equal(value, frozen[name]) for name, value in after.items())
    assert any(value.abs().max() > 0 for name, value in adapters(whole).items() if "lora_B" in name)
    assert not [name for name in adapters(whole) if "visual" in name]

    rehearse(msgspec.structs.replace(LORA, steps=2), tmp_path)
    resumed = nano()
    rehearse(LORA, tmp_path, resumed)
    assert [exact(step) for step in read_metrics(tmp_path)] == expected
    assert all(torch.equal(value, adapters(resumed)[name]) for name, value in adapters(whole).items())


def test_the_model_that_lora_leaves_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    import transformers

    model = nano()
    rehearse(LORA, tmp_path, model)
    merged = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    ids = torch.arange(300, 320)[None]
    with torch.no_grad():
        adapted, plain, started = (m(input_ids=ids).logits for m in (model.eval(), merged, nano().eval()))
    assert torch.allclose(adapted, plain, atol=1e-4)
    assert not torch.allclose(adapted, started, atol=1e-3)


def test_a_lora_checkpoint_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from evalkit.training.checkpoint import restore
    from evalkit.training.policy import Policy

    one = msgspec.structs.replace(LORA, steps=1)
    rehearse(one, tmp_path)
    folder = newest(tmp_path)
    assert folder is not None
    with pytest.raises(DataError, match="has LoRA matrices alone"):
        restore(folder, Policy(nano(), SETTINGS))
    with pytest.raises(DataError, match="of another architecture"):
        restore(folder, Policy(nano(), msgspec.structs.replace(one, lora=2)))


def test_lora_and_the_divergence_from_the_start() -> None:
    pytest.importorskip("peft")
    first, *_, last = rehearse(msgspec.structs.replace(LORA, kl=0.01)).steps
    assert first.kl == pytest.approx(0.0, abs=1e-6)
    assert last.kl is not None
    assert last.kl > 1e-6


def test_lora_with_checkpointed_activations_and_bfloat16() -> None:
    pytest.importorskip("peft")
    one = msgspec.structs.replace(LORA, steps=1)
    (plain,) = rehearse(one).steps
    (kept,) = rehearse(msgspec.structs.replace(one, gradient_checkpointing=True)).steps
    assert kept.grad_norm == pytest.approx(plain.grad_norm, rel=1e-3)
    assert kept.grad_norm > 0
    mixed = msgspec.structs.replace(one, bf16=True)
    model = nano(mixed)
    (half,) = rehearse(mixed, model=model).steps
    assert half.grad_norm > 0
    learned = {name: str(value.dtype) for name, value in model.named_parameters() if value.requires_grad}
    assert set(learned.values()) == {"torch.float32"}
    assert model.dtype == torch.bfloat16


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    command = ["train", "--method", "hdpo", "-t", "panel_probe", "-T", "boards=6", "-T", "seed=2000000"]
    command += ["--prompts", "3", "--group", "4", "--lr", "2e-4", "--save-every", "2", "--device", "cpu"]
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "evalkit"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def go(out: Path, steps: int, *begin: str) -> None:
        full = [sys.executable, *begin, *command, "--steps", str(steps), "--out", str(out)]
        done = subprocess.run(full, env=environment, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    go(tmp_path / "one", 4, "-m", "evalkit")
    # the second start resumes
    go(tmp_path / "two", 2, *launch)
    go(tmp_path / "two", 4, *launch)
    one, two = ([exact(step) for step in read_metrics(tmp_path / name)] for name in ("one", "two"))
    assert len(one) == len(two) == 4
    for alone, shared in zip(one, two, strict=True):
        assert shared == pytest.approx(alone, rel=1e-3, abs=1e-5)


def test_tensorboard_has_every_figure(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = [StepFigures(step=i, loss=1.0 / i, grad_norm=0.5, lr=1e-3, tokens=7, learned=3) for i in (1, 2, 3)]
    with Metrics(tmp_path, 0) as metrics:
        for figures in steps:
            metrics.add(figures)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [event.value for event in read.Scalars("loss")] == pytest.approx([step.loss for step in steps])
    assert [event.step for event in read.Scalars("tokens")] == [1, 2, 3]
