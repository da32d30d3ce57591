"""What a user sees of isolation: automatic where it holds, refused where it does not, marked where it is waived."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.sandbox.conftest import Shared
from tests.sandbox.test_tiers import EPERM, LANDLOCK, UNSHARE

WITHOUT = """
import json, sys
from struct import pack
from evalkit.cli import main
from evalkit.sandbox.guest import seccomp
calls = json.loads(sys.argv[1])
code = pack("=HBBI", 0x20, 0, 0, 0)
for one in calls:
    code += pack("=HBBI", 0x15, 0, 1, one) + pack("=HBBI", 6, 0, 0, 0x50000 | 1)
if calls:
    seccomp.install(code + pack("=HBBI", 6, 0, 0, 0x7FFF0000))
sys.exit(main(sys.argv[2:]))
"""
CALL = '<tool_call>{"name": "python", "arguments": {"code": "print(image_1.size, open(\'/etc/passwd\').read()[:4])"}}'
SCRIPT = {"default": [f"{CALL}</tool_call>", "<reason>r</reason><answer>A</answer>"]}
RUN = ("run", "--model", "scripted", "--script", "script.json", "--tasks", "panel_probe", "-T", "boards=1", "--run-dir")


@pytest.fixture(autouse=True)
async def offered(shared: Shared, tmp_path: Path) -> None:
    """Skip where the machine itself isolates nothing."""
    await shared("T1")
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))


def bare(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line on a machine with neither user namespaces nor landlock."""
    command = [sys.executable, "-c", WITHOUT, json.dumps([UNSHARE, LANDLOCK]), *arguments]
    variables = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)


def calls(run: Path) -> list[dict]:  # type: ignore[type-arg]
    rows = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    return [row["trajectory"]["turns"][0] for row in rows]


def test_a_run_is_isolated_without_any_flag(tmp_path: Path, cli: Cli) -> None:
    done = cli(*RUN, "r")
    assert done.returncode == 0, done.stderr
    assert "WITHOUT ISOLATION" not in done.stderr
    session = json.loads((tmp_path / "r" / "run.json").read_text())["sessions"][0]
    assert session["sandbox"]["isolated"] is True
    for turn in calls(tmp_path / "r"):
        assert turn["calls"][0]["status"] == "failed"
        assert "FileNotFoundError" in turn["observations"][0]["text"]


def test_where_nothing_isolates_code_is_refused(tmp_path: Path) -> None:
    done = bare(tmp_path, *RUN, "r")
    assert done.returncode == 2
    assert "--unsafe-no-isolation" in done.stderr
    assert "Operation not permitted" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert not (tmp_path / "r").exists()


def test_a_waiver_is_said_at_once_and_marks_the_run_and_its_report(tmp_path: Path) -> None:
    done = bare(tmp_path, *RUN, "r", "--unsafe-no-isolation")
    assert done.returncode == 0, done.stderr
    assert "WARNING: the model's code runs WITHOUT ISOLATION" in done.stderr
    assert "WITHOUT ISOLATION" in done.stdout
    assert "WITHOUT ISOLATION" in (tmp_path / "r" / "report.md").read_text()
    session = json.loads((tmp_path / "r" / "run.json").read_text())["sessions"][0]
    assert (session["sandbox"]["tier"], session["sandbox"]["isolated"]) == ("T0", False)
    assert all(turn["calls"][0]["status"] == "ok" for turn in calls(tmp_path / "r"))


def test_a_protocol_without_tools_needs_no_sandbox(tmp_path: Path) -> None:
    done = bare(tmp_path, *RUN, "r", "--protocol", "direct")
    assert done.returncode == 0, done.stderr


def test_doctor_names_the_tier_and_every_mechanism(tmp_path: Path, cli: Cli) -> None:
    done = cli("doctor", "--stress", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("tier T1, isolated", "seccomp", "network namespace", "20 sessions alive at once, all right"):
        assert said in done.stdout
    without = bare(tmp_path, "doctor")
    assert without.returncode == 2
    assert f"{os.strerror(EPERM)}" in without.stdout
    assert "--unsafe-no-isolation" in without.stdout


def test_an_unknown_sandbox_is_named(cli: Cli) -> None:
    done = cli(*RUN, "r", "--sandbox", "locl")
    assert done.returncode == 2
    assert "nearest: local" in done.stderr


def test_a_kernel_runs_code_only_with_the_waiver(tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("jupyter_client", reason="pip install 'evalkit[jupyter]'")
    refused = cli(*RUN, "r", "--sandbox", "jupyter")
    assert refused.returncode == 2
    assert "does not isolate" in refused.stderr.replace("\n", " ")
    done = cli(*RUN, "r", "--sandbox", "jupyter", "--unsafe-no-isolation")
    assert done.returncode == 0, done.stderr
    assert all(turn["calls"][0]["status"] == "ok" for turn in calls(tmp_path / "r"))
    assert "768, 768" in calls(tmp_path / "r")[0]["observations"][0]["text"]
    assert json.loads((tmp_path / "r" / "run.json").read_text())["config"]["sandbox"]["kind"] == "jupyter"


def test_a_container_without_an_engine_is_one_line(cli: Cli, tmp_path: Path) -> None:
    done = cli(*RUN, "r", "--sandbox", "docker:no-such-image", PATH=str(tmp_path))
    assert done.returncode == 2
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert "docker" in done.stderr
