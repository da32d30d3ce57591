"""What a gate prints and writes: every check in every form, and hostile text that acts in none of them."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from evalkit import ExitCode
from evalkit.analysis.figure import Figure
from evalkit.analysis.flips import RIGHT_TO_WRONG, WRONG_TO_RIGHT, Flip
from evalkit.gate.output import (
    as_annotations,
    as_json,
    as_junit,
    as_markdown,
    command,
    commands_stopped,
    for_terminal,
    in_actions,
    outcome_of,
)
from evalkit.gate.output.annotations import SHOWN
from evalkit.gate.result import SCHEMA, CheckResult, GateResult, Status

HOSTILE = (
    "\x1b[31m\x00\x08\ufffe\r\n::error::mine\n##[error]mine]]></failure><script>alert(1)</script> "
    "| cell | @someone #1 [red]m[/red] [a](http://b.c) `code` %0A é"
)


def check(status: Status = Status.PASS, **fields: Any) -> CheckResult:
    known = {
        "rule": "accuracy:noninferior:1pt",
        "metric": "accuracy",
        "task": "numbers",
        "why": "the loss is below 1 point",
        "baseline": Figure(value=0.9, n=200),
        "new": Figure(value=0.888, n=200),
        "difference": Figure(value=-0.012, low=-0.05, high=0.004, n=200),
    }
    return CheckResult(status=status, **{**known, **fields})


def flip(id: str, answer: str | None = "B", direction: str = RIGHT_TO_WRONG) -> Flip:
    return Flip(
        id=id,
        category="",
        direction=direction,
        expected="A",
        old_answer="A",
        old_verdict="correct",
        old_reason="answer_tag",
        new_answer=answer,
        new_verdict="incorrect",
        new_reason="letter",
    )


def gate(*checks: CheckResult, **fields: Any) -> GateResult:
    known = {
        "schema": SCHEMA,
        "task": "numbers",
        "new": "runs/new",
        "new_model": "m2",
        "baseline": "runs/main",
        "baseline_kind": "run",
        "baseline_model": "m1",
        "confidence": 0.95,
        "exit_code": ExitCode.OK,
    }
    return GateResult(checks=checks, **{**known, **fields})


ALL = gate(
    check(p=0.4, p_adjusted=0.4, default=True),
    check(
        Status.FAIL, rule="tool_rate:max:+5pt", metric="tool_rate", why="up by more than 5 points", p_adjusted=0.0002
    ),
    check(Status.INCONCLUSIVE, rule="accuracy:noninferior:1pt", category="hard", why="900 samples would be enough"),
    check(Status.ERROR, rule="errors:max:1%", metric="errors", baseline=None, difference=None, why="3 of 200 rows"),
    exit_code=ExitCode.INFRASTRUCTURE,
    overrides=("judge: a, b",),
    notes=("the machines differ",),
    flips=(*(flip(f"s{i}") for i in range(120)), flip("back", direction=WRONG_TO_RIGHT)),
)


def terminal(*results: GateResult, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, emoji=False).print(for_terminal(results))
    return out.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def junit(*results: GateResult) -> Xml.Element:
    return Xml.fromstring(as_junit(results))


def follows_the_junit_rules(root: Xml.Element) -> None:
    """The schema that Jenkins publishes: names, order, counts."""
    assert root.tag == "testsuites"
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in root:
        assert suite.tag == "testsuite"
        assert suite.get("name")
        assert [part.tag for part in suite if part.tag != "testcase"] == ["properties", "system-out"]
        assert [suite[0].tag, suite[-1].tag] == ["properties", "system-out"]
        assert all(set(part.attrib) == {"name", "value"} for part in suite[0])
        cases = suite.findall("testcase")
        found = {"tests": len(cases)}
        for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found[name] = len(suite.findall(f"testcase/{element}"))
        assert {name: int(suite.attrib[name]) for name in totals} == found
        totals = {name: totals[name] + found[name] for name in totals}
        assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
        for case in cases:
            assert set(case.attrib) == {"classname", "name"}
            tags = [part.tag for part in case]
            assert tags in (["system-out"], ["skipped", "system-out"], ["failure"], ["error"])
            for part in case:
                assert set(part.attrib) <= {"message", "type"}
    assert {name: int(root.attrib[name]) for name in totals} == totals


def test_the_terminal_shows_every_check_with_its_reason_and_what_flipped() -> None:
    shown = terminal(ALL)
    said = flat(shown)
    assert "numbers: runs/new, m2 against runs/main, m1" in said
    assert "COMPARED ALL THE SAME, judge: a, b" in said
    assert "note: the machines differ" in said
    assert "no rule was given" not in said
    assert "no rule was given: evalkit's own" in flat(terminal(gate(check(default=True))))
    assert "p one-sided, by Holm over 2 tests: accuracy:noninferior:1pt 0.400, tool_rate:max:+5pt <.001" in said
    assert "accuracy:noninferior:1pt 90.0% 88.8% -1.2 pt (-5.0 to +0.4) PASS" in said
    assert "FAIL tool_rate:max:+5pt: up by more than 5 points" in said
    assert "INCONCLUSIVE accuracy:noninferior:1pt [hard]: 900 samples would be enough" in said
    assert "ERROR errors:max:1%: 3 of 200 rows" in said
    assert "120 right -> wrong" in said
    assert "s7 (right: 'A'): 'A' (answer_tag) -> 'B' (letter)" in said
    assert "s8 " not in said
    assert "and 112 more, in --json" in said
    assert "1 wrong -> right" in said
    last = shown.rstrip().splitlines()[-1]
    assert last == "ERROR (exit code 3): of 4 checks 1 failed, 1 ended in an error, 1 inconclusive, 1 passed"


def test_the_terminal_keeps_to_a_narrow_width() -> None:
    assert max(map(len, terminal(ALL, width=80).splitlines())) <= 80


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"unit": "seconds", "new": Figure(value=1.5), "baseline": Figure(value=1.25)}, "1.25 s 1.50 s"),
        ({"relative": True, "difference": Figure(value=0.2, low=0.1, high=0.31)}, "+20.0 % (+10.0 to +31.0)"),
        ({"unit": "seconds", "difference": Figure(value=0.25)}, "+0.250 s PASS"),
        ({"difference": Figure(value=-0.00001)}, " 0.0 pt PASS"),
        ({"new": Figure(why="no row was scored")}, "90.0% not available"),
        ({"unit": "count", "new": Figure(value=812.4), "baseline": Figure(value=1310.0)}, "1310 812"),
    ],
)
def test_numbers_are_shown_in_their_unit(fields: dict[str, Any], shown: str) -> None:
    assert shown in flat(terminal(gate(check(**fields))))


def test_junit_has_a_case_for_each_check() -> None:
    root = junit(ALL, gate(check(), check(), task="letters"))
    follows_the_junit_rules(root)
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["6", "1", "1", "1"]
    cases = root[0].findall("testcase")
    assert [case.get("name") for case in cases] == [
        "accuracy:noninferior:1pt",
        "tool_rate:max:+5pt",
        "accuracy:noninferior:1pt [hard]",
        "errors:max:1%",
    ]
    assert [case[0].tag for case in cases] == ["system-out", "failure", "skipped", "error"]
    assert cases[1][0].get("message") == "FAIL: up by more than 5 points"
    assert "difference: -1.2 pt (-5.0 to +0.4)" in str(cases[1][0].text)
    assert cases[2][0].get("message") == "INCONCLUSIVE: 900 samples would be enough"
    assert "and 20 more, in --json" in str(root[0][-1].text)
    # a rule that is checked twice is two cases
    assert [case.get("name") for case in root[1].findall("testcase")][1] == "accuracy:noninferior:1pt (2)"


def test_markdown_is_a_table_with_the_flips_folded_away() -> None:
    text = as_markdown([ALL])
    assert text.startswith("## evalkit gate: ERROR (exit code 3): ")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 4
    assert rows[2] == (
        "| tool\\_rate:max:+5pt | 90.0% | 88.8% | -1.2 pt (-5.0 to +0.4) | ❌ fail | up by more than 5 points |"
    )
    assert "<details><summary>120 right to wrong</summary>" in text
    assert "- and 100 more, in --json" in text


def test_json_holds_everything() -> None:
    whole = json.loads(as_json([ALL]))
    assert (whole["schema"], whole["exit_code"], len(whole["gates"])) == (SCHEMA, 3, 1)
    assert len(whole["gates"][0]["flips"]) == 121
    assert whole["gates"][0]["checks"][1]["status"] == "fail"


def test_annotations_are_errors_and_warnings_of_what_has_not_passed() -> None:
    lines = as_annotations([ALL])
    assert [line.split(" ")[0] for line in lines] == ["::error", "::error", "::warning"]
    assert lines[0] == (
        "::error title=evalkit gate%2C numbers%3A tool_rate%3Amax%3A+5pt FAIL::up by more than 5 points"
        "%0Adifference -1.2 pt (-5.0 to +0.4)%0Aruns/new vs runs/main"
    )
    many = as_annotations([gate(*[check(Status.FAIL)] * 25, check(Status.INCONCLUSIVE))])
    assert len(many) == SHOWN + 1
    assert many[SHOWN - 1] == "::error title=evalkit gate::16 more, in the log of this step"
    assert as_annotations([gate(check())]) == []
    assert in_actions({"GITHUB_ACTIONS": "true"})
    assert not in_actions({"CI": "true"})


def test_a_gate_without_a_check_says_so() -> None:
    assert outcome_of([gate(exit_code=ExitCode.NOTHING_EVALUATED)]) == (
        "NOTHING EVALUATED (exit code 5): no check was made"
    )


def test_the_worst_of_several_gates_speaks_for_all() -> None:
    red = gate(check(Status.FAIL), exit_code=ExitCode.REGRESSION)
    yellow = gate(check(Status.INCONCLUSIVE), exit_code=ExitCode.INCONCLUSIVE)
    assert outcome_of([yellow, red]) == "FAIL (exit code 1): of 2 checks 1 failed, 1 inconclusive"


def hostile(text: str) -> GateResult:
    return gate(
        check(Status.FAIL, why=text, category=text),
        check(Status.INCONCLUSIVE, why=text, rule=text),
        task=text,
        new=text,
        new_model=text,
        baseline_model=text,
        notes=(text,),
        overrides=(text,),
        flips=(flip(text, text), flip(f"{text}2", None)),
    )


def acts_nowhere(result: GateResult) -> None:
    follows_the_junit_rules(junit(result))
    for text in (terminal(result), as_markdown([result]), *as_annotations([result]), as_junit([result])):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", text)
    for line in as_annotations([result]):
        assert "\n" not in line
        assert re.match(r"::(error|warning) title=[^:,]*::", line)
    markdown = as_markdown([result])
    for mark in "<>":
        kept = re.sub(r"\\.|</?details>|</?summary>|^> ", "", markdown, flags=re.MULTILINE)
        assert mark not in kept
    # every row of the table has its six cells
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {7}


def test_hostile_text_acts_nowhere() -> None:
    result = hostile(HOSTILE)
    acts_nowhere(result)
    assert "@someone" not in as_markdown([result])
    assert "http://" not in as_markdown([result])
    assert "[red]m[/red]" in flat(terminal(result))
    assert json.loads(as_json([result]))["gates"][0]["flips"][0]["new_answer"] == HOSTILE


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_text_breaks_any_output(text: str) -> None:
    acts_nowhere(hostile(text))
    as_json([hostile(text)])


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_workflow_command_is_one_line_whose_message_reads_back(title: str, message: str) -> None:
    line = command("error", title, message)
    assert not {"\n", "\r"} & set(line)
    found = re.fullmatch(r"::error title=([^:,]*)::(.*)", line, re.DOTALL)
    assert found is not None
    # as the runner undoes it
    assert found[2].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%") == message


def test_nothing_acts_between_stop_commands_and_a_word_that_nobody_can_know() -> None:
    lines: list[str] = []
    for _ in range(2):
        with commands_stopped(lines.append):
            lines.append("::error::mine")
    tokens = [line.removeprefix("::stop-commands::") for line in lines[::3]]
    assert lines[2::3] == [f"::{token}::" for token in tokens]
    assert len(set(tokens)) == 2
    assert min(map(len, tokens)) >= 32


def test_commands_act_again_after_an_error() -> None:
    lines: list[str] = []
    with pytest.raises(KeyError), commands_stopped(lines.append):
        raise KeyError
    assert lines[1] == f"::{lines[0].removeprefix('::stop-commands::')}::"
