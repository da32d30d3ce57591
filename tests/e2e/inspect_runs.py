"""What the tests against Inspect share: an exported run, and how commands are run."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evalkit import Verdict
from evalkit.cli import main
from tests.conftest import ROOT
from tests.inspect_rows import looked
from tests.run_folders import row, write_run

INSPECT = str(Path(sys.executable).parent / "inspect")


def run(*command: str, code: int = 0, **variables: str) -> str:
    """What a command says."""
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "200", **variables}
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def evalkit(*arguments: str, code: int = 0) -> str:
    """What evalkit says; in this process, where its imports are paid for once."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        ended = main(list(arguments))
    assert ended == code, said.getvalue()
    return said.getvalue()


def imported(log: Path, out: Path, *options: str) -> Path:
    """The run folder of a log."""
    evalkit("import", "inspect", str(log), "--out", str(out), *options)
    (folder,) = out.iterdir()
    return folder


def export_run(place: Path) -> Path:
    """The log of a run of 22 rows."""
    rows = [looked("first"), *(row(f"r{index}", index % 3 > 0) for index in range(20)), row("e", Verdict.ENGINE_ERROR)]
    folder = write_run(place / "run", rows)
    (place / "logs").mkdir()
    out = str(place / "logs" / "numbers.eval")
    # in a thread of its own: playwright's tests have an event loop running in theirs
    with ThreadPoolExecutor(1) as thread:
        thread.submit(evalkit, "export", str(folder), "--format", "inspect", "--out", out).result()
    return place / "logs" / "numbers.eval"
