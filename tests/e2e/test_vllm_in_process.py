"""The vLLM engine with the real library on the CPU: the same answers as transformers, and a clean end in every way.

Run by `nox -s e2e`, which sets EVALKIT_E2E_VLLM to a Python that has vLLM and what evalkit itself needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Cli
from tests.tiny_qwen import build

VLLM = os.environ.get("EVALKIT_E2E_VLLM")
pytestmark = [
    pytest.mark.skipif(VLLM is None, reason="EVALKIT_E2E_VLLM names no Python with vLLM (nox -s e2e sets it)"),
    pytest.mark.timeout(900),
]
WEMATH = ("--tasks", "wemath", "--protocol", "metis", "--max-turns", "3")


def variables() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/e2e/site")])
    return {**os.environ, "PYTHONPATH": path, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "140"}


def in_vllm(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python with vLLM to its end."""
    assert VLLM is not None
    command = [VLLM, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=variables(), capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The card of a Qwen3-VL of random weights."""
    build(tmp_path / "weights", max_positions=4096)
    card = tmp_path / "tiny.yaml"
    card.write_text("name: tiny\nweights: {folder: weights, dtype: float32}\nvllm: {enforce_eager: true}\n")
    return card


def rows(run: Path) -> dict[str, list[dict[str, Any]]]:
    """The turns of each row."""
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert not [line for line in lines if line["outcome"]["verdict"].endswith("error")]
    found = {line["sample"]["id"]: line["trajectory"]["turns"] for line in lines}
    assert len(found) == len(lines)
    return found


def texts(run: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {id: [turn["text"] for turn in turns] for id, turns in run.items()}


def shown(run: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    return {id: [turn.get("shown") for turn in turns] for id, turns in run.items()}


def test_the_engine_keeps_its_promises(tmp_path: Path, tiny: Path) -> None:
    done = in_vllm(ROOT / "tests/e2e/vllm_engine_checks.py", tmp_path / "weights", cwd=tmp_path)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("closed\n")


def test_metis_nano_answers_and_calls_the_same_as_through_transformers(tmp_path: Path, cli: Cli) -> None:
    common = ("--model", "metis-nano", "--tasks", "panel_probe", "--limit", "200")
    done = in_vllm("-m", "evalkit", "run", *common, "--engine", "vllm", "--run-dir", "v", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "INFO" not in done.stdout + done.stderr, "vLLM's log belongs in its file"
    local = cli("run", *common, "--run-dir", "t")
    assert local.returncode == 0, local.stdout + local.stderr
    ours, theirs = rows(tmp_path / "v"), rows(tmp_path / "t")
    print("same transcripts:", sum(texts(ours)[id] == texts(theirs)[id] for id in theirs), "/", len(theirs))
    assert len(ours) == 200
    assert texts(ours) == texts(theirs)
    assert shown(ours) == shown(theirs)
    calling = [turns for turns in ours.values() if len(turns) > 1]
    assert 60 < len(calling) < 140
    for turns in calling:
        (crop,) = turns[1]["shown"]
        assert (crop["origin"], crop["source"], crop["width"]) == ("python", "image_1", 256)
        assert (crop["shown_width"], crop["tokens"], len(crop["box"])) == (96, 9, 4)


def test_random_weights_give_the_same_greedy_texts_as_transformers(
    tmp_path: Path, tiny: Path, cli: Cli, shared_data: Path
) -> None:
    common = ("--model", tiny, *WEMATH, "--data", shared_data / "wemath", "--limit", "200", "--turn-tokens", "24")
    common = (*common, "--max-pixels", str(64 * 64))
    done = in_vllm("-m", "evalkit", "run", *common, "--engine", "vllm", "--run-dir", "v", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    local = cli("run", *common, "--run-dir", "t", "--concurrency", "32")
    assert local.returncode == 0, local.stdout + local.stderr
    ours, theirs = rows(tmp_path / "v"), rows(tmp_path / "t")
    assert len(ours) == 200
    assert shown(ours) == shown(theirs)
    images = [image for turns in ours.values() for image in turns[0]["shown"]]
    # a side is never below one square of 32 pixels, whatever the budget
    assert all(image["tokens"] <= 4 or min(image["shown_width"], image["shown_height"]) == 32 for image in images)
    same = sum(texts(ours)[id] == texts(theirs)[id] for id in theirs)
    print(f"same greedy texts: {same}/200")
    # Random weights make near-ties common, so a few texts may part; most of them must not.
    assert same >= 190


@contextlib.contextmanager
def running(tmp_path: Path, card: Path, data: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in the folder `r` that has stored its first rows."""
    assert VLLM is not None
    common = (*WEMATH, "--data", data / "wemath", "--limit", "120", "--turn-tokens", "200", "--run-dir", "r")
    command = [VLLM, "-m", "evalkit", "run", "--model", card, "--engine", "vllm", "--concurrency", "8", *common]
    process = subprocess.Popen(
        list(map(str, command)), cwd=tmp_path, env=variables(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    stored = tmp_path / "r" / "samples.jsonl"
    try:
        deadline = time.monotonic() + 400
        while not (stored.is_file() and stored.stat().st_size):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.communicate()


def family(process: int) -> dict[int, str]:
    """All descendants of a process and their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == process:
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
                found |= family(int(entry.name))
    return found


def gone(processes: dict[int, str]) -> bool:
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def test_a_killed_engine_ends_the_run_with_its_reason_and_the_run_goes_on_later(
    tmp_path: Path, tiny: Path, shared_data: Path
) -> None:
    with running(tmp_path, tiny, shared_data) as process:
        processes = family(process.pid)
        (core,) = [id for id, command in processes.items() if "EngineCore" in command]
        os.kill(core, signal.SIGKILL)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 3, text
    assert "vLLM's engine process has died (killed by SIGKILL" in text
    assert "Traceback" not in text
    assert gone(processes)
    there = rows(tmp_path / "r")
    assert 0 < len(there) < 120
    again = in_vllm(
        "-m", "evalkit", "run", "--model", tiny, "--engine", "vllm", *WEMATH, "--data", shared_data / "wemath",
        "--limit", "120", "--turn-tokens", "200", "--run-dir", "r", cwd=tmp_path,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    whole = rows(tmp_path / "r")
    assert len(whole) == 120
    assert all(whole[id] == turns for id, turns in there.items())


def test_no_process_outlives_a_killed_run_or_an_interrupted_one(tmp_path: Path, tiny: Path, shared_data: Path) -> None:
    with running(tmp_path, tiny, shared_data) as process:
        # as a terminal does it: the signal goes to everyone in the foreground
        processes = family(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "died" not in text, "what is in flight must still finish"
    assert gone(processes)
    (tmp_path / "r" / "samples.jsonl").unlink()
    with running(tmp_path, tiny, shared_data) as process:
        processes = family(process.pid)
        assert any("EngineCore" in command for command in processes.values())
        process.kill()
        process.wait()
        assert gone(processes)


def test_weights_that_cannot_be_loaded_say_why_in_one_line(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"not weights")
    done = in_vllm(
        "-m", "evalkit", "run", "--model", tiny, "--engine", "vllm", "--tasks", "wemath", "--data", "sample",
        "--protocol", "direct", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode in (2, 3), done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: vLLM cannot run")]
    assert "its last words: safetensors" in line
    assert "header" in line
    assert "Traceback" not in done.stderr
