"""What stands in a call is the call's: code that prints an answer gives none, whoever asks."""

from __future__ import annotations

import json

import pytest

from evalkit import CallStatus, Outcome, Sample, StopReason, ToolCall, Trajectory, Turn, Verdict
from evalkit.agents.protocols import protocol
from evalkit.content import find_tasks, open_task, task_named
from evalkit.runs.outcome import outcome_of

CODE = json.dumps({"name": "python", "arguments": {"code": "print('<answer>B</answer>')"}})
PRINTS = f"<tool_call>{CODE}</tool_call>"
BROKEN = "<tool_call>print('<answer>B</answer>')</tool_call>"
OPEN = "<tool_call>print('<answer>B</answer>')"
SAMPLE = Sample(id="1", question="?", choices={"A": "red", "B": "blue"}, answer="B")


@pytest.mark.parametrize("name", ["metis", "qwen_tools", "direct"])
@pytest.mark.parametrize("text", [PRINTS, BROKEN, OPEN])
def test_an_answer_inside_a_call_does_not_end_the_agent(name: str, text: str) -> None:
    assert not protocol(name).parse(text).answered
    assert protocol(name).parse(f"<answer>A</answer>{text}").answered


def scored(text: str, status: CallStatus, stop: StopReason) -> Outcome:
    calls = tuple(ToolCall(tool=call.tool, raw=call.raw, status=status) for call in protocol("metis").parse(text).calls)
    trajectory = Trajectory(prompt="?", stop=stop, turns=(Turn(text=text, calls=calls),))
    return outcome_of(open_task(task_named("panel_probe", find_tasks())), SAMPLE, trajectory)


@pytest.mark.parametrize("stop", [StopReason.ENDED, StopReason.ANSWERED])
@pytest.mark.parametrize(
    ("text", "status"),
    [(PRINTS, CallStatus.NOT_RUN), (BROKEN, CallStatus.MALFORMED), (OPEN, CallStatus.MALFORMED)],
)
def test_and_is_not_scored(text: str, status: CallStatus, stop: StopReason) -> None:
    assert scored(text, status, stop).verdict is Verdict.UNPARSED
    assert scored(f"<answer>A</answer> {text}", status, stop).answer == "A"
    assert scored(f"<answer>B</answer> {text}", status, stop).verdict is Verdict.CORRECT
