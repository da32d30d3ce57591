"""A judge is measured, and its errors come off the accuracy; what is of another judge, or half done, does not count."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.conftest import Cli
from tests.engines.openai_server import said
from tests.judges import PROSE, good, judge_server, mathvista, predictions

CALIBRATE = ("judge", "calibrate", "--judge-concurrency", 32)
TABLE = ("score", "--task", "mathvista", "--data", "sample", "--out", "out")


def ruled(body: dict[str, Any]) -> Any:
    """A judge that finds the last word of short replies, and calls half of all replies right when it compares."""
    system, text = (message["content"] for message in body["messages"][:2])
    if any(response in text for response in PROSE.values()):
        return good(body)
    if '"verdict"' in system:
        return said(json.dumps({"verdict": "correct" if len(text) % 2 else "unclear"}))
    reply = text.split("[REPLY ")[1].split("]\n", 1)[1].split("\n[/REPLY")[0]
    letters = [letter for letter in "ABCD" if f"{letter}: " in text]
    found = next((letter for letter in letters if f" {letter}" in reply), None) if letters else reply[-30:].strip()
    plain = found if found and found.isprintable() and "<" not in found and "\\" not in found else None
    return said(json.dumps({"quote": plain, "answer": plain}))


def run_of(tmp_path: Path) -> Path:
    return next(folder for folder in (tmp_path / "out").iterdir() if folder.is_dir())


def test_measured_then_taken_off_the_accuracy(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    with judge_server(ruled) as server:
        made = cli(*CALIBRATE, "--judge-url", server.url, "--out", file)
        assert made.returncode == 0, made.stdout + made.stderr
        written = json.loads(file.read_text())
        asked = len(server.bodies)
        answers = predictions(tmp_path / "answers.jsonl")
        done = cli(*TABLE, "--predictions", answers, "--judge-url", server.url, "--judge-calibration", file)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(server.bodies) == asked + len(PROSE)
        again = cli(*CALIBRATE, "--judge-url", server.url, "--out", file)
        assert again.returncode == 0
    for words in ("extraction", "equivalence", "agreement", "Cohen's kappa", "false right", "false wrong"):
        assert words in made.stdout
    assert "talked round by the response" in made.stdout
    assert "judge: 0 asked" not in made.stderr
    # what could not be read is asked again; nothing else is
    assert f"{asked} asked" not in again.stderr
    run = run_of(tmp_path)
    judged = json.loads((run / "summary.json").read_text())["judged"]
    assert (judged["decided"], judged["right"], judged["undecided"]) == (4, 3, 0)
    report = (run / "report.md").read_text()
    rows = len(list(mathvista().samples()))
    for text in (done.stdout, report):
        assert f"4 of {rows} rows, 3 right" in text
        assert "accuracy, corrected for the judge" in text
        assert f"{(rows - 4) / rows:.1%} to 100.0%" in text
    kept = json.loads((run / "run.json").read_text())["calibration"]
    assert kept == written
    # a later scoring without the file knows it still
    later = cli("score", run)
    assert later.returncode == 0
    assert "accuracy, corrected for the judge" in later.stdout
    assert json.loads((run / "summary.json").read_text())["judged"] == judged
    page = cli("report", run, "--html", "page.html")
    assert page.returncode == 0, page.stderr
    assert f"4 of {rows} verdicts are a judge" in (tmp_path / "page.html").read_text()


def test_of_another_judge_it_is_refused_before_any_row_is_judged(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    with judge_server(ruled) as server:
        assert cli(*CALIBRATE, "--judge-url", server.url, "--out", file).returncode == 0
        answers = predictions(tmp_path / "answers.jsonl")
        plain = cli(*TABLE, "--predictions", answers)
        assert plain.returncode == 0
        run = run_of(tmp_path)
        before = (run / "samples.jsonl").read_bytes()
        nobody = cli("score", run, "--judge-calibration", file)
        server.card["id"] = "another"
        asked = len(server.bodies)
        other = cli("score", run, "--judge-url", server.url, "--judge-calibration", file)
        assert len(server.bodies) == asked
    assert (nobody.returncode, other.returncode) == (2, 2)
    assert "the run has no judge" in nobody.stderr
    assert "is of another judge (m) than the run's (another)" in other.stderr
    assert (run / "samples.jsonl").read_bytes() == before
    for done in (nobody, other):
        assert len(done.stderr.strip().splitlines()) == 1


def test_options_that_do_not_go_together(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    cases = [
        (("run", "-t", "mathvista", "--judge-calibration", file), "--judge-calibration goes with --judge-url"),
        (("score", tmp_path, "--diff", "--judge-calibration", file), "changes no verdict"),
        (("score", tmp_path, "--judge-calibration", file), "cannot read the calibration"),
        ((*CALIBRATE, "--judge-url", "http://127.0.0.1:9", "--labels", file), "cannot read the labels"),
    ]
    for arguments, words in cases:
        done = cli(*arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_judge_out_of_reach_is_no_measurement_and_the_rest_is_asked_later(cli: Cli, tmp_path: Path) -> None:
    count, lock = 0, threading.Lock()

    def flaky(body: dict[str, Any]) -> Any:
        nonlocal count
        with lock:
            count += 1
            gone = count % 100 == 50
        return web.json_response({"error": {"message": "bad luck"}}, status=400) if gone else ruled(body)

    file = tmp_path / "c.json"
    with judge_server(flaky) as server:
        first = cli(*CALIBRATE, "--judge-url", server.url, "--out", file)
        assert first.returncode == 3, first.stdout + first.stderr
        assert not file.exists()
        server.reply = ruled
        second = cli(*CALIBRATE, "--judge-url", server.url, "--out", file)
    assert "found the judge unavailable" in first.stdout
    assert second.returncode == 0, second.stdout
    assert file.exists()


def test_a_judge_that_answers_in_prose_is_all_unparsable_and_none_is_lost(cli: Cli, tmp_path: Path) -> None:
    with judge_server(lambda body: said("Ja, das stimmt wohl. CORRECT, or INCORRECT?")) as server:
        done = cli(*CALIBRATE, "--judge-url", server.url, "--out", tmp_path / "c.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "c.json").read_text())
    rows = found["labels"]["rows"] - found["labels"]["left_out"]
    for one in found["measured"].values():
        assert sum(row["unparsable"] for row in one["counts"].values()) == rows
        assert all(set(row) == {"unparsable"} for row in one["counts"].values())
