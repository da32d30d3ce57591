"""Tool use counted evalkit's way and every author's way, on trajectories whose counts are known by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from evalkit import (
    CallStatus,
    ImageFile,
    Observation,
    Outcome,
    Record,
    Sample,
    StopReason,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
)
from evalkit.analysis.counting import DEFINITIONS, counting
from evalkit.analysis.frames import RunFrames, frames_of
from evalkit.analysis.tools import call_distribution, tool_calls, tool_use
from evalkit.records import Rule
from evalkit.runs.imported import IMPORTED

OK, FAILED, TIMEOUT = CallStatus.OK, CallStatus.FAILED, CallStatus.TIMEOUT
MALFORMED, UNKNOWN, BLOCKED, NOT_RUN = (
    CallStatus.MALFORMED,
    CallStatus.UNKNOWN_TOOL,
    CallStatus.BLOCKED,
    CallStatus.NOT_RUN,
)
END = "</tool_call>"


def turn(*statuses: CallStatus, text: str = END, acted: bool = True, images: int = 0, tool: str = "python") -> Turn:
    calls = tuple(ToolCall(tool=tool, raw="", status=status) for status in statuses)
    seen = tuple(Observation(images=(IMAGE,) * images) for _ in calls)
    return Turn(text=text, calls=calls, observations=seen if acted else ())


IMAGE = ImageFile.from_bytes(b"", "none")
ANSWER = Turn(text="<answer>A</answer>")


def record(id: str, right: bool, *turns: Turn, stop: StopReason = StopReason.ANSWERED) -> Record:
    return Record(
        version=1,
        sample=Sample(id=id, question="?", images=(IMAGE,)),
        trajectory=Trajectory(prompt="", stop=stop, turns=turns),
        outcome=Outcome(verdict=Verdict.CORRECT if right else Verdict.INCORRECT),
    )


ROWS = [
    # no call
    record("0", True, ANSWER),
    # a call that gave an image, and one that failed
    record("1", True, turn(OK, images=1), turn(FAILED), ANSWER),
    # unreadable, then unknown, then blocked: none ran
    record("2", False, turn(MALFORMED), turn(UNKNOWN), turn(BLOCKED), ANSWER),
    # ran out of time, and a last call when no turn was left
    record("3", False, turn(TIMEOUT), turn(NOT_RUN, acted=False), stop=StopReason.LIMIT_TURNS),
    # two calls in one turn beside words, by another tool
    record("4", True, turn(OK, OK, text=f"{END} so", tool="zoom", images=1), ANSWER),
]


def frames(rows: list[Record] = ROWS, engine: str = "vllm") -> RunFrames:
    return frames_of(rows, run="r", task="t", model="m", expected=len(rows), engine=engine)


def value(table: pd.DataFrame, **keys: Any) -> Any:
    for key, wanted in keys.items():
        table = table[table[key] == wanted]
    assert len(table) == 1
    return table.iloc[0]["value"]


@pytest.mark.parametrize(
    ("figure", "tool", "expected"),
    [
        ("tool_rate", "", 3 / 5),
        ("tool_rate_ok", "", 2 / 5),
        ("tool_rate_emitted", "", 4 / 5),
        ("calls_mean", "", 5 / 5),
        ("emitted_mean", "", 9 / 5),
        ("error_rate", "", 2 / 5),
        ("refused_rate", "", 3 / 9),
        ("efficiency", "", (1 + 1 / 3 + 1 / 3) / 3),
        ("tool_rate", "python", 2 / 5),
        ("tool_rate", "zoom", 1 / 5),
        ("calls_mean", "zoom", 2 / 5),
        ("error_rate", "python", 2 / 3),
        ("error_rate", "zoom", 0),
    ],
)
def test_evalkits_own_figures(figure: str, tool: str, expected: float) -> None:
    assert value(tool_use([frames()]), figure=figure, tool=tool, category="") == pytest.approx(expected)


COUNTS = {
    # turns taken up: 0, 2, 3, 1, 1
    "metis.T": 7 / 5,
    "metis.r_tool": (1 + 1 / 3 + 1 / 2) / 5,
    "hdpo.efficiency": (1 + 1 / 3 + 1 / 2) / 3,
    "metis.figure.tool_usage": 3 / 5,
    "deepeyes_v2.with_tool": 3 / 5,
    "deepeyes_v2.calls": 5 / 5,
    "mini_o3.apply": 4 / 5,
    "mini_o3.success": 2 / 5,
    "mini_o3.success/apply": 2 / 4,
    "mini_o3.success_correct": 2 / 2,
    # replies that end in the tag: 0, 2, 3, 2, 0
    "pixel_reasoner.toolrate": 7 / 5,
    # a failure; unreadable and unknown; a timeout and a limit
    "pixel_reasoner.fails": (1 + 2 + 2) / 5,
    # first calls that are readable and of a known tool: 0, 2, 1, 2, 1
    "sensenova_mars.tool_calls": 6 / 5,
    "sensenova_mars.num_round": (1 + 3 + 4 + 2 + 2) / 5,
    "skywork_r1v4.tool_calls": 9 / 5,
}


@pytest.mark.parametrize("name", COUNTS)
def test_every_authors_count_from_the_same_log(name: str) -> None:
    assert value(counting([frames()]), name=name) == pytest.approx(COUNTS[name])


def test_every_definition_is_tested_and_says_what_it_is_and_whose() -> None:
    names = {definition.name for definition in DEFINITIONS}
    assert names - set(COUNTS) == {"deepeyes_v2.evaluation, thyme.evaluation"}
    assert len(names) == len(DEFINITIONS)
    table = counting([frames()])
    assert all(definition.text and definition.source for definition in DEFINITIONS)
    assert list(table["definition"]) == [definition.text for definition in DEFINITIONS]
    uncounted = table[table["name"].astype(str).str.startswith("deepeyes_v2.evaluation")].iloc[0]
    assert "counts no calls" in uncounted["why"]


def test_a_log_without_images_cannot_tell_success() -> None:
    bare = [record("0", True, turn(OK), ANSWER)]
    table = counting([frames(bare, engine=IMPORTED)])
    for name in ("mini_o3.success", "mini_o3.success/apply", "mini_o3.success_correct"):
        assert table[table["name"] == name].iloc[0]["why"] == "the imported log keeps no images"
    assert value(counting([frames(bare)]), name="mini_o3.success") == 0


def test_without_a_verdict_under_the_rule_nothing_is_right_or_wrong() -> None:
    table = counting([frames()], Rule.OFFICIAL)
    assert set(table["why"]) == {"no row has a verdict under the official rule"}


def test_calls_by_tool_and_status_and_their_distribution() -> None:
    calls = tool_calls([frames()])
    found = {(tool, status): (n, rows) for tool, status, n, rows in calls.iloc[:, 4:].itertuples(index=False)}
    assert found == {
        ("python", "ok"): (1, 1), ("python", "failed"): (1, 1), ("python", "timeout"): (1, 1),
        ("python", "malformed"): (1, 1), ("python", "unknown_tool"): (1, 1), ("python", "blocked"): (1, 1),
        ("python", "not_run"): (1, 1), ("zoom", "ok"): (2, 1),
    }  # fmt: skip
    table = call_distribution([frames()])
    assert list(zip(table["calls"], table["samples"], strict=True)) == [(0, 2), (1, 1), (2, 2)]
    assert table["share"].sum() == pytest.approx(1)
