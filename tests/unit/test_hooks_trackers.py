"""MLflow and W&B take a run, with their own libraries and a store on this disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from evalkit.analysis import summarise
from evalkit.recorded import RecordedTask
from evalkit.runs.folder import REPORT, SUMMARY, read_info
from tests.run_folders import row, write_run

RECORDS = [row(i, i != 3, calls=1) for i in range(6)]


def logged(hook: Any, folder: Path, *, whole: bool = True) -> None:
    """What a run tells a hook."""
    hook.on_run_start(read_info(folder), folder)
    for record in RECORDS:
        hook.on_sample_end(record)
    if whole:
        hook.on_run_end(summarise(RecordedTask.called("x"), "m", 6, RECORDS), folder)
    hook.close()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """W&B's runs as they are made, offline."""
    wandb = pytest.importorskip("wandb", reason="the extra evalkit[wandb] is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    kept: list[Any] = []
    real = wandb.init

    def init(*args: Any, **more: Any) -> Any:
        kept.append(real(*args, **more))
        return kept[-1]

    monkeypatch.setattr(wandb, "init", init)
    return kept


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with its report."""
    made = write_run(tmp_path / "run", RECORDS)
    (made / SUMMARY).write_text("{}")
    (made / REPORT).write_text("# it went well")
    return made


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_settings_figures_and_report(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra evalkit[mlflow] is not installed")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    from evalkit.hooks.mlflow import MlflowHook

    hook = MlflowHook()
    logged(hook, folder)
    logged(hook, folder, whole=False)
    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("evalkit").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]
    (done,) = (run for run in runs if run.info.status == "FINISHED")
    assert done.info.run_name == folder.name
    assert done.data.metrics["accuracy"] == pytest.approx(5 / 6)
    assert done.data.metrics["tool_rate"] == 1.0
    assert done.data.params["model.name"] == read_info(folder).config["model"]["name"]
    assert {file.path for file in client.list_artifacts(done.info.run_id)} == {SUMMARY, REPORT}


@pytest.mark.filterwarnings("ignore")
def test_mlflow_takes_figures_of_categories_with_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra evalkit[mlflow] is not installed")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    from evalkit.hooks.mlflow import _name

    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("x")).info.run_id
    for name in ("a//b", "../b", "", ".", "/x", " ", "a:b", "a\\b", "日本/ü", "x" * 400, "=cmd|' /C calc'!A0"):
        client.log_metric(run, _name(f"accuracy/{name}"), 1.0)
    assert "accuracy/日本/ü" in client.get_run(run).data.metrics


@pytest.mark.filterwarnings("ignore")
def test_wandb_has_settings_figures_and_report(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    from evalkit.hooks.wandb import WandbHook

    logged(WandbHook(), folder)
    (run,) = runs
    assert run.name == folder.name
    assert dict(run.config)["model.name"] == read_info(folder).config["model"]["name"]
    made, log = Path(run.dir).parent, b""
    for _ in range(600):
        # a process of its own writes the log, some time after the run is finished
        log = b"".join(file.read_bytes() for file in made.glob("*.wandb"))
        if b"accuracy_of_all_rows" in log:
            break
        time.sleep(0.1)
    assert b"summary.json" in log
    assert b"accuracy_of_all_rows" in log
    # neither the command line nor the machine's packages
    assert not list(made.rglob("requirements.txt"))
    assert not list(made.rglob("wandb-metadata.json"))


@pytest.mark.filterwarnings("ignore")
def test_a_wandb_run_of_the_callers_own_stays_open(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    import wandb

    monkeypatch.chdir(tmp_path)
    from evalkit.hooks.wandb import WandbHook

    mine = wandb.init(project="mine", settings=wandb.Settings(silent=True))
    logged(WandbHook(), folder)
    assert wandb.run is mine
    assert [run.id == mine.id for run in runs] == [True, False]
    assert "model.name" not in dict(mine.config)
    mine.log({"loss": 1.0})
    mine.finish()
