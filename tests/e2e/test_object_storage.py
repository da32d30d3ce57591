"""Run folders behind the real S3 protocol: moto's server in a process of its own, s3fs in evalkit's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.faults.test_kill_and_resume import rows
from tests.faults.test_remote_store import ROWS, SCRIPTED, figures, slowly

for _package in ("s3fs", "moto", "boto3"):
    pytest.importorskip(_package, reason=f"{_package} is not installed (nox -s remote installs it)")

pytestmark = pytest.mark.timeout(900)

KEY, SECRET = "AKIAEXAMPLEEXAMPLE42", "wJalrXUtnFEMIexampleexampleKEY42"
RUN = "s3://bench/runs/r"
INTO = (*SCRIPTED, "-T", "boards=6", "--run-dir", RUN)


class Server:
    """moto's S3 server and a client of it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        import boto3

        self.process, self.url = process, url
        self.variables = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
        )

    def make(self, bucket: str) -> None:
        self._client.create_bucket(Bucket=bucket)

    def objects(self, start: str = "runs/r/") -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix=start):
            for one in page.get("Contents", []):
                data: Any = self._client.get_object(Bucket="bench", Key=one["Key"])["Body"].read()
                found[one["Key"].removeprefix(start)] = data
        return found

    def put(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket="bench", Key=f"runs/r/{name}", Body=data)

    def lines(self) -> bytes:
        return b"".join(data for name, data in sorted(self.objects().items()) if name.startswith("samples/"))


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Server]:
    """A server with one bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (tmp_path / "moto.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        server = Server(process, url)
        server.make("bench")
        yield server
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """What the model says, and one undisturbed run of it."""
    turns = {}
    for board in range(6):
        for k in range(4):
            panel = (board + 2 * k) % 9
            turns[f"{1_000_000 + board}-{panel}"] = [f"<reason>r</reason><answer>{'ABCD'[(board + k) % 4]}</answer>"]
    (tmp_path / "script.json").write_text(json.dumps({"samples": turns, "delay_s": 0.0}))
    return tmp_path


def start(folder: Path, s3: Server, cache: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **s3.variables, "XDG_CACHE_HOME": str(folder / cache)}
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "evalkit", *INTO], cwd=folder, env=environment, stdout=log, stderr=log
        )


def wait_for_rows(s3: Server, count: int) -> None:
    deadline = time.monotonic() + 180
    while s3.lines().count(b"\n") < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_run_killed_here_and_there_ends_like_an_uninterrupted_one(script: Path, cli: Cli, s3: Server) -> None:
    whole = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", "whole")
    assert whole.returncode == 0, whole.stderr
    slowly(script, 1.0)
    for count in (1, 8):
        process = start(script, s3, "one")
        wait_for_rows(s3, count)
        process.kill()
        process.wait()
    lock = json.loads(s3.objects()["lock.json"])
    s3.put("lock.json", json.dumps({**lock, "at": lock["at"] - 3600, "every": 0.2}).encode())
    slowly(script, 0.0)
    again = cli(*INTO, XDG_CACHE_HOME=str(script / "two"), **s3.variables)
    assert again.returncode == 0, again.stderr
    assert f"resuming {RUN}: " in again.stderr

    there = s3.objects()
    (script / "joined").mkdir()
    (script / "joined" / "samples.jsonl").write_bytes(s3.lines())
    (script / "joined" / "summary.json").write_bytes(there["summary.json"])
    assert rows(script / "joined") == rows(script / "whole")
    assert s3.lines().count(b"\n") == ROWS
    assert figures(script / "joined" / "summary.json") == figures(script / "whole" / "summary.json")
    images = {f"images/{file.name}": file.read_bytes() for file in (script / "whole" / "images").iterdir()}
    assert {name: data for name, data in there.items() if name.startswith("images/")} == images
    assert "lock.json" not in there

    kept = [path for cache in ("one", "two") for path in (script / cache).rglob("*") if path.is_file()]
    said = [*there.values(), *(path.read_bytes() for path in kept), (script / "output.log").read_bytes()]
    said += [again.stdout.encode(), again.stderr.encode()]
    assert not [text for text in said if KEY.encode() in text or SECRET.encode() in text]


def test_reading_verbs_and_scoring(script: Path, cli: Cli, s3: Server) -> None:
    made = cli(*INTO, XDG_CACHE_HOME=str(script / "one"), **s3.variables)
    assert made.returncode == 0, made.stderr

    def call(*arguments: str) -> str:
        done = cli(*arguments, XDG_CACHE_HOME=str(script / "two"), **s3.variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "1000003" in call("show", RUN, "--limit", "0")
    assert "of 24 scored rows" in call("report", "s3://bench/runs", "--md", "-")
    call("baseline", "save", RUN, "baseline.json.gz")
    assert "0 of 24 verdicts changed" in call("score", RUN)
    segments = [name for name in s3.objects() if name.startswith("samples/")]
    assert s3.lines().count(b"\n") == ROWS
    assert segments
    refused = cli("show", "s3://nobody/runs/r", XDG_CACHE_HOME=str(script / "two"), **s3.variables)
    assert refused.returncode == 2
    assert "there is no run" in refused.stderr


def test_a_store_that_falls_silent_gets_the_rest_later(script: Path, cli: Cli, s3: Server) -> None:
    slowly(script, 2.0)
    process = start(script, s3, "one")
    wait_for_rows(s3, 1)
    s3.process.send_signal(signal.SIGSTOP)
    assert process.wait(timeout=400) == 3
    said = (script / "output.log").read_text()
    assert "run the same command again to send it" in said
    assert "24 of 24 rows" in said
    s3.process.send_signal(signal.SIGCONT)
    assert s3.lines().count(b"\n") < ROWS
    again = cli(*INTO, XDG_CACHE_HOME=str(script / "one"), **s3.variables)
    assert again.returncode == 0, again.stderr
    assert s3.lines().count(b"\n") == ROWS
    assert "lock.json" not in s3.objects()


def test_of_many_at_the_same_moment_one_gets_the_lock(script: Path, s3: Server) -> None:
    probe = """
import threading
from evalkit.runs.remote.address import address_of
from evalkit.runs.remote.bucket import Bucket
from evalkit.runs.remote.lock import InUseError, StoreLock

bucket, barrier, got = Bucket(address_of("s3://bench/runs/r")), threading.Barrier(8), []

def take(number):
    barrier.wait()
    try:
        got.append(StoreLock(bucket, f"copy {number}", 10.0, print))
    except InUseError:
        pass

threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(got), bucket.exclusive)
got[0].release(30)
"""
    done = subprocess.run(
        [sys.executable, "-c", probe], env={**os.environ, **s3.variables}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "True"], done.stderr
    assert s3.objects() == {}
