"""The documented CI job with real models: red for a real regression, green for another seed, yellow on 20 samples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("transformers")

WORKFLOW = ROOT / ".github" / "workflows" / "evalkit-gate.yml"
ENOUGH = 600
FEW = 20


def steps(folder: Path, *names: str, **variables: str) -> list[subprocess.CompletedProcess[str]]:
    """The named steps of the workflow, as the runner starts them."""
    job = yaml.safe_load(WORKFLOW.read_text())["jobs"]["gate"]
    place = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_OUTPUT": str(folder / "output"),
    }
    scripts = {step["name"]: step["run"] for step in job["steps"] if "run" in step}
    return [
        subprocess.run(
            ["bash", "-e", "-c", scripts[name]],
            cwd=folder,
            env={**os.environ, **place, **variables},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        for name in names
    ]


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The baseline's run, by the workflow's own step."""
    if not WORKFLOW.is_file():
        pytest.skip("the workflow is in a checkout only")
    folder = tmp_path_factory.mktemp("main")
    (done,) = steps(folder, "Run the baseline", LIMIT=str(ENOUGH))
    assert done.returncode == 0, done.stderr
    return folder / "gate" / "main"


@pytest.mark.parametrize(
    ("model", "rows", "code", "annotated"),
    [
        ("metis-nano-sft", 120, 1, "::error title=evalkit gate%2C panel_probe%3A tool_rate%3Amax%3A+5pt FAIL"),
        ("metis-nano", ENOUGH, 0, ""),
        ("metis-nano", FEW, 4, "::warning title=evalkit gate%2C panel_probe%3A accuracy%3Anoninferior%3A3pt INCONCL"),
    ],
    ids=["sft_is_red", "another_seed_is_green", "20_samples_are_yellow"],
)
def test_the_documented_job(tmp_path: Path, main: Path, model: str, rows: int, code: int, annotated: str) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "main").symlink_to(main)
    run, gate = steps(tmp_path, "Run the model", "Gate", MODEL=model, LIMIT=str(rows), SEED="2")
    assert run.returncode == 0, run.stderr
    # GitHub has no yellow jobs: the job goes on with a warning
    assert gate.returncode == (0 if code == 4 else code), gate.stdout + gate.stderr
    assert (tmp_path / "output").read_text() == f"code={code}\n"
    assert annotated in gate.stdout
    assert ("::error" in gate.stdout) == (code == 1)
    assert code or "::warning" not in gate.stdout
    checks = checks_of(tmp_path)
    difference = checks["tool_rate:max:+5pt"]["difference"]["value"]
    assert difference > 0.4 if code == 1 else abs(difference) < 0.05


def checks_of(folder: Path) -> dict[str, dict[str, Any]]:
    whole = json.loads((folder / "gate" / "gate.json").read_text())
    return {check["rule"]: check for gate in whole["gates"] for check in gate["checks"]}
