"""The wheel carries everything: tasks, reports and weights work outside the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return made


def test_the_wheel_has_the_content_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "evalkit/_content/tasks/wemath/task.py",
        "evalkit/_content/tasks/wemath/sample/testmini.json",
        "evalkit/_content/tasks/panel_probe/board.py",
        "evalkit/_content/reports/templates/run.md.j2",
        "evalkit/models/metis_nano/model.safetensors",
        "evalkit/models/metis_nano_2/model.safetensors",
        "evalkit/curation/rubrics/strategic_tool_use.yaml",
        "evalkit/curation/rubrics/clear_prompt.yaml",
        "evalkit/bridges/lmms/guest/serve.py",
        "evalkit/models/metis.yaml",
        "evalkit/py.typed",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/")) or "__pycache__" in name]


def test_an_installed_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True, capture_output=True
    )
    # what evalkit depends on comes from this environment, evalkit itself does not
    (site,) = (venv / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [venv / "bin" / "evalkit", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    where = subprocess.run(
        [python, "-c", "import evalkit; print(evalkit.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(venv))
    listed = run("tasks").stdout
    assert "panel_probe" in listed
    assert "wemath" in listed
    (tmp_path / "script.json").write_text(json.dumps({"default": ["<answer>A</answer>"]}))
    run("run", "--model", "scripted", "--script", "script.json", "--tasks", "panel_probe,wemath", "--data", "sample")
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    assert all((run / "report.md").is_file() for run in runs)
