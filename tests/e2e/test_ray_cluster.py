"""Replicas on a Ray cluster of several nodes, all on this machine, and on evalkit's own Ray: real processes, killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

if find_spec("ray") is None:
    pytest.skip("ray is not installed (pip install 'evalkit[ray]')", allow_module_level=True)

pytestmark = pytest.mark.timeout(1800)
LOOK = '<tool_call>{"name": "python", "arguments": {"code": "image_1.resize((64, 64))"}}</tool_call>'
MARK = "EVALKIT_TEST_MARK"
RUN = ("run", "--model", "scripted", "--tasks", "panel_probe", "--script", "script.json", "-T", "boards=40", "-c", "3")


class Cluster:
    """The cluster's process; see `tests.e2e.ray_cluster`."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "e2e" / "ray_cluster.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=variables,
            start_new_session=True,
        )
        self.address = self._read()

    def tell(self, *words: object) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the cluster has ended"
        return line


def marked(mark: str) -> dict[int, str]:
    """Processes with this mark in their environment, and their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}\0".encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def open_ports(processes: Iterable[int]) -> set[str]:
    """Addresses at which processes listen, as the kernel writes them."""
    sockets = set()
    for process in processes:
        with contextlib.suppress(OSError):
            sockets |= {os.readlink(each) for each in Path(f"/proc/{process}/fd").iterdir()}
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def none_left(mark: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while left := marked(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of all processes of a test; whatever has it is ended afterwards."""
    script = {"default": [LOOK, "<reason>r</reason><answer>A</answer>"], "delay_s": 0.05}
    (tmp_path / "script.json").write_text(json.dumps(script))
    mark = str(tmp_path)
    ray = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "240000"}
    yield {**os.environ, **ray, MARK: mark, "COLUMNS": "200"}
    for process in marked(mark):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
    none_left(mark)


@pytest.fixture
def cluster(variables: dict[str, str]) -> Iterator[Cluster]:
    """A head that runs no replicas."""
    cluster = Cluster(variables)
    yield cluster
    assert cluster.process.stdin is not None
    cluster.process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        cluster.process.wait(60)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(cluster.process.pid, signal.SIGKILL)
    cluster.process.wait()
    assert cluster.process.stdout is not None
    cluster.process.stdout.close()


class Run:
    """A run in the background; with `uv`, below a process that looks like `uv run`."""

    def __init__(self, folder: Path, variables: dict[str, str], *more: str, run: str = "r", uv: bool = False) -> None:
        self.folder = folder / run
        command = [sys.executable, "-m", "evalkit", *RUN, "--run-dir", run, *more]
        if uv:
            (folder / "run").write_text(f"import subprocess, sys\nsys.exit(subprocess.run({command!r}).returncode)\n")
        self.process = subprocess.Popen(
            ["uv", "run", "evalkit"] if uv else command,
            executable=os.path.realpath(sys.executable) if uv else None,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=variables,
        )

    def wait_for(self, lines: int) -> None:
        deadline = time.monotonic() + 600
        file = self.folder / "samples.jsonl"
        while not file.is_file() or file.read_bytes().count(b"\n") < lines:
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, "too slow"
            time.sleep(0.05)

    def end(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=600)
        return self.process.returncode, said


def rows(run: Path) -> dict[str, Any]:
    """What a run found, without times; every row once."""

    def timeless(tree: Any) -> Any:
        if isinstance(tree, dict):
            hidden = ("timing", "seconds", "started_at", "total_s")
            return {key: timeless(value) for key, value in tree.items() if key not in hidden}
        return [timeless(value) for value in tree] if isinstance(tree, list) else tree

    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    found = {line["sample"]["id"]: timeless(line) for line in lines}
    assert len(found) == len(lines)
    return found


def figures(run: Path) -> Any:
    """All figures but times."""
    figure = json.loads((run / "summary.json").read_text())
    del figure["latency"]
    figure["budgets"] = [curve for curve in figure["budgets"] if curve["unit"] != "seconds"]
    return figure


def replicas(run: Path) -> list[dict[str, Any]]:
    sessions = json.loads((run / "run.json").read_text())["sessions"]
    found: list[dict[str, Any]] = sessions[-1]["engine"]["replicas"]
    return found


