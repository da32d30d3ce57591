"""`evalkit view` as a process: what it prints, that it ends quietly, and what it refuses."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import Cli
from tests.run_folders import row, write_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_run(tmp_path / "runs" / "a", [row(i) for i in range(4)])
    return tmp_path / "runs"


def status(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("runs")
def test_it_prints_the_address_and_ends_quietly(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "evalkit", "view"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            address = process.stdout.readline().strip()
            parts = urlsplit(address)
            assert parts.hostname == "127.0.0.1"
            assert parts.query.startswith("token=")
            assert len(parts.query) > 30
            assert status(address, f"/?{parts.query}") == 200
            assert status(address, "/") == 403
            # what is no request is no business of the terminal either
            with socket.create_connection(("127.0.0.1", parts.port or 0)) as other:
                other.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
                other.recv(100)
            process.send_signal(number)
            assert process.wait(timeout=60) == 0
            assert (process.stdout.read(), process.stderr.read()) == ("", "")
        finally:
            process.kill()


@pytest.mark.usefixtures("runs")
def test_what_it_refuses_is_one_line(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, said in {
            ("nowhere",): "nowhere does not exist; name the folder that your runs are in",
            ("file",): "file is not a folder",
            ("runs", "--port", str(port)): f"--port {port}: Address already in use",
            ("runs", "--task-dir", "runs"): "no task in runs",
        }.items():
            done = cli("view", *arguments)
            assert done.returncode == 2, done.stdout
            assert done.stdout == ""
            assert done.stderr.startswith(f"error: {said}")
            assert len(done.stderr.splitlines()) == 1
    assert cli("view", "runs", "--port", "99999").returncode == 2
