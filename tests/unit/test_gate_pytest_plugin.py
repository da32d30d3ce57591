"""The pytest plugin: does nothing unless a test asks, and then runs what the marker says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "pandas", "numpy", "scipy", "rich", "typer", "matplotlib", "PIL", "aiohttp"}


@pytest.fixture
def tests_of(tmp_path: Path) -> Path:
    """A folder for a user's tests, with a script that answers every board of panel_probe with A."""
    (tmp_path / "script.json").write_text(json.dumps({"default": ["<answer>A</answer>"]}))
    return tmp_path


def run_pytest(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(f"import pytest\n{source}")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "evalkit.gate.pytest_plugin", *options],
        cwd=folder,
        # neither this project's plugins nor another registration of this one
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_plugin_loads_nothing_heavy() -> None:
    probe = "import sys, evalkit.gate.pytest_plugin; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())


def test_it_does_nothing_unless_asked(tests_of: Path) -> None:
    done = run_pytest(tests_of, "def test_a():\n    pass\n", "--strict-markers")
    assert done.returncode == 0
    assert sorted(path.name for path in tests_of.iterdir() if path.name[0] not in "._") == [
        "script.json",
        "test_mine.py",
    ]
    assert "evalkit(model=" in run_pytest(tests_of, "", "--markers").stdout


def test_a_test_can_assert_on_a_run_that_tests_share(tests_of: Path) -> None:
    done = run_pytest(
        tests_of,
        """
asked = dict(model="scripted", script="script.json", tasks="panel_probe", limit=8, repeats=2, temperature=0.5)
pytestmark = pytest.mark.evalkit(**asked)
folders = []

def test_figures(evalkit_run):
    folders.append(evalkit_run.folder)
    assert len(evalkit_run.records) == 16
    right = [r.outcome.verdict == "correct" for r in evalkit_run.records if r.repeat == 0]
    assert evalkit_run.accuracy == sum(right) / 8
    assert evalkit_run.tool_rate == 0
    assert evalkit_run.summary.expected == 8

def test_the_same_run(evalkit_run):
    folders.append(evalkit_run.folder)
    assert folders[0] == folders[1]

@pytest.mark.evalkit(**{**asked, "limit": 4, "counterfactual": True, "repeats": None})
def test_another(evalkit_run):
    assert len(evalkit_run.records) == 8
    assert evalkit_run.folder not in folders
""",
        "--strict-markers",
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert not (tests_of / "runs").exists()


def test_a_test_can_gate_its_run(tests_of: Path) -> None:
    (tests_of / "worse.json").write_text(json.dumps({"default": ["no idea"]}))
    done = run_pytest(
        tests_of,
        """
asked = dict(model="scripted", tasks="panel_probe", limit=200)
good = pytest.mark.evalkit(script="script.json", **asked)

@good
def test_first(evalkit_run):
    pytest.baseline = evalkit_run.folder

@good
def test_same(evalkit_run):
    gated = evalkit_run.gate(pytest.baseline, "accuracy:noninferior:9pt")
    assert gated
    assert gated.exit_code == 0
    assert [check.metric for check in gated.result.checks] == ["accuracy", "errors"]

@pytest.mark.evalkit(script="worse.json", **asked)
def test_worse(evalkit_run):
    assert evalkit_run.gate(pytest.baseline)

@good
def test_unknown(evalkit_run):
    evalkit_run.gate(pytest.baseline, "acuracy:min:0.5")
""",
    )
    assert "2 failed, 2 passed" in done.stdout
    assert "FAIL (exit code 1): of 3 checks 1 failed" in done.stdout
    assert "FAIL accuracy:noninferior:1pt [" in done.stdout
    assert "unknown metric 'acuracy'; nearest: accuracy" in done.stdout


def test_what_went_wrong_in_the_run_is_said_and_is_no_failed_assertion(tests_of: Path) -> None:
    done = run_pytest(
        tests_of,
        """
@pytest.mark.evalkit(model="scripted", script="script.json", tasks="panel_prob")
def test_unknown(evalkit_run): ...

@pytest.mark.evalkit("panel_probe")
def test_no_names(evalkit_run): ...

@pytest.mark.evalkit(tasks="panel_probe", out="here")
def test_out(evalkit_run): ...

def test_no_marker(evalkit_run): ...
""",
    )
    assert "4 errors" in done.stdout
    assert "ended with exit code 2:\nerror: unknown task 'panel_prob'; nearest: panel_probe" in done.stdout
    assert "takes names: model=..., tasks=..., limit=..." in done.stdout
    assert "takes no out: the run goes to a temporary folder" in done.stdout
    assert "evalkit_run needs a marker: @pytest.mark.evalkit(" in done.stdout
    assert "Traceback" not in done.stdout
