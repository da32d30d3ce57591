"""A real vLLM server on the loopback, for tests that `nox -s e2e` runs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

VLLM = os.environ.get("EVALKIT_E2E_VLLM")
needs_vllm = [
    pytest.mark.skipif(VLLM is None, reason="EVALKIT_E2E_VLLM names no Python with vLLM (nox -s e2e sets it)"),
    pytest.mark.timeout(900),
]
MODULE = "vllm.entrypoints.openai.api_server"
# what a CPU build of vLLM needs beside a CUDA build of torchvision
VARIABLES = {"VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONPATH": str(ROOT / "tests/e2e/site"), "HF_HUB_OFFLINE": "1"}
START_S = 400


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(model: Path, name: str, log: Path, *options: str) -> Iterator[str]:
    """The base URL of vLLM serving `model`."""
    with killable(model, name, log, *options) as (url, _):
        yield url


@contextlib.contextmanager
def killable(model: Path, name: str, log: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The base URL of vLLM serving `model`, and its process, which leads a group of its own."""
    assert VLLM is not None
    port = free_port()
    command = [VLLM, "-m", MODULE, "--model", str(model), "--served-model-name", name]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-model-len", "4096"]
    command += ["--enforce-eager", "--max-num-seqs", "64", "--limit-mm-per-prompt", '{"image": 8, "video": 0}']
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **VARIABLES},
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + START_S
            while True:
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                        break
                except (urllib.error.URLError, OSError):
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1", process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
