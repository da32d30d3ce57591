"""A dozen breaks of a short run, and whether the harness would see it if something were lost.

`python -m tests.faults.harness` makes the table of `docs/reliability.md` with 500 samples and hundreds of breaks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import ROOT
from tests.faults.harness import checks
from tests.faults.harness.faults import every
from tests.faults.harness.result import Head, Result, Results
from tests.faults.harness.table import BEGIN, END, put_into, table

SHORT = (
    "SIGKILL of evalkit",
    "SIGTERM of evalkit",
    "SIGKILL of the engine's server",
    "SIGKILL of the fork server",
    "SIGKILL of the fork server's keeper",
    "server says 429",
    "server says 502",
    "server hangs",
    "server cuts its replies short",
    "network refuses, then is back",
    "disk full while writing",
    "disk read-only while writing",
    "clock jumps ahead",
    "session killed as out of memory",
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="the harness sees processes as Linux shows them")


@linux
@pytest.mark.timeout(1500)
def test_a_run_that_is_broken_in_a_dozen_ways_loses_nothing(tmp_path: Path) -> None:
    only = [option for name in SHORT for option in ("--only", name)]
    results = tmp_path / "results.jsonl"
    command = ["--times", str(len(SHORT)), "--boards", "20", "--seed", "1", "--results", str(results)]
    made = subprocess.run(
        [sys.executable, "-m", "tests.faults.harness", *command, *only],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    found = [msgspec.json.decode(line, type=Result) for line in results.read_bytes().splitlines()[1:]]
    skipped = {fault.name for fault in every() if fault.why_not()}
    assert {result.fault for result in found} == set(SHORT) - skipped
    assert not any(result.lost or result.duplicated or result.problems for result in found)
    assert sum(not result.missed for result in found) > len(found) // 2


def row(id: str, verdict: str = "correct", **more: Any) -> bytes:
    sample = {"id": id, "images": [{"sha256": "ab", "size": 3}]}
    return json.dumps(
        {"sample": sample, "outcome": {"verdict": verdict}, "trajectory": {"total_s": 1.0, **more}}
    ).encode()


def folder(tmp_path: Path, *lines: bytes) -> Path:
    run = tmp_path / "run"
    (run / "images").mkdir(parents=True)
    (run / "images" / "ab.png").write_bytes(b"png")
    (run / "samples.jsonl").write_bytes(b"".join(lines))
    (run / "summary.json").write_text('{"n": 2, "share": 0.5, "latency": 1}')
    return run


def test_the_checks_see_what_is_lost_doubled_torn_or_left(tmp_path: Path) -> None:
    lines = [row("a") + b"\n", row("b", "engine_error") + b"\n", row("a") + b"\n", b"{half\n", b'{"sample"']
    run = folder(tmp_path, *lines)
    (run / ".lock").touch()
    (run / "images" / "ab.png").write_bytes(b"pn")
    found = checks.found(run)
    assert (found.good["a"], found.good["b"], found.errors) == (2, 0, 1)
    assert found.torn == 1 + len(lines[-1])
    assert found.images == ("ab",)
    assert found.others == (".lock",)
    assert checks.prefix(run) == b"".join(lines[:-1])


def test_the_checks_compare_everything_but_times(tmp_path: Path) -> None:
    found = checks.found(folder(tmp_path, row("a") + b"\n"))
    slower = checks.digest(json.loads(row("a", total_s=9.0)))
    other = checks.digest(json.loads(row("a", stop="ended")))
    assert found.rows["a"] == slower != other
    assert found.summary == {"n": 2, "share": 0.5}
    assert checks.difference({"a": [1, {"b": 0.1 + 0.2}]}, {"a": [1, {"b": 0.3}]}) == ""
    assert checks.difference({"a": [1, {"b": 0.31}]}, {"a": [1, {"b": 0.3}]}) == "a[1].b: 0.31 in place of 0.3"
    assert "None" in checks.difference({"a": 1}, {})


def test_a_file_of_results_is_gone_on_with_and_of_another_plan_refused(tmp_path: Path) -> None:
    head = Head(times=2, seed=1, boards=3, faults=("x", "y"))
    result = Result(number=1, fault="y", seed=5, moment=0.5, lost=1, recovery_s=2.5, problems=("gone",))
    file = tmp_path / "results.jsonl"
    Results(file, head).add(result)
    with file.open("ab") as cut_off:
        cut_off.write(b'{"number":0,"fau')
    again = Results(file, head)
    assert again.done == {1: result}
    again.add(msgspec.structs.replace(result, number=0, fault="x", lost=0, problems=()))
    assert len(Results(file, head).done) == 2
    with pytest.raises(SystemExit, match="another plan"):
        Results(file, msgspec.structs.replace(head, seed=2))


def test_the_table_says_what_was_found(tmp_path: Path) -> None:
    head = Head(times=2, seed=1, boards=125, faults=("x", "y"))
    found = [
        Result(number=0, fault="x", seed=5, moment=0.5, recovery_s=1.0, errors=3),
        Result(number=1, fault="y", seed=5, moment=0.5, lost=1, recovery_s=2.5, problems=("gone",)),
    ]
    made = table(head, found, {"z": "no gcc is here"})
    assert "| x | 1 | 0 | 0 | 3 | 1.0 s | 0 |" in made
    assert "| **all** | 2 | 1 | 0 | 3 | 2.5 s | 1 |" in made
    assert "Not made here: z (no gcc is here)." in made
    file = tmp_path / "a.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(file, made)
    put_into(file, made)
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert text.count("| x | 1 |") == 1
    assert "old" not in text
    file.write_text("no marks")
    with pytest.raises(SystemExit, match="no place"):
        put_into(file, made)


def test_the_document_has_its_table() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert BEGIN in text
    assert END in text
