"""What cannot be read or written in a report is said in one line, and the rest is there; hostile text acts nowhere."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from evalkit import Verdict
from tests.conftest import Cli
from tests.run_folders import row, write_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two sound runs in a folder."""
    write_run(tmp_path / "runs" / "a", [row(i, i < 9, calls=1) for i in range(10)], model="alpha")
    write_run(tmp_path / "runs" / "b", [row(i, i < 5) for i in range(10)], model="beta")
    return tmp_path / "runs"


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.usefixtures("runs")
def test_a_folder_of_runs_is_the_same_as_its_runs(tmp_path: Path, cli: Cli) -> None:
    said = [cli("report", *named) for named in (("runs",), ("runs/a", "runs/b"), ("runs", "runs/a"))]
    for done in said:
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert "alpha" in done.stdout
        assert "90.0% [59.6, 98.2]" in done.stdout
        assert done.stdout == said[0].stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


@pytest.mark.usefixtures("runs")
def test_a_line_for_each_file_with_its_size(tmp_path: Path, cli: Cli) -> None:
    done = cli(
        "report", "runs", "--md", "r.md", "--csv", "r.csv", "--json", "r.json", "--html", "r.html", "--figures", "f"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["r.md", "r.csv", "r.json", "f", "r.html"]
    assert lines[1].endswith(" kB")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert {file.suffix for file in (tmp_path / "f").iterdir()} == {".svg", ".pdf"}
    site = cli("report", "runs", "--html", "site", "--trajectories", "all")
    assert site.returncode == 0, site.stderr
    assert site.stdout.startswith("site/index.html: ")
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.usefixtures("runs")
def test_data_goes_to_stdout_alone(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "runs" / "c").mkdir()
    (tmp_path / "runs" / "c" / "run.json").write_text("{")
    tables = {}
    for form in ("json", "csv", "md"):
        done = cli("report", "runs", f"--{form}", "-", "--html", "r.html")
        assert done.returncode == 0, done.stderr
        tables[form] = done.stdout
        assert "r.html: " in done.stderr
        assert "warning: runs/c is left out: cannot read runs/c/run.json" in flat(done.stderr)
    tree = json.loads(tables["json"])
    frame = pd.read_csv(io.StringIO(tables["csv"]))
    measured = {one["run"]: one["accuracy"]["value"] for one in tree["boards"][0]["entries"]}
    overall = frame[(frame["figure"] == "accuracy") & frame["part"].isna()].set_index("run")["value"]
    assert overall.to_dict() == measured == {"a": 0.9, "b": 0.5}
    assert "- runs/c: cannot read" in tables["md"]


def test_what_is_no_run_is_named_and_the_rest_is_shown(tmp_path: Path, runs: Path, cli: Cli) -> None:
    write_run(tmp_path / "new", [row(1)])
    lines = (tmp_path / "new" / "samples.jsonl").read_text()
    (tmp_path / "new" / "samples.jsonl").write_text(lines.replace('"version":1', '"version":99'))
    write_run(tmp_path / "corrupt", [row(1), row(2)])
    with (tmp_path / "corrupt" / "samples.jsonl").open("a") as file:
        file.write("{broken\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "page.html").write_text("x")
    done = cli("report", "runs", "new", "corrupt", "empty", "page.html", "nowhere", "--html", "r.html")
    assert done.returncode == 0, done.stderr
    said = flat(done.stderr)
    for name, why in {
        "new": "record version 99",
        "corrupt": "samples.jsonl line 3 is corrupt",
        "empty": "is not a run folder",
        "page.html": "page.html",
        "nowhere": "is not a run folder",
    }.items():
        assert f"warning: {name} is left out: " in said
        assert why in said
    assert len(done.stderr.splitlines()) == 5
    page = (tmp_path / "r.html").read_text()
    assert "alpha" in page
    assert "record version 99" in page


def test_a_run_going_on_an_empty_one_and_one_of_errors_are_shown_with_what_to_distrust(
    tmp_path: Path, runs: Path, cli: Cli
) -> None:
    write_run(runs / "half", [row(i) for i in range(3)], expected=10, model="half")
    torn = write_run(runs / "torn", [row(i) for i in range(4)], expected=10, model="torn") / "samples.jsonl"
    torn.write_bytes(torn.read_bytes()[:-20])
    write_run(runs / "none", [], expected=10, model="none")
    write_run(runs / "errors", [row(i, Verdict.ENGINE_ERROR) for i in range(10)], model="errors")
    done = cli("report", "runs", "--md", "-", "--html", "r.html")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("| ")}
    assert rows["half, unfinished"].split("|")[2].strip() == "3 of 10"
    assert rows["torn, unfinished"].split("|")[2].strip() == "3 of 10"
    assert rows["none, unfinished"].split("|")[2].strip() == "0 of 10"
    assert rows["errors"].split("|")[3].strip() == "–"
    assert "🔴 **errors**" in done.stdout


def test_two_runs_of_one_name_are_told_apart(tmp_path: Path, runs: Path, cli: Cli) -> None:
    write_run(tmp_path / "other" / "a", [row(i) for i in range(10)], model="alpha")
    done = cli("report", "runs/a", "other/a", "--json", "-")
    names = [one["run"] for one in json.loads(done.stdout)["boards"][0]["entries"]]
    assert sorted(names) == ["other/a", "runs/a"]


@pytest.mark.parametrize("options", [(), ("--html", "r.html"), ("--json", "-")])
def test_without_a_readable_run_the_code_is_5_and_nothing_is_written(
    tmp_path: Path, cli: Cli, options: tuple[str, ...]
) -> None:
    (tmp_path / "runs").mkdir()
    done = cli("report", "runs", "nowhere", *options)
    assert done.returncode == 5
    assert done.stdout == ""
    said = done.stderr.splitlines()
    assert said[0] == "error: no run could be read"
    assert all(line.startswith("error: ") for line in said)
    assert "nowhere" in said[-1]
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "runs"),
        (("runs", "--json", "-", "--csv", "-"), "--csv - and --json -: only one"),
        (("runs", "--html", "-"), "--html -: a page is written to a file or a folder"),
        (("runs", "--html", "r.html", "--trajectories", "some"), "takes all, failures or a number"),
        (("runs", "--html", "r.html", "--trajectories", "-1"), "takes all, failures or a number"),
        (("runs", "--trajectories", "all"), "--trajectories goes with --html"),
        (("runs", "--json", "none/r.json"), "none/r.json: cannot be written"),
        (("runs", "--html", "none/r.html"), "none/r.html: cannot be written"),
        (("runs", "--md", ""), "--md needs the name of a file"),
        (("runs", "--md", "runs"), "runs: cannot be written: it is a folder"),
        (("runs", "--html", "taken/site"), "cannot be written"),
        (("runs", "--task-dir", "runs"), "no task in runs"),
        (("runs", "--rule", "lax"), "--rule"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_usage_errors_are_one_line(tmp_path: Path, cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "taken").write_text("a file")
    done = cli("report", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said.lower() in flat(done.stderr.lower())
    assert "Traceback" not in done.stderr
    assert (tmp_path / "taken").read_text() == "a file"


@pytest.mark.usefixtures("runs")
def test_charts_that_cannot_be_written_are_one_line(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "taken").write_text("a file")
    done = cli("report", "runs", "--figures", "taken")
    assert done.returncode in (2, 3)
    assert "taken" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/full").exists(), reason="/dev/full is not here")
@pytest.mark.usefixtures("runs")
def test_a_full_disk_is_one_line(cli: Cli) -> None:
    done = cli("report", "runs", "--json", "/dev/full")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No space left" in done.stderr


@pytest.mark.usefixtures("runs")
def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "r.json").write_text("old")
    done = cli("report", "runs", "--json", "r.json", file_size=1000)
    assert done.returncode == 2
    assert "r.json: cannot be written" in flat(done.stderr)
    assert (tmp_path / "r.json").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "runs"]


HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07[red]x[/red] :smile: | `</td><script>alert(1)</script> @you [l](http://h) \u202ee\u202c\\"
)


def test_hostile_text_acts_nowhere(tmp_path: Path, cli: Cli) -> None:
    for name in ("a", "b"):
        given = {"category": HOSTILE, "question": HOSTILE, "text": HOSTILE, "answered": HOSTILE}
        rows = [row(f"{i} {HOSTILE}", i < 3, calls=1, **given) for i in range(6)]
        write_run(tmp_path / name, rows, model=f"{name} {HOSTILE}", task={"name": f"t {HOSTILE}"})
    done = cli("report", "a", "b", "--md", "r.md", "--csv", "r.csv", "--json", "r.json", "--html", "r.html")
    assert done.returncode == 0, done.stderr
    shown = cli("report", "a", "b")
    assert "[red]x[/red] :smile:" in shown.stdout
    page = (tmp_path / "r.html").read_text()
    for text in (shown.stdout, shown.stderr, (tmp_path / "r.md").read_text(), page):
        assert not {"\x1b", "\x07"} & set(text)
    assert "<script>alert" not in page
    assert "](http" not in (tmp_path / "r.md").read_text().replace("\\](", "")
    tree = json.loads((tmp_path / "r.json").read_text())
    # data is data: it is there as it was
    assert tree["boards"][0]["entries"][0]["model"].endswith(HOSTILE)


def test_a_task_that_is_not_known_and_missing_images_cost_nothing_else(tmp_path: Path, runs: Path, cli: Cli) -> None:
    done = cli("report", "runs", "--json", "-")
    entry = json.loads(done.stdout)["boards"][0]["entries"][0]
    assert "numbers" in entry["own_why"]
    assert entry["accuracy"]["value"] == 0.9
