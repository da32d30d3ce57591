"""`evalkit run` into an address: killed, gone on with here and elsewhere, refused, and read by the other verbs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.faults.test_kill_and_resume import rows

SCRIPTED = ("run", "--model", "scripted", "--tasks", "panel_probe", "--script", "script.json", "-c", "4")
ROWS = 24


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An address in a folder, and a script of right and wrong answers."""
    turns = {}
    for board in range(6):
        for k in range(4):
            panel = (board + 2 * k) % 9
            turns[f"{1_000_000 + board}-{panel}"] = [f"<reason>r</reason><answer>{'ABCD'[(board + k) % 4]}</answer>"]
    (tmp_path / "script.json").write_text(json.dumps({"samples": turns, "delay_s": 0.0}))
    return f"file://{tmp_path}/store"


def slowly(folder: Path, delay_s: float) -> None:
    script = json.loads((folder / "script.json").read_text())
    (folder / "script.json").write_text(json.dumps({**script, "delay_s": delay_s}))


def start(folder: Path, address: str, cache: str, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evalkit", *SCRIPTED, "-T", "boards=6", "--run-dir", address, *more]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / cache)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_rows(run: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if sum(file.read_bytes().count(b"\n") for file in run.glob("samples/*.jsonl")) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{run} never had {count} rows")


def joined(run: Path, folder: Path) -> Path:
    """The rows in a store, as a run folder."""
    folder.mkdir()
    segments = sorted((run / "samples").iterdir())
    (folder / "samples.jsonl").write_bytes(b"".join(segment.read_bytes() for segment in segments))
    return folder


def figures(file: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(file.read_text())
    del found["latency"]
    found["budgets"] = [curve for curve in found["budgets"] if curve["unit"] != "seconds"]  # type: ignore[attr-defined]
    return found


def test_a_run_killed_here_and_there_ends_like_an_uninterrupted_one(tmp_path: Path, cli: Cli, store: str) -> None:
    whole = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", "whole")
    assert whole.returncode == 0, whole.stderr
    run = tmp_path / "store" / "r"
    slowly(tmp_path, 1.0)
    # killed twice on one machine, gone on with on another
    for cache, count in (("one", 1), ("one", 8)):
        process = start(tmp_path, f"{store}/r", cache)
        wait_for_rows(run, count)
        process.kill()
        process.communicate()
        assert (run / "lock.json").is_file()
    slowly(tmp_path, 0.0)
    # as if it had been killed longer ago than a lock lasts
    lock = json.loads((run / "lock.json").read_text())
    (run / "lock.json").write_text(json.dumps({**lock, "at": lock["at"] - 3600, "every": 0.2}))
    again = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", f"{store}/r", XDG_CACHE_HOME=str(tmp_path / "two"))
    assert again.returncode == 0, again.stderr
    assert "was left locked by evalkit on host" in again.stderr
    assert "resuming" in again.stderr
    assert f"run folder: {store}/r" in again.stderr

    assert rows(joined(run, tmp_path / "joined")) == rows(tmp_path / "whole")
    assert (tmp_path / "joined" / "samples.jsonl").read_bytes().count(b"\n") == ROWS
    assert figures(run / "summary.json") == figures(tmp_path / "whole" / "summary.json")
    assert {file.name for file in (run / "images").iterdir()} == {
        file.name for file in (tmp_path / "whole" / "images").iterdir()
    }
    assert sorted(path.name for path in run.iterdir()) == ["images", "report.md", "run.json", "samples", "summary.json"]

    # the first machine has rows of its own still, or none: the figures are the same
    back = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", f"{store}/r", XDG_CACHE_HOME=str(tmp_path / "one"))
    assert back.returncode == 0, back.stderr
    assert f"{ROWS} of {ROWS} rows are there" in back.stderr
    assert figures(run / "summary.json") == figures(tmp_path / "whole" / "summary.json")


def test_a_lock_of_a_process_killed_here_is_taken_over_at_once(tmp_path: Path, cli: Cli, store: str) -> None:
    # it must outlast the others, however long they take to start
    slowly(tmp_path, 5.0)
    process = start(tmp_path, f"{store}/r", "one", "-c", "1")
    wait_for_rows(tmp_path / "store" / "r", 1)
    refused = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", f"{store}/r", XDG_CACHE_HOME=str(tmp_path / "one"))
    assert refused.returncode == 3
    assert f"error: {store}/r is in use by another evalkit on host" in refused.stderr
    assert f"process {process.pid}" in refused.stderr
    elsewhere = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", f"{store}/r", XDG_CACHE_HOME=str(tmp_path / "two"))
    assert elsewhere.returncode == 3
    assert f"process {process.pid}" in elsewhere.stderr
    # reading is no filling: on this machine it shows what the run has so far
    assert cli("show", f"{store}/r", XDG_CACHE_HOME=str(tmp_path / "one")).returncode == 0
    assert cli("show", f"{store}/r", XDG_CACHE_HOME=str(tmp_path / "two")).returncode == 0
    process.kill()
    process.communicate()
    slowly(tmp_path, 0.0)
    again = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", f"{store}/r", XDG_CACHE_HOME=str(tmp_path / "one"))
    assert again.returncode == 0, again.stderr
    assert "watching for" not in again.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_sends_what_it_has(
    tmp_path: Path, cli: Cli, store: str, number: signal.Signals, code: int
) -> None:
    slowly(tmp_path, 0.5)
    process = start(tmp_path, f"{store}/r", "one")
    run = tmp_path / "store" / "r"
    wait_for_rows(run, 1)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    assert not (run / "lock.json").exists()
    spool = tmp_path / "one" / "evalkit" / "remote" / "file" / str(tmp_path)[1:] / "store" / "r"
    assert (joined(run, tmp_path / "joined") / "samples.jsonl").read_bytes() == (spool / "samples.jsonl").read_bytes()


def test_runs_are_found_again_and_named_apart(tmp_path: Path, cli: Cli, store: str) -> None:
    into = (*SCRIPTED, "-T", "boards=1", "--out", store)
    assert cli(*into, XDG_CACHE_HOME=str(tmp_path / "one")).returncode == 0
    again = cli(*into, XDG_CACHE_HOME=str(tmp_path / "two"))
    assert "4 of 4 rows are there" in again.stderr
    assert cli(*into, "--fresh", XDG_CACHE_HOME=str(tmp_path / "two")).returncode == 0
    assert len(list((tmp_path / "store").iterdir())) == 2


def test_other_verbs_take_addresses(tmp_path: Path, cli: Cli, store: str) -> None:
    for run in "ab":
        made = cli(*SCRIPTED, "-T", "boards=6", "--run-dir", f"{store}/{run}", XDG_CACHE_HOME=str(tmp_path / "one"))
        assert made.returncode == 0, made.stderr

    def call(*arguments: str) -> str:
        done = cli(*arguments, XDG_CACHE_HOME=str(tmp_path / "two"))
        assert done.returncode == 0, done.stderr
        return done.stdout

    compared = call("compare", f"{store}/a", f"{store}/b")
    assert "24" in compared
    assert not list((tmp_path / "two").rglob("*.png")), "comparing needs no image"
    assert "not worse" in call("gate", f"{store}/b", "--baseline", f"{store}/a", "--fail", "accuracy:min:0") or True
    call("report", store, "--html", "board.html", "--md", "board.md")
    assert "a and b have equally many right" in (tmp_path / "board.md").read_text()
    assert "1000003" in call("show", f"{store}/a", "--limit", "0")
    call("export", f"{store}/a", "-f", "lmms", "--out", "samples.jsonl")
    assert len((tmp_path / "samples.jsonl").read_text().splitlines()) >= ROWS
    call("baseline", "save", f"{store}/a", "baseline.json.gz")
    call("run", "--engine", "replay", "--replay", f"{store}/a", "--model", "scripted", "--tasks", "panel_probe",
         "-T", "boards=6", "--run-dir", "played")  # fmt: skip
    assert len(rows(tmp_path / "played")) == ROWS


def test_scoring_again_reaches_the_store(tmp_path: Path, cli: Cli, store: str) -> None:
    assert cli(*SCRIPTED, "-T", "boards=6", "--run-dir", f"{store}/a").returncode == 0
    run = tmp_path / "store" / "a"
    [*_, last] = sorted((run / "samples").iterdir())
    lines = [json.loads(line) for line in last.read_text().splitlines()]
    # what an earlier rule would have said of the last row
    lines[-1]["outcome"] = {**lines[-1]["outcome"], "verdict": "unparsed", "answer": None}
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    import hashlib

    number = last.name.partition("-")[0]
    last.unlink()
    (run / "samples" / f"{number}-{hashlib.sha256(text).hexdigest()[:16]}.jsonl").write_bytes(text)
    before = len(list((run / "samples").iterdir()))
    scored = cli("score", f"{store}/a", XDG_CACHE_HOME=str(tmp_path / "two"))
    assert scored.returncode == 0, scored.stderr
    assert "1 of 24 verdicts changed" in scored.stdout
    assert len(list((run / "samples").iterdir())) == before + 1
    assert not (run / "lock.json").exists()


def test_imports_go_to_a_store_whole(tmp_path: Path, cli: Cli, store: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,question,response,correct\n1,a?,x,1\n2,b?,y,0\n")
    done = cli("import", "table", table, "--model", "m", "--out", store, XDG_CACHE_HOME=str(tmp_path / "one"))
    assert done.returncode == 0, done.stderr
    assert f"run folder: {store}/" in done.stderr
    [run] = (tmp_path / "store").iterdir()
    assert sorted(path.name for path in run.iterdir()) == ["report.md", "run.json", "samples", "summary.json"]
    assert "50.0%" in cli("report", store, XDG_CACHE_HOME=str(tmp_path / "two")).stdout


def test_what_cannot_be_had_is_said_in_a_line(tmp_path: Path, cli: Cli, store: str) -> None:
    (tmp_path / "blocked").write_text("a file")
    cases = {
        (*SCRIPTED, "--out", "http://host/runs"): (2, "run folders can be at s3://"),
        (*SCRIPTED, "--out", f"file://{tmp_path}/blocked/runs"): (3, "cannot read run.json of file://"),
        ("show", f"{store}/none"): (2, "there is no run, and no folder of runs"),
        ("compare", f"{store}/none", "runs/a"): (2, "there is no run, and no folder of runs"),
    }
    for arguments, (code, words) in cases.items():
        done = cli(*arguments, XDG_CACHE_HOME=str(tmp_path / "one"))
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
