"""evalkit against Ray Serve as one plain base URL, a replica of it killed under way.

Run by `nox -s e2e` where ray[serve] is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.serving import free_port

pytest.importorskip("ray.serve", reason="ray[serve] is not installed", exc_type=ImportError)
pytest.importorskip("torch", reason="torch is not installed")
pytestmark = pytest.mark.timeout(900)

ROWS = 60
SERVE = """
import sys, time
import ray
from ray import serve

ray.init(num_cpus=4, include_dashboard=False, logging_level="error", _temp_dir=sys.argv[2])
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
from tests.e2e.ray_serve_nano import nano

serve.run(nano, name="nano", route_prefix="/")
print("up", flush=True)
time.sleep(3600)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two replicas behind one address. Ray's sockets want a short path."""
    port, place = free_port(), tmp_path_factory.mktemp("ray")
    short = Path(tempfile.mkdtemp(prefix="serve"))
    log = place / "serve.log"
    variables = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(port), str(short)],
            env={**os.environ, **variables},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 300
        while "up" not in log.read_text().splitlines():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(short, ignore_errors=True)


def facts(url: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/facts", timeout=30) as reply:
        return dict(json.loads(reply.read()))


def command(out: Path, *options: str) -> list[str]:
    asked = ["--model", "metis-nano", "--tasks", "panel_probe", "--limit", str(ROWS), "--run-dir", str(out), "-c", "16"]
    return [sys.executable, "-m", "evalkit", "run", *asked, *options]


def said(run: Path) -> dict[str, list[str]]:
    """What the agent said, by row; a row that stands there twice fails."""
    found: dict[str, list[str]] = {}
    for line in (run / "samples.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert row["sample"]["id"] not in found
        found[row["sample"]["id"]] = [turn["text"] for turn in row["trajectory"]["turns"]]
    return found


def test_a_replica_killed_under_way_changes_no_answer(url: str, tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "here"), check=True, capture_output=True, timeout=400)
    served = tmp_path / "served"
    options = ("--engine", "openai", "--base-url", f"{url}/v1")
    with subprocess.Popen(command(served, *options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        stored = served / "samples.jsonl"
        while not stored.is_file() or stored.read_bytes().count(b"\n") < ROWS // 4:
            assert run.poll() is None, run.stderr.read() if run.stderr else ""
            time.sleep(0.2)
        os.kill(facts(url)["pid"], signal.SIGKILL)
        assert run.wait(400) == 0
    assert said(served) == said(tmp_path / "here")
