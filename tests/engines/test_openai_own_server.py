"""`--serve`: the server starts with the run and is gone after it, whatever happens."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evalkit.engines.base import Engine
from evalkit.engines.openai import _watchdog, process
from evalkit.engines.openai.own_server import ServedEngine, server_command, vllm_arguments
from evalkit.errors import EngineUnavailableError, EvalkitError
from tests.conftest import Cli
from tests.engines.openai_server import ask

FAKE = Path(__file__).with_name("fake_vllm.py")


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVALKIT_VLLM", f"'{sys.executable}' '{FAKE}'")
    monkeypatch.setenv("FAKE_PIDS", str(tmp_path / "pids"))
    monkeypatch.setattr(process, "_GRACE_S", 1.0)


def made(tmp_path: Path, **more: Any) -> ServedEngine:
    return ServedEngine(weights="/some/weights", name="m", log=tmp_path / "out" / "server.log", **more)


def pids(tmp_path: Path) -> list[int]:
    file = tmp_path / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone_within(tmp_path: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids(tmp_path)))


async def test_it_serves_from_start_to_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "for-another-server")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-yet-another-server")
    engine = made(tmp_path, arguments=["--dtype", "float32"])
    assert isinstance(engine, Engine)
    told = await engine.start()
    assert told["identity"] == "m --dtype float32"
    assert told["served_by"].endswith("--model /some/weights --served-model-name m --dtype float32")
    assert (await engine.generate(ask("hi"))).text == "key None"
    assert engine.facts()[0]["most_at_once"] == 1
    assert "options ['--dtype', 'float32']; key None" in (tmp_path / "out" / "server.log").read_text()
    (pid,) = pids(tmp_path)
    assert alive(pid)
    await engine.close()
    await engine.close()
    assert not alive(pid)
    with pytest.raises(EngineUnavailableError, match="closed"):
        await engine.generate(ask("hi"))


@pytest.mark.parametrize("mode", ["stubborn", "parent"])
async def test_what_does_not_want_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("FAKE_VLLM", mode)
    engine = made(tmp_path)
    await engine.start()
    assert all(map(alive, pids(tmp_path)))
    await engine.close()
    assert gone_within(tmp_path, 2)


async def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VLLM", "crashes")
    with pytest.raises(EngineUnavailableError) as caught:
        await made(tmp_path).start()
    line = str(caught.value)
    assert "the server ended (exit code 1): ValueError: the model is too large; its log: " in line
    assert "\n" not in line
    assert "\x1b" not in line


async def test_a_command_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_VLLM", "/no/such/python -m vllm")
    with pytest.raises(EngineUnavailableError, match=r"exit code 127.*/no/such/python: No such file"):
        await made(tmp_path).start()


async def test_a_server_that_gets_never_ready_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VLLM", "hangs")
    monkeypatch.setattr(process, "_SAY_EVERY_S", 0.2)
    said: list[str] = []
    with pytest.raises(EngineUnavailableError, match=r"not ready after 1\.5 s"):
        await made(tmp_path, start_s=1.5, say=said.append).start()
    assert gone_within(tmp_path, 2)
    assert said
    assert re.fullmatch(r"the server has been starting for \d+ s; .*server\.log: options .*", said[-1])


async def test_a_start_that_is_cancelled_leaves_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VLLM", "hangs")
    starting = asyncio.create_task(made(tmp_path).start())
    async with asyncio.timeout(20):
        while not pids(tmp_path):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert gone_within(tmp_path, 2)


async def test_a_server_that_dies_in_mid_run_ends_it_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "dies")
    engine = made(tmp_path)
    await engine.start()
    ended = await asyncio.gather(*(engine.generate(ask("hi")) for _ in range(8)), return_exceptions=True)
    assert {type(end) for end in ended} == {EngineUnavailableError}
    assert "the server ended (exit code 3): RuntimeError: CUDA out of memory" in str(ended[0])
    await engine.close()


SCRIPT = """
import asyncio, sys
from pathlib import Path
from evalkit.engines.openai.own_server import ServedEngine
async def main():
    await ServedEngine(weights="w", name="m", log=Path("server.log")).start()
    print("up", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_evalkit_leaves_no_server(tmp_path: Path, number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        # a shell ignores SIGINT for what it starts in the background, and its children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    (pid,) = pids(tmp_path)
    assert alive(pid)
    child.send_signal(number)
    child.wait()
    child.stdout.close()
    assert gone_within(tmp_path, 10)


def test_a_killed_watchdog_takes_its_server_with_it(tmp_path: Path) -> None:
    command = [sys.executable, _watchdog.__file__, "1", sys.executable, str(FAKE), "--port", "0", "--host", "127.0.0.1"]
    watchdog = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 20
    while not pids(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    watchdog.kill()
    watchdog.communicate()
    assert gone_within(tmp_path, 5)


def test_the_command_line_serves_runs_and_stops(tmp_path: Path, cli: Cli) -> None:
    done = cli("run", "--model", "metis-nano", "--serve", "--tasks", "panel_probe", "--limit", "3", "--run-dir", "r")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "r" / "server.log").is_file()
    assert gone_within(tmp_path, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "metis-nano", "--serve", "--base-url", "http://h/v1"), "leave out --base-url"),
        (("--model", "metis-nano", "--serve", "--engine", "transformers"), "--serve does nothing with --engine"),
        (("--model", "scripted", "--serve"), "names no weights"),
        (("--model", "metis-nano", "--serve", "--min-pixels", "9"), "both --min-pixels and --max-pixels"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli("run", *arguments, "--tasks", "panel_probe")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_vllm_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EVALKIT_VLLM")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("evalkit.engines.openai.own_server.find_spec", lambda name: None)
    with pytest.raises(EvalkitError, match=r"--serve needs vLLM.*EVALKIT_VLLM"):
        server_command()
    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    os.chmod(tmp_path / "vllm", 0o755)
    assert server_command() == [str(tmp_path / "vllm"), "serve"]


def test_a_cards_settings_become_the_servers_options() -> None:
    found = vllm_arguments(
        dtype="bfloat16",
        revision="abc",
        tensor_parallel=2,
        max_model_len=4096,
        memory_share=0.8,
        enforce_eager=True,
        min_pixels=1024,
        max_pixels=4096,
    )
    assert " ".join(found) == (
        '--limit-mm-per-prompt {"video": 0} --dtype bfloat16 --revision abc --max-model-len 4096 '
        "--gpu-memory-utilization 0.8 --tensor-parallel-size 2 --enforce-eager "
        '--mm-processor-kwargs {"size": {"shortest_edge": 1024, "longest_edge": 4096}}'
    )
