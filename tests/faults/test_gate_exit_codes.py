"""Every exit code of `evalkit gate`, reached by the real command line on real run folders."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from evalkit import Record, Verdict
from tests.conftest import Cli
from tests.run_folders import row, write_run

ENOUGH = 500
"""Samples with which the default rules can tell that nothing changed."""
HOSTILE = "\x1b[31m\n::error::mine\n##[error]mine</failure><script>|@me [red]m[/red]"


@pytest.fixture(autouse=True)
def _outside_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may themselves run in GitHub Actions."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def rows(count: int = ENOUGH, wrong: Iterable[int] = (), calls: Iterable[int] = ()) -> list[Record]:
    lost, called = set(wrong), set(calls)
    return [row(i, i not in lost, calls=int(i in called)) for i in range(count)]


def every(step: int, count: int = ENOUGH) -> range:
    return range(0, count, step)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A baseline: nine of ten right, every other one with a call."""
    return write_run(tmp_path / "main", rows(wrong=every(10), calls=every(2)))


def gates(folder: Path) -> dict[str, dict[str, str]]:
    """The checks of gate.json by rule."""
    whole = json.loads((folder / "gate.json").read_text())
    return {check["rule"]: check for gate in whole["gates"] for check in gate["checks"]}


def test_0_where_nothing_got_worse(tmp_path: Path, cli: Cli, main: Path) -> None:
    write_run(tmp_path / "new", rows(wrong=every(10), calls=every(2)))
    done = cli("gate", "new", "--baseline", "main", "--json", "gate.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-2] == "PASS (exit code 0): of 3 checks 3 passed"
    assert [check["status"] for check in gates(tmp_path).values()] == ["pass"] * 3


def test_1_where_accuracy_fell(tmp_path: Path, cli: Cli, main: Path) -> None:
    write_run(tmp_path / "new", rows(wrong={*every(10), *every(9)}, calls=every(2)))
    files = ("--json", "gate.json", "--junit", "gate.xml", "--md", "gate.md")
    done = cli("gate", "new", "--baseline", "main", *files)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL (exit code 1): of 3 checks 1 failed, 2 passed" in done.stdout
    assert "50 right -> wrong" in done.stdout
    assert "and 42 more, in --json" in done.stdout
    assert json.loads((tmp_path / "gate.json").read_text())["exit_code"] == 1
    suite = Xml.parse(tmp_path / "gate.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    assert "| ❌ fail |" in (tmp_path / "gate.md").read_text()


def test_1_where_calls_rose_and_accuracy_did_not_fall(tmp_path: Path, cli: Cli, main: Path) -> None:
    write_run(tmp_path / "new", rows(wrong=every(10), calls=every(1)))
    done = cli("gate", "new", "--baseline", "main", "--json", "gate.json")
    assert done.returncode == 1, done.stdout
    assert {rule: check["status"] for rule, check in gates(tmp_path).items()} == {
        "accuracy:noninferior:1pt": "pass",
        "tool_rate:max:+5pt": "fail",
        "errors:max:1%": "pass",
    }


def test_1_and_not_4_where_one_check_fails_and_another_cannot_tell(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "main", rows(40))
    write_run(tmp_path / "new", rows(40, calls=every(1, 40)))
    done = cli("gate", "new", "--baseline", "main")
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 inconclusive, 1 passed" in done.stdout


HELD = ("main", "--baseline", "main")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("main",), "--baseline"),
        (("main", "--baseline", "nowhere"), "no such run folder or file"),
        (("main", "--baseline", "newer.json.gz"), "update evalkit"),
        (("main", "--baseline", "other"), "--allow-different task"),
        (("nowhere", "--baseline", "main"), "not a run folder"),
        ((*HELD, "--fail", "acuracy:noninferior:1pt"), "nearest: accuracy"),
        ((*HELD, "--fail", "accuracy:noninferior"), "metric:kind:limit"),
        ((*HELD, "--fail", "calls:max:2", "--fail", "calls:max:3"), "contradict each other"),
        ((*HELD, "--config", "wrong.toml"), "nearest: fail"),
        ((*HELD, "--allow-different", "jugde"), "nearest: judge"),
        ((*HELD, "--confidence", "95"), "0.95"),
        ((*HELD, "--json", "-", "--md", "-"), "only one can go to the terminal"),
    ],
)
def test_2_where_the_question_cannot_be_asked(
    tmp_path: Path, cli: Cli, main: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_run(tmp_path / "other", rows(40), task={"name": "letters"})
    newer = {"format": "evalkit-baseline", "version": 99, "evalkit": "9.0.0"}
    (tmp_path / "newer.json.gz").write_bytes(gzip.compress(json.dumps(newer).encode()))
    (tmp_path / "wrong.toml").write_text('[gate]\nfails = ["accuracy:noninferior:1pt"]\n')
    done = cli("gate", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_2_where_a_file_cannot_be_written_and_the_verdict_is_shown_all_the_same(cli: Cli, main: Path) -> None:
    done = cli("gate", "main", "--baseline", "main", "--junit", "nowhere/gate.xml")
    assert done.returncode == 2
    assert "PASS (exit code 0)" in done.stdout
    assert "--junit nowhere/gate.xml: cannot be written: No such file or directory" in done.stderr


def test_3_where_errors_hide_what_happened(tmp_path: Path, cli: Cli, main: Path) -> None:
    broken = [row(i, Verdict.ENGINE_ERROR if i < 10 else i % 10 > 0, calls=int(i % 2 == 0)) for i in range(ENOUGH)]
    write_run(tmp_path / "new", broken)
    done = cli("gate", "new", "--baseline", "main", "--junit", "gate.xml")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "ERROR (exit code 3)" in done.stdout
    assert Xml.parse(tmp_path / "gate.xml").getroot().get("errors") == "1"
    allowed = cli("gate", "new", "--baseline", "main", "--fail", "errors:max:2%")
    assert allowed.returncode == 0, allowed.stdout


def test_4_where_20_samples_cannot_tell_with_how_many_could(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "main", rows(20))
    write_run(tmp_path / "new", rows(20))
    done = cli("gate", "new", "--baseline", "main", "--json", "gate.json", "--junit", "gate.xml")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "samples would be enough" in " ".join(done.stdout.split())
    assert int(gates(tmp_path)["accuracy:noninferior:1pt"]["needed"]) > 20
    suite = Xml.parse(tmp_path / "gate.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "2")


def test_5_where_nothing_was_evaluated(tmp_path: Path, cli: Cli, main: Path) -> None:
    write_run(tmp_path / "new", [], expected=ENOUGH)
    done = cli("gate", "new", "--baseline", "main")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "nothing was evaluated" in done.stderr


def test_an_archived_baseline_decides_as_its_run_does(tmp_path: Path, cli: Cli, main: Path) -> None:
    saved = cli("baseline", "save", "main", "main.json.gz")
    assert saved.returncode == 0, saved.stderr
    assert saved.stdout.startswith("baseline: main.json.gz (")
    write_run(tmp_path / "new", rows(wrong={*every(10), *every(9)}, calls=every(2)))
    found = []
    for baseline in ("main", "main.json.gz"):
        done = cli("gate", "new", "--baseline", baseline, "--json", "-")
        assert done.returncode == 1
        found.append(json.loads(done.stdout)["gates"][0])
    assert found[0]["checks"] == found[1]["checks"]
    assert [flip["id"] for flip in found[0]["flips"]] == [flip["id"] for flip in found[1]["flips"]]
    assert found[1]["baseline_kind"] == "archive"


@pytest.mark.parametrize("arguments", [("save", "nowhere", "f"), ("save", "main"), ("drop", "main", "f")])
def test_a_baseline_that_cannot_be_saved_is_2(cli: Cli, main: Path, arguments: tuple[str, ...]) -> None:
    done = cli("baseline", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_rules_of_the_folder_hold_unless_the_command_line_gives_some(tmp_path: Path, cli: Cli, main: Path) -> None:
    (tmp_path / "evalkit.toml").write_text('[gate]\nfail = ["calls:max:0.1"]\n')
    done = cli("gate", "main", "--baseline", "main")
    assert done.returncode == 1, done.stdout
    assert done.stderr == "rules: evalkit.toml\n"
    own = cli("gate", "main", "--baseline", "main", "--fail", "calls:max:0.9")
    assert own.returncode == 0, own.stdout
    assert own.stderr == ""
    both = cli("gate", "main", "--baseline", "main", "--fail", "tool_rate:max:90%", "--config", "evalkit.toml")
    assert both.returncode == 1
    assert "of 3 checks 1 failed, 2 passed" in both.stdout


def test_an_allowed_difference_is_recorded(tmp_path: Path, cli: Cli, main: Path) -> None:
    write_run(tmp_path / "new", rows(wrong=every(10), calls=every(2)), task={"version": 2})
    refused = cli("gate", "new", "--baseline", "main")
    assert refused.returncode == 2
    assert "--allow-different version" in refused.stderr
    files = ("--json", "gate.json", "--junit", "gate.xml", "--md", "gate.md")
    done = cli("gate", "new", "--baseline", "main", "--allow-different", "version", *files)
    assert done.returncode == 0, done.stderr
    assert "COMPARED ALL THE SAME, version" in done.stdout
    for file in ("gate.json", "gate.xml", "gate.md"):
        assert "versions differ" in (tmp_path / file).read_text()


def hostile_rows(right: bool) -> list[Record]:
    first = row(HOSTILE, right, answered=HOSTILE, category=HOSTILE, answer=HOSTILE)
    return [first, *rows()[1:]]


def test_hostile_ids_and_answers_act_nowhere(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "main", hostile_rows(True))
    write_run(tmp_path / "new", hostile_rows(False))
    files = ("--json", "gate.json", "--junit", "gate.xml", "--md", "gate.md")
    done = cli("gate", "new", "--baseline", "main", *files, GITHUB_ACTIONS="true")
    assert done.returncode in (0, 4), done.stderr
    lines = done.stdout.splitlines()
    word = lines[0].removeprefix("::stop-commands::")
    assert len(word) >= 32
    end = lines.index(f"::{word}::")
    assert "mine" in done.stdout
    for line in lines[end + 1 :]:
        assert line.startswith(("::warning title=evalkit gate", "json: ", "junit: ", "md: "))
    for name in ("gate.xml", "gate.md"):
        text = (tmp_path / name).read_text()
        assert "\x1b" not in text
        assert "<script>" not in text
    Xml.parse(tmp_path / "gate.xml")
    flips = json.loads((tmp_path / "gate.json").read_text())["gates"][0]["flips"]
    assert flips[0]["id"] == HOSTILE


def test_actions_gets_annotations_and_a_summary_that_is_added_to(tmp_path: Path, cli: Cli, main: Path) -> None:
    write_run(tmp_path / "new", rows(wrong=every(10), calls=every(1)))
    summary = tmp_path / "summary.md"
    summary.write_text("what an earlier command wrote\n")
    place = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = cli("gate", "new", "--baseline", "main", "--md", summary, **place)
    assert done.returncode == 1
    said = [line for line in done.stdout.splitlines() if line.startswith("::error")]
    assert len(said) == 1
    assert "tool_rate%3Amax%3A+5pt FAIL" in said[0]
    assert summary.read_text().startswith("what an earlier command wrote\n## evalkit gate: FAIL")
    other = cli("gate", "new", "--baseline", "nowhere", **place)
    assert other.returncode == 2
    assert other.stderr.startswith("::error title=evalkit gate::baseline nowhere")
    plain = cli("gate", "new", "--baseline", "main")
    assert "::" not in plain.stdout


def test_one_format_alone_can_go_to_the_terminal(cli: Cli, main: Path) -> None:
    done = cli("gate", "main", "--baseline", "main", "--md", "-", GITHUB_ACTIONS="true")
    assert done.stdout.startswith("## evalkit gate: PASS")
    assert "::" not in done.stdout


def test_explain_says_what_can_be_shown_before_anything_is_run(tmp_path: Path, cli: Cli, main: Path) -> None:
    done = cli("gate", "--explain", "--baseline", "main", "--samples", 800, "--json", "power.json")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "numbers: a run against main, 800 samples" in said
    assert "accuracy:noninferior:1pt samples 800" in said
    assert "seen 80% of the time" in said
    assert "errors are counted" in said
    found = json.loads((tmp_path / "power.json").read_text())
    assert [rule["rule"] for rule in found["rules"]][:2] == ["accuracy:noninferior:1pt", "tool_rate:max:+5pt"]
    assert cli("gate", "--explain", "--baseline", "main", "--json", "-").stdout.startswith("{")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "main"), "name its folder"),
        (("main", "--baseline", "main", "--samples", "9"), "--samples does nothing without --explain"),
        (("--baseline", "main", "--explain", "--md", "f"), "--md does nothing with --explain"),
        (("--baseline", "main", "--explain", "--junit", "-"), "--junit does nothing with --explain"),
        (("other", "--baseline", "main", "--explain"), "is a run of letters"),
    ],
)
def test_explain_and_gate_are_told_apart(
    tmp_path: Path, cli: Cli, main: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_run(tmp_path / "other", rows(4), task={"name": "letters"})
    done = cli("gate", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert done.stdout == ""