def test_actors_and_nodes_that_die_cost_no_row(tmp_path: Path, variables: dict[str, str], cluster: Cluster) -> None:
    whole = Run(tmp_path, variables, run="whole")
    assert whole.end()[0] == 0
    path_of_first = tmp_path / "first"
    path_of_first.mkdir()
    first, second = cluster.tell("add", 1, path_of_first), cluster.tell("add", 1)
    run = Run(tmp_path, variables, "--ray", cluster.address)
    run.wait_for(15)
    actors = [process for process, command in marked(variables[MARK]).items() if command.startswith("ray::Host")]
    assert len(actors) == 2
    # not the one whose node ends later: it might still be on its way back then, with nothing to lose
    (on_first,) = [
        actor for actor in actors if os.fsencode(path_of_first) in Path(f"/proc/{actor}/environ").read_bytes()
    ]
    os.kill(on_first, signal.SIGKILL)
    run.wait_for(60)
    cluster.tell("remove", second)
    run.wait_for(90)
    third = cluster.tell("add", 1)
    code, said = run.end()
    assert code == 0, said
    assert rows(run.folder) == rows(whole.folder)
    assert len(rows(run.folder)) == 160
    assert figures(run.folder) == figures(whole.folder)
    assert said.count("; its trajectories are run again") >= 2
    found = replicas(run.folder)
    assert len(found) == 2
    assert sum(each["restarts"] for each in found) >= 1
    assert sum(each["trajectories"] for each in found) == 160
    assert all(each["most_at_once"] <= 3 for each in found)
    assert {each["node"].partition("(")[2][:8] for each in found} <= {first, second, third}
    assert not [command for command in marked(variables[MARK]).values() if "ray::Host" in command]


def test_a_lost_head_ends_the_run_with_one_line_and_it_goes_on_without(
    tmp_path: Path, variables: dict[str, str], cluster: Cluster
) -> None:
    cluster.tell("add", 2)
    quick = (tmp_path / "script.json").read_text()
    # Ray waits a minute for a lost head, and trajectories go on meanwhile
    (tmp_path / "script.json").write_text(json.dumps({**json.loads(quick), "delay_s": 4}))
    run = Run(tmp_path, variables, "--ray", cluster.address, "--replicas", "2")
    run.wait_for(20)
    cluster.tell("lose")
    code, said = run.end()
    assert code == 3, said
    (error,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert error.startswith(f"error: the Ray cluster at {cluster.address} is gone")
    assert error.endswith("run the same command again")
    there = len(rows(run.folder))
    assert 20 <= there < 160
    assert not [
        command for command in marked(variables[MARK]).values() if "evalkit" in command and "ray" not in command
    ]
    (tmp_path / "script.json").write_text(quick)
    code, said = Run(tmp_path, variables).end()
    assert code == 0, said
    assert f"{there} of 160 rows are there" in said
    assert len(rows(run.folder)) == 160


def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, variables: dict[str, str], cluster: Cluster) -> None:
    cluster.tell("add", 1)

    def refused(*more: str) -> str:
        code, said = Run(tmp_path, variables, "--ray", cluster.address, *more).end()
        assert code == 2, said
        (line,) = [line for line in said.splitlines() if line.startswith("error:")]
        return line

    assert "--replicas 3: 3 x 1 CPU are asked for, and 1 fit: the cluster has " in refused("--replicas", "3")
    said = refused("--engine", "transformers", "--model", "metis-nano", "--device", "cuda")
    assert "a replica takes 1 GPU of one machine, and no machine has more than 0" in said
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text(
        "import evalkit.version\nevalkit.version.__version__ = '9.9'\n"
    )
    cluster.tell("add", 1, tmp_path / "other")
    assert "differs from this machine: evalkit 9.9, not " in refused("--replicas", "2")


def test_a_real_model_gives_the_same_rows_in_one_process_and_in_replicas(
    tmp_path: Path, variables: dict[str, str], cluster: Cluster
) -> None:
    nano = ("--model", "metis-nano", "--limit", "12", "--counterfactual")
    cluster.tell("add", 1)
    cluster.tell("add", 1)
    runs = []
    for name, more in (("one", ()), ("two", ("--ray", cluster.address))):
        runs.append(Run(tmp_path, variables, *nano, *more, run=name))
        code, said = runs[-1].end()
        assert code == 0, said
    assert figures(runs[0].folder) == figures(runs[1].folder)
    counts = [each["trajectories"] for each in replicas(runs[1].folder)]
    assert sum(counts) == 24
    assert all(counts), "both took part; their shares are held where time stands still, in tests/unit/test_replicas.py"
    assert [count % 2 for count in counts] == [0, 0], "with and without tools, a sample is asked at one replica"


def test_a_killed_evalkit_takes_its_own_ray_with_it_and_goes_on(tmp_path: Path, variables: dict[str, str]) -> None:
    run = Run(tmp_path, variables, "--replicas", "2")
    run.wait_for(15)
    assert [command for command in marked(variables[MARK]).values() if "raylet" in command]
    assert {address[-8:] for address in open_ports(marked(variables[MARK]))} == {"0100007F"}, "the loopback"
    run.process.kill()
    run.process.communicate()
    none_left(variables[MARK])
    code, said = Run(tmp_path, variables, "--replicas", "2", uv=True).end()
    assert code == 0, said
    assert len(rows(run.folder)) == 160
    none_left(variables[MARK], within_s=5)
