"""`evalkit show`: rows as a list, one trajectory turn by turn, and text that is seen and never obeyed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import (
    CallStatus,
    ImageFile,
    Observation,
    Outcome,
    Record,
    StopReason,
    Timing,
    ToolCall,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from evalkit.cli._show_text import LONGEST, visible
from evalkit.records import DIRECT, Shown
from tests.conftest import Cli
from tests.run_folders import row, write_run

HOSTILE = "\x1b[31mred\x1b[0m \x1b]8;;http://h\x07link [bold]b[/bold] :smile: nul\x00 \u202eevil\u202c \u200b\r over\\"


def whole(id: str, png: ImageFile, **outcome: Any) -> Record:
    """A trajectory with a call, its result, and an answer."""
    code = "crop = image_1.crop((0, 0, 8, 8))\ncrop"
    call = ToolCall(tool="python", raw="{}", status=CallStatus.OK, arguments={"code": code, "label": "k"}, seconds=0.25)
    turns = (
        Turn(
            text="I look closer.",
            finish_reason="stop",
            calls=(call,),
            observations=(Observation(text="done", images=(png,)),),
            usage=Usage(prompt_tokens=20, completion_tokens=6, image_tokens=9),
            timing=Timing(queue_s=0.5, ttft_s=0.125, decode_s=1.0, generate_s=2.0, tool_s=0.25),
            retries=2,
            shown=(Shown(origin="sample", width=40, height=30, shown_width=32, shown_height=32, tokens=9),),
        ),
        Turn(
            text="<answer>A</answer>",
            usage=Usage(prompt_tokens=30, completion_tokens=3, image_tokens=18),
            shown=(Shown(origin="python", width=8, height=8, source="image_1", box=(0, 0, 8, 8)),),
        ),
    )
    record = row(id, category="kind", cluster="board", images=(png,))
    return msgspec.structs.replace(
        record,
        trajectory=Trajectory(prompt="Please look.", stop=StopReason.ANSWERED, turns=turns, total_s=3.5),
        outcome=Outcome(verdict=Verdict.CORRECT, answer="A", reason="answer_tag", scorer="numbers/1", **outcome),
    )


def test_the_list_has_a_line_for_each_row(tmp_path: Path, cli: Cli) -> None:
    rows = [row("one", calls=2, seconds=1.5), row("two", False), row("three", Verdict.ENGINE_ERROR, seconds=None)]
    write_run(tmp_path / "r", rows)
    done = cli("show", "r")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["one", "correct", "A", "A", "2", "1.50"] in lines
    assert ["two", "incorrect", "B", "A", "0", "1.00"] in lines
    assert ["three", "engine_error", "B", "A", "0", "unknown"] in lines
    assert "3 of 3 trajectories, strict rule" in done.stdout


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--verdict", "correct"), ["0", "1"]),
        (("--verdict", "incorrect", "--verdict", "unparsed"), ["2", "3"]),
        (("--verdict", "error"), ["4"]),
        (("--category", "odd"), ["1", "3"]),
        (("--called",), ["1"]),
        (("--not-called",), ["0", "2", "3", "4"]),
        (("--limit", "2"), ["0", "1"]),
        (("--arm", "direct"), ["0"]),
        (("--arm", "all"), ["0", "0", "1", "2", "3", "4", "5"]),
        (("--rule", "official", "--verdict", "incorrect"), ["0"]),
    ],
)
def test_filters_choose_rows(tmp_path: Path, cli: Cli, options: tuple[str, ...], ids: list[str]) -> None:
    verdicts = [True, True, False, Verdict.UNPARSED, Verdict.JUDGE_ERROR]
    rows = [row(i, v, calls=i == 1, category="odd" if i % 2 else "even") for i, v in enumerate(verdicts)]
    # of a last response alone it is not known whether there was a call
    rows.append(row(5, Verdict.LIMIT_TIME, partial=True, category="even"))
    rows.append(row(0, False, arm=DIRECT, category="even"))
    rows[0] = msgspec.structs.replace(
        rows[0], outcome=msgspec.structs.replace(rows[0].outcome, official=False, official_answer="B")
    )
    write_run(tmp_path / "r", rows)
    done = cli("show", "r", *options)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if line[:1].isdecimal()] == ids


def test_a_trajectory_is_shown_turn_by_turn(tmp_path: Path, cli: Cli, png: ImageFile) -> None:
    write_run(tmp_path / "r", [whole("one", png, official=False, official_answer="B", recorded=True)])
    done = cli("show", "r", "one")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    order = [
        "category: kind",
        "cluster: board",
        f"r/images/{png.header.filename} (40 x 30",
        "What is one?",
        "right answer: 'A'",
        "Please look.",
        "turn 1: tokens 20 in, 6 out, 9 of images; queue 0.50 s, first token 0.12 s, decode 1.00 s, request 2.00 s, "
        "tools 0.25 s; finish stop; 2 retries",
        "image from sample, 40 x 30; the model gets 32 x 32, 9 tokens",
        "I look closer.",
        "call python: ok, 0.25 s",
        "crop = image_1.crop((0, 0, 8, 8))",
        "label = 'k'",
        "observation",
        "done",
        "turn 2",
        "cut from image_1 at (0, 0, 8, 8); what the model gets of it is unknown",
        "<answer>A</answer>",
        "end: answered, 3.50 s, tokens 50 in, 9 out, 27 of images",
    ]
    places = [shown.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    table = [line.split() for line in shown[places[-1] :].splitlines()]
    assert ["strict", "rule,", "numbers/1", "correct", "'A'", "answer_tag"] in table
    assert ["official", "rule", "incorrect", "'B'"] in table
    assert ["the", "recording", "correct"] in table


def test_what_nobody_measured_is_said(tmp_path: Path, cli: Cli) -> None:
    timing = Timing(generate_s=None, tool_s=None)
    call = ToolCall(tool="zoom", raw="", status=CallStatus.OK, seconds=None, arguments={"box": [1, 2]})
    record = row("one", seconds=None, tokens=None)
    turn = Turn(text="t", timing=timing, calls=(call,))
    record = msgspec.structs.replace(record, trajectory=msgspec.structs.replace(record.trajectory, turns=(turn,)))
    write_run(tmp_path / "r", [record])
    shown = cli("show", "r", "one").stdout
    for said in ("tokens unknown; times not measured", "call zoom: ok, time not measured", "end: answered, time not"):
        assert said in shown


def test_other_arms_and_repeats_are_named_and_shown_on_request(tmp_path: Path, cli: Cli) -> None:
    rows = [
        row("one", text="as agent"),
        row("one", False, arm=DIRECT, text="no tools, first"),
        row("one", arm=DIRECT, repeat=1, text="no tools, second"),
        row("two", text="of another sample"),
    ]
    write_run(tmp_path / "r", rows)
    shown = cli("show", "r", "one").stdout
    assert "as agent" in shown
    assert "no tools" not in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["direct", "0", "incorrect", "'B'", "0", "1.00"] in lines
    assert ["direct", "1", "correct", "'A'", "0", "1.00"] in lines
    shown = cli("show", "r", "one", "--arm", "direct").stdout
    assert shown.index("no tools, first") < shown.index("no tools, second")
    shown = cli("show", "r", "one", "--arm", "all").stdout
    assert shown.index("as agent") < shown.index("no tools, first")
    assert "of another sample" not in shown


def test_a_sample_without_the_agents_arm_shows_what_there_is(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "r", [row("one", arm=DIRECT, text="no tools")])
    done = cli("show", "r", "one")
    assert done.returncode == 0
    assert "no tools" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("r", "board-1X"), "nearest: board-11, board-10"),
        (("r", "--verdict", "corect"), "nearest: correct"),
        (("r", "--category", "kin"), "nearest: kind"),
        (("r", "--arm", "direkt"), "unknown arm"),
        (("r", "board-10", "--arm", "direct"), "unknown arm of this sample"),
        (("r", "board-10", "--called"), "--called choose rows of a list"),
        (("nowhere",), "not a run folder"),
        (("empty",), "no finished trajectory yet"),
        (("empty", "x"), "no finished trajectory yet"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    write_run(tmp_path / "r", [row("board-10", category="kind"), row("board-11", category="kind")])
    write_run(tmp_path / "empty", [])
    done = cli("show", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_hostile_text_is_seen_and_not_obeyed(tmp_path: Path, cli: Cli, png: ImageFile) -> None:
    call = ToolCall(
        tool=HOSTILE,
        raw=HOSTILE,
        status=CallStatus.FAILED,
        arguments={"code": HOSTILE, HOSTILE: HOSTILE},
        error=HOSTILE,
    )
    malformed = ToolCall(tool="", raw=HOSTILE, status=CallStatus.MALFORMED)
    turn = Turn(
        text=HOSTILE,
        finish_reason=HOSTILE,
        calls=(call, malformed),
        observations=(Observation(text=HOSTILE),),
        shown=(Shown(origin=HOSTILE, width=1, height=1, source=HOSTILE),),
    )
    record = row(HOSTILE, question=HOSTILE, answer=HOSTILE, category=HOSTILE, cluster=HOSTILE, metadata={"x": HOSTILE})
    record = msgspec.structs.replace(
        record,
        trajectory=Trajectory(prompt=HOSTILE + "?", stop=StopReason.ENDED, turns=(turn,), error=HOSTILE),
        outcome=Outcome(
            verdict=Verdict.UNPARSED, answer=HOSTILE, reason=HOSTILE, scorer=HOSTILE, official_answer=HOSTILE
        ),
    )
    write_run(tmp_path / "r", [record, row("two", arm=HOSTILE)], model=HOSTILE)
    for arguments in (("r", HOSTILE.replace("\x00", "")), ("r",), ("r", "--arm", "all")):
        done = cli("show", *arguments, FORCE_COLOR="")
        assert not {"\x1b", "\x07", "\x00", "\u202e", "\u202c", "\u200b", "\r"} & set(done.stdout + done.stderr)


def test_a_hostile_trajectory_is_shown_whole_under_a_plain_id(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "r", [row("one", text=HOSTILE, question=HOSTILE, answer=HOSTILE)])
    done = cli("show", "r", "one", COLUMNS="300")
    assert done.returncode == 0, done.stderr
    seen = (
        "\\x1b[31mred\\x1b[0m \\x1b]8;;http://h\\x07link [bold]b[/bold] :smile: "
        "nul\\x00 \\u202eevil\\u202c \\u200b\\x0d over\\"
    )
    # the question and the response
    assert done.stdout.count(seen) == 2
    assert not set("\x1b\x07\x00\u202e\r") & set(done.stdout)


@given(st.text(max_size=80))
def test_visible_text_has_nothing_but_printable_characters_and_line_breaks(text: str) -> None:
    shown = visible(text)
    assert all(character == "\n" or character.isprintable() for character in shown)
    shown.encode("utf-8")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=80))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_lone_surrogates_and_lines_are_kept_apart() -> None:
    assert visible("a\ud800b\r\nc\td\u2028e") == "a\\ud800b\nc    d\\u2028e"


def test_long_texts_are_cut_unless_asked_for(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "r", [row("one", text="x" * (LONGEST + 1000) + "the end")])
    cut = cli("show", "r", "one").stdout
    assert "1,007 characters more (--full shows all)" in cut
    assert "the end" not in cut
    assert "the end" in cli("show", "r", "one", "--full").stdout


def test_an_image_that_is_gone_is_said(tmp_path: Path, cli: Cli, png: ImageFile) -> None:
    run = write_run(tmp_path / "r", [whole("one", png)])
    (run / "images" / png.header.filename).unlink()
    assert "MISSING" in cli("show", "r", "one").stdout


@pytest.mark.parametrize("columns", ["80", "140"])
def test_the_list_fits_the_terminal_with_times_and_calls(tmp_path: Path, cli: Cli, columns: str) -> None:
    ids = [f"a_category_name/image_{i}" for i in range(4)]
    rows = [
        row(id, Verdict.UNPARSED, calls=3, seconds=12.25, answered="a long answer " * 9, category=f"category {i % 2}")
        for i, id in enumerate(ids)
    ]
    write_run(tmp_path / "r", rows)
    lines = cli("show", "r", COLUMNS=columns).stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)
    mine = [line.split() for line in lines if line.startswith("a_category_name")]
    assert [line[0] for line in mine] == ids
    assert [line[-2:] for line in mine] == [["3", "12.25"]] * 4
