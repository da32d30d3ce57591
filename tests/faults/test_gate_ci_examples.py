"""The documented CI jobs, run as they stand: the shell script whole, the others step by step."""

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

SHELL = ROOT / "docs" / "ci" / "gate.sh"
GITLAB = ROOT / "docs" / "ci" / "gitlab-ci.yml"
GITHUB = ROOT / ".github" / "workflows" / "evalkit-gate.yml"
ROWS = 600
RULES = '[gate]\nfail = ["accuracy:noninferior:3pt", "tool_rate:max:+5pt"]\n'
"""For an evalkit.toml. Where no answer changes, 150 boards show no loss of less than 2.5 points."""
SCRIPTED = ("--model", "scripted", "--tasks", "panel_probe", "--limit")

pytestmark = pytest.mark.skipif(not GITHUB.is_file(), reason="the workflow is in a checkout only")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scripts for the scripted engine, two finished runs, and one of them archived as the baseline."""
    folder = tmp_path_factory.mktemp("ci")
    scripts: dict[str, Any] = {
        "same": {"default": ["<answer>A</answer>"]},
        "worse": {"default": ["no idea"]},
        "broken": {"samples": {"nobody": ["<answer>A</answer>"]}},
    }
    for name, script in scripts.items():
        (folder / f"{name}.json").write_text(json.dumps(script))
    (folder / "evalkit.toml").write_text(RULES)
    runs = [("same", ROWS), ("worse", ROWS), ("same", 20)]
    commands = [
        f"evalkit run {' '.join(SCRIPTED)} {rows} --script {script}.json --run-dir {script}-{rows}"
        for script, rows in runs
    ]
    done = run_bash(folder, "\n".join([*commands, f"evalkit baseline save same-{ROWS} baseline.json.gz"]))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def job(place: Path, tmp_path: Path) -> Path:
    """The folder of a job."""
    (tmp_path / "gate").mkdir()
    (tmp_path / "evalkit.toml").write_text(RULES)
    (tmp_path / "gate" / "main").symlink_to(place / f"same-{ROWS}")
    return tmp_path


def run_bash(folder: Path, script: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`script` as a CI system runs it, with this environment's `evalkit`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script, "job", *options],
        cwd=folder,
        env={**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "GITHUB_ACTIONS": "", **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


CASES = pytest.mark.parametrize(
    ("script", "rows", "code", "said"),
    [
        ("same", ROWS, 0, "green: not worse"),
        ("worse", ROWS, 1, "red: worse than baseline.json.gz"),
        ("same", 20, 4, "yellow: too few samples to tell"),
    ],
)


@CASES
def test_the_shell_script_ends_with_the_gates_exit_code(
    place: Path, tmp_path: Path, script: str, rows: int, code: int, said: str
) -> None:
    options = (*SCRIPTED, str(rows), "--script", f"{script}.json")
    out = str(tmp_path / "gate")
    done = run_bash(place, f'{SHELL} "$@"', *options, BASELINE="baseline.json.gz", OUT=out)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(said)
    assert json.loads(Path(out, "gate.json").read_text())["exit_code"] == code
    assert Path(out, "gate.xml").read_text().startswith("<?xml")
    assert Path(out, "gate.md").read_text().startswith("## evalkit gate: ")


def test_the_shell_script_is_red_where_nothing_could_be_said(place: Path, tmp_path: Path) -> None:
    options = (*SCRIPTED, "8", "--script", "broken.json")
    errors = run_bash(place, f'{SHELL} "$@"', *options, BASELINE="baseline.json.gz", OUT=str(tmp_path / "a"))
    assert errors.returncode == 3, errors.stdout
    assert "green" not in errors.stdout
    options = (*SCRIPTED, "8", "--script", "same.json")
    usage = run_bash(place, f'{SHELL} "$@"', *options, BASELINE="nowhere.json.gz", OUT=str(tmp_path / "b"))
    assert usage.returncode == 2
    assert usage.stdout.splitlines()[-1].startswith("red: not decided")
    unset = run_bash(place, f'env -u BASELINE {SHELL} "$@"', *options)
    assert unset.returncode not in (0, 4)


def gitlab_job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(GITLAB.read_text())["evalkit-gate"]
    return found


@CASES
def test_the_gitlab_jobs_gate_ends_with_its_exit_code_and_4_is_allowed(
    place: Path, job: Path, script: str, rows: int, code: int, said: str
) -> None:
    described = gitlab_job()
    assert described["allow_failure"] == {"exit_codes": 4}
    (job / "gate" / "run").symlink_to(place / f"{script}-{rows}")
    done = run_bash(job, described["script"][-1], BASELINE=str(place / "baseline.json.gz"))
    assert done.returncode == code, done.stdout + done.stderr


def test_the_gitlab_job_runs_from_start_to_end(place: Path, job: Path) -> None:
    described = gitlab_job()
    run, gate = described["script"]
    changed = {"MODEL": "scripted", "LIMIT": "20", "BASELINE": str(place / "baseline.json.gz")}
    assert set(changed) < set(described["variables"])
    done = run_bash(job, f"{run} --script {place}/same.json\n{gate}", **{**described["variables"], **changed})
    assert done.returncode == 4, done.stdout + done.stderr
    assert described["artifacts"]["when"] == "always"
    assert (job / described["artifacts"]["reports"]["junit"]).is_file()


def github_steps() -> list[dict[str, Any]]:
    job = yaml.safe_load(GITHUB.read_text())["jobs"]["gate"]
    return [step for step in job["steps"] if "run" in step]


def test_the_workflow_starts_by_hand_and_may_only_read() -> None:
    workflow = yaml.safe_load(GITHUB.read_text())
    # YAML 1.1 reads the key `on` as true
    assert set(workflow[True]) == {"workflow_dispatch"}
    assert workflow["permissions"] == {"contents": "read"}
    for step in workflow["jobs"]["gate"]["steps"]:
        # an input in a script would be run as part of it
        assert "${{" not in step.get("run", "")
        if "uses" in step:
            assert len(step["uses"].partition("@")[2]) == 40


@pytest.mark.parametrize("step", github_steps() if GITHUB.is_file() else [], ids=lambda step: step["name"])
def test_the_steps_of_the_workflow_are_shell(step: dict[str, Any]) -> None:
    done = subprocess.run(["bash", "-n", "-c", step["run"]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@CASES
def test_the_workflows_gate_step_is_red_on_all_but_0_and_4(
    place: Path, job: Path, script: str, rows: int, code: int, said: str
) -> None:
    step = next(step for step in github_steps() if step.get("id") == "gate")
    (job / "gate" / "new").symlink_to(place / f"{script}-{rows}")
    files = {"GITHUB_STEP_SUMMARY": str(job / "summary.md"), "GITHUB_OUTPUT": str(job / "output")}
    done = run_bash(job, step["run"], **{**files, "GITHUB_ACTIONS": "true"})
    assert done.returncode == (0 if code == 4 else code), done.stdout + done.stderr
    assert (job / "output").read_text() == f"code={code}\n"
    assert (job / "summary.md").read_text().startswith("## evalkit gate: ")
    levels = {line.split()[0] for line in done.stdout.splitlines() if line.startswith(("::error", "::warning"))}
    assert levels == {0: set(), 1: {"::error"}, 4: {"::warning"}}[code]
    assert all((job / "gate" / name).is_file() for name in ("gate.xml", "gate.json"))
