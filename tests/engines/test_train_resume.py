"""A training that was stopped, killed or taken further goes on exactly as one that was not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from evalkit.errors import DataError, EngineUnavailableError, EvalkitError
from evalkit.runs.scheduler import Stop
from evalkit.training.checkpoint import checkpoints, newest, steps_behind
from evalkit.training.config import PolicySettings
from evalkit.training.figures import StepFigures
from evalkit.training.learner import Learner
from evalkit.training.metrics import read_metrics
from evalkit.training.roller import Roller
from tests.nano_training import SETTINGS, exact, nano, rehearse, weights


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of the same numbers in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """Figures and weights of four steps in one go."""
    torch.set_num_threads(1)
    model = nano()
    return [exact(step) for step in rehearse(model=model).steps], weights(model)


def same(model: object, expected: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in weights(model).items())


def test_taken_further_by_the_same_command(tmp_path: Path, undisturbed: tuple[list, dict]) -> None:
    rehearse(msgspec.structs.replace(SETTINGS, steps=2), tmp_path)
    model = nano()
    second = rehearse(out=tmp_path, model=model)
    assert [step.step for step in second.steps] == [3, 4]
    assert [exact(step) for step in read_metrics(tmp_path)] == undisturbed[0]
    assert same(model, undisturbed[1])
    # nothing is left to do, and nothing is done
    assert rehearse(out=tmp_path).steps == []


def test_stopped_gently(tmp_path: Path, undisturbed: tuple[list, dict]) -> None:
    stop = Stop()

    def after_first(figures: StepFigures) -> None:
        stop.gently = True

    result = rehearse(out=tmp_path, on_step=after_first, stop=stop)
    assert (result.done, result.stopped) == (1, True)
    assert steps_behind(tmp_path) == 1
    rehearse(out=tmp_path)
    assert [exact(step) for step in read_metrics(tmp_path)] == undisturbed[0]


def test_an_engine_that_dies_costs_only_the_step_it_died_in(
    tmp_path: Path, undisturbed: tuple[list, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Roller.roll

    async def roll(self: Roller, samples: list, group: int, step: int) -> list:
        if step == 3:
            raise EngineUnavailableError("gone")
        return await real(self, samples, group, step)

    monkeypatch.setattr(Roller, "roll", roll)
    with pytest.raises(EngineUnavailableError):
        rehearse(out=tmp_path)
    monkeypatch.undo()
    assert steps_behind(tmp_path) == 2
    rehearse(out=tmp_path)
    assert [exact(step) for step in read_metrics(tmp_path)] == undisturbed[0]


def test_weights_between_two_updates_are_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = msgspec.structs.replace(SETTINGS, updates=2, steps=2)
    expected = [exact(step) for step in rehearse(two).steps]
    assert expected[0]["learned"]
    real, calls = Learner._apply, 0

    def apply(self: Learner, loss: float, step: int) -> tuple[float, float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("out of memory")
        return real(self, loss, step)

    monkeypatch.setattr(Learner, "_apply", apply)
    with pytest.raises(RuntimeError, match="out of memory"):
        rehearse(two, tmp_path, save_every=1)
    monkeypatch.undo()
    assert newest(tmp_path) is None
    rehearse(two, tmp_path)
    assert [exact(step) for step in read_metrics(tmp_path)] == expected


def test_killed_between_a_checkpoint_and_the_next(tmp_path: Path, undisturbed: tuple[list, dict]) -> None:
    """The figures of steps after the checkpoint are taken back, and a torn line is no obstacle."""
    rehearse(msgspec.structs.replace(SETTINGS, steps=3), tmp_path, save_every=1)
    (folder,) = [folder for step, folder in checkpoints(tmp_path) if step == 3]
    (folder / "training.pt").unlink()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step":4,"lo')
    rehearse(out=tmp_path)
    assert [exact(step) for step in read_metrics(tmp_path)] == undisturbed[0]


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    rehearse(msgspec.structs.replace(SETTINGS, steps=1), tmp_path)
    for other in (msgspec.structs.replace(SETTINGS, w_tool=0.5), msgspec.structs.replace(SETTINGS, group=3)):
        with pytest.raises(EvalkitError, match=r"another recipe \(settings\.(w_tool: 0.15 -> 0.5|group: 4 -> 3)\)"):
            rehearse(other, tmp_path)


def test_old_checkpoints_keep_their_weights_and_not_the_optimisers_state(tmp_path: Path) -> None:
    rehearse(out=tmp_path, save_every=1)
    folders = dict(checkpoints(tmp_path))
    assert sorted(folders) == [1, 2, 3, 4]
    assert all((folder / "model.safetensors").is_file() for folder in folders.values())
    assert [step for step, folder in folders.items() if (folder / "training.pt").exists()] == [3, 4]
    assert not list(tmp_path.rglob(".*part*"))


def test_a_checkpoint_is_a_model_that_anything_loads(tmp_path: Path) -> None:
    import transformers

    model = nano()
    rehearse(msgspec.structs.replace(SETTINGS, steps=2), tmp_path, model)
    for folder in (newest(tmp_path), tmp_path / "model"):
        assert folder is not None
        loaded = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
        assert same(loaded, weights(model))
        assert transformers.AutoTokenizer.from_pretrained(folder).chat_template
        assert loaded.generation_config.eos_token_id is not None


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (open, ("exploded", "w"))


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rehearse(msgspec.structs.replace(SETTINGS, steps=1), tmp_path / "t")
    folder = newest(tmp_path / "t")
    assert folder is not None
    torch.save({"step": 1, "drawn": 2, "optimizer": Bomb(), "rng": []}, folder / "training.pt")
    with pytest.raises(DataError, match="cannot be read") as caught:
        rehearse(out=tmp_path / "t")
    assert "\n" not in str(caught.value)
    assert not Path("exploded").exists()


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path, tiny_qwen: Path) -> None:
    import shutil

    rehearse(msgspec.structs.replace(SETTINGS, steps=1), tmp_path)
    folder = newest(tmp_path)
    assert folder is not None
    for name in ("model.safetensors", "config.json"):
        shutil.copyfile(tiny_qwen / name, folder / name)
    with pytest.raises(DataError, match="of another architecture") as caught:
        rehearse(out=tmp_path)
    assert "\n" not in str(caught.value)


def test_two_trainings_cannot_share_a_folder(tmp_path: Path) -> None:
    from evalkit.training.metrics import Metrics

    settings: PolicySettings = msgspec.structs.replace(SETTINGS, steps=1)
    rehearse(settings, tmp_path)
    with Metrics(tmp_path, 1), pytest.raises(EvalkitError, match="in use by another"):
        rehearse(out=tmp_path)


def test_it_can_be_awaited_in_a_loop_that_runs_already() -> None:
    from evalkit.training.trainer import learn_policy
    from tests.nano_training import CARD, probe

    async def two() -> list[float]:
        task, samples = probe()
        settings = msgspec.structs.replace(SETTINGS, steps=1)
        runs = [
            await learn_policy(settings, model=nano(), card=CARD, samples=samples, task=task, out=None)
            for _ in range(2)
        ]
        return [run.steps[0].loss for run in runs]

    first, second = asyncio.run(two())
    assert first == second
