"""Learning from recorded trajectories: a real run of the small model, learned again by that model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from evalkit.cli import main
from evalkit.errors import DataError, EvalkitError
from evalkit.models import find_card
from evalkit.runs.store import latest_records
from evalkit.training.config import SftSettings
from evalkit.training.encoding import Encoder
from evalkit.training.figures import TrainResult
from evalkit.training.forward import token_logprobs
from evalkit.training.metrics import read_metrics
from evalkit.training.recorded import read_runs
from evalkit.training.trainer import train_sft
from tests.nano_training import CARD, exact, nano, weights

SETTINGS = SftSettings(lr=1e-4, batch=4, steps=4, warmup=1)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of the same numbers in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded by metis-nano, which calls its tool where it must."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    options = ["--model", "metis-nano", "-t", "panel_probe", "-T", "boards=4", "-T", "seed=2000000"]
    assert main(["run", *options, "--run-dir", str(folder)]) == 0
    return folder


def learn(run: Path, settings: SftSettings = SETTINGS, out: Path | None = None, model: object = None) -> TrainResult:
    model = nano(settings) if model is None else model
    return train_sft(settings, model=model, card=CARD, runs=read_runs([run]), out=out)


def test_the_loss_is_the_mean_surprise_of_written_tokens_and_falls(run: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, batch=16, steps=6)
    model = nano()
    encoder = Encoder(model, CARD)
    sequences = [s for r in read_runs([run])[0].records for s in encoder.encode(r).sequences]
    with torch.no_grad():
        logprobs, mask, _ = token_logprobs(model, sequences, 1.0)
    steps = learn(run, settings, model=model).steps
    assert steps[0].loss == pytest.approx(-float(logprobs[mask].mean()), rel=1e-4)
    assert steps[0].tokens == int(mask.sum()) == sum(int(s.written.sum()) for s in sequences)
    assert steps[-1].loss < 0.7 * steps[0].loss
    assert steps[0].learned == len(read_runs([run])[0].records)


def test_once_through_the_data_is_the_default(run: Path) -> None:
    taken = len(read_runs([run])[0].records)
    settings = msgspec.structs.replace(SETTINGS, steps=None, batch=7)
    steps = learn(run, settings).steps
    assert len(steps) == -(-taken // 7)


def test_a_resumed_training_is_an_undisturbed_one(run: Path, tmp_path: Path) -> None:
    whole = nano()
    expected = [exact(step) for step in learn(run, model=whole).steps]
    learn(run, msgspec.structs.replace(SETTINGS, steps=2), tmp_path)
    resumed = nano()
    learn(run, SETTINGS, tmp_path, resumed)
    assert [exact(step) for step in read_metrics(tmp_path)] == expected
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_small_forward_passes_add_up_to_a_large_one(run: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, steps=1, batch=16)
    (whole,) = learn(run, settings).steps
    (parts,) = learn(run, msgspec.structs.replace(settings, forward_tokens=64)).steps
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert parts.grad_norm == pytest.approx(whole.grad_norm, rel=1e-3)


def test_runs_whose_folders_have_one_name_are_all_learned(run: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        shutil.copytree(run, tmp_path / place / "run")
    runs = read_runs([tmp_path / "a", tmp_path / "b"])
    taken = sum(len(each.records) for each in runs)
    settings = msgspec.structs.replace(SETTINGS, steps=1, batch=taken)
    (step,) = train_sft(settings, model=nano(), card=CARD, runs=runs).steps
    assert step.learned == taken == 2 * len(runs[0].records)


def test_a_run_in_another_protocol_is_refused(run: Path) -> None:
    card = msgspec.structs.replace(CARD, protocol="metis")
    with pytest.raises(DataError, match=r"speaks the protocol qwen_tools.*--protocol qwen_tools"):
        train_sft(SETTINGS, model=nano(), card=card, runs=read_runs([run]))


def test_a_loss_that_is_no_number_stops_with_the_batch_saved(run: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = nano()
    with torch.no_grad():
        model.model.language_model.norm.weight.fill_(float("nan"))
    before = weights(model)
    with pytest.raises(EvalkitError, match=r"step 1: the loss is not a number.*saved in .*--lr") as caught:
        learn(run, out=tmp_path, model=model)
    assert "\n" not in str(caught.value)
    saved = load_file(tmp_path / "failed-step-000001" / "batch.safetensors")
    assert len([name for name in saved if name.endswith(".tokens")]) == 4
    assert all(torch.equal(value.nan_to_num(), before[name].nan_to_num()) for name, value in weights(model).items())


def test_the_command_trains_and_its_card_runs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "trained"
    command = ["train", "--method", "sft", "--model", "metis-nano-sft", "--data", str(run), "--out", str(out)]
    assert main([*command, "--lr", "1e-3", "--steps", "6"]) == 0
    said = capsys.readouterr()
    assert "trajectories to learn from" in said.err
    assert "step 6/6" in said.err
    assert f"--model {out / 'card.yaml'}" in " ".join(said.out.split())
    card = find_card(str(out / "card.yaml"))
    assert (card.protocol, card.limits, card.tools) == (CARD.protocol, CARD.limits, CARD.tools)
    again = ["run", "--model", str(out / "card.yaml"), "-t", "panel_probe", "-T", "boards=2", "-T", "seed=2000000"]
    assert main([*again, "--run-dir", str(tmp_path / "after")]) == 0
    records = latest_records(tmp_path / "after").values()
    assert sum(record.outcome.right() for record in records) >= len(records) - 1
