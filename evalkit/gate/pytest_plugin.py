"""The pytest plugin: a marker that says what to run, and a fixture that runs it. Does nothing unless a test asks."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from evalkit.gate.pytest_run import EvalkitRun

MARKER = "evalkit"
_DONE = pytest.StashKey[dict[tuple[str, ...], Path]]()
_OWN = ("out", "run_dir", "fresh")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(model=..., tasks=..., limit=..., ...): what the fixture evalkit_run runs; "
        "every option of `evalkit run` by its name, with _ for -.",
    )
    config.stash[_DONE] = {}


@pytest.fixture
def evalkit_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EvalkitRun:
    """A small task, run in a temporary folder as the test's marker says; tests with equal markers share one run.

    It runs as a process of its own: nothing that it loads or changes stays in the tests' process.
    """
    from evalkit.gate.pytest_run import EvalkitRun

    marker = request.node.get_closest_marker(MARKER)
    if marker is None:
        pytest.fail('evalkit_run needs a marker: @pytest.mark.evalkit(model="...", tasks="...", limit=...)', False)
    options = _options(marker)
    done = request.config.stash[_DONE]
    if options not in done:
        done[options] = _run(options, tmp_path_factory.mktemp("evalkit"))
    return EvalkitRun(done[options])


def _options(marker: pytest.Mark) -> tuple[str, ...]:
    """The marker's arguments as those of `evalkit run`."""
    if marker.args:
        pytest.fail(f"@pytest.mark.{MARKER} takes names: model=..., tasks=..., limit=...", False)
    options: list[str] = []
    for name, value in sorted(marker.kwargs.items()):
        if name in _OWN:
            pytest.fail(f"@pytest.mark.{MARKER} takes no {name}: the run goes to a temporary folder", False)
        options += _option(f"--{name.replace('_', '-')}", value)
    return tuple(options)


def _option(flag: str, value: Any) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, (list, tuple)):
        return [f"{flag}={item}" for item in value]
    return [f"{flag}={value}"]


def _run(options: tuple[str, ...], out: Path) -> Path:
    """The run folder that came of it; else the test ends with what the command said."""
    command = [sys.executable, "-m", "evalkit", "run", *options, f"--out={out}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    folders = [file.parent for file in out.glob("*/run.json")]
    if done.returncode == 0 and len(folders) == 1:
        return folders[0]
    if done.returncode == 0:
        pytest.fail(f"{len(folders)} tasks were run; evalkit_run takes one", False)
    said = "\n".join([*done.stdout.splitlines()[-12:], *done.stderr.splitlines()[-12:]])
    pytest.fail(f"evalkit run {shlex.join(options)} ended with exit code {done.returncode}:\n{said}", False)
