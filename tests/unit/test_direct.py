"""Asked without tools: one generation, with or without reasoning in text before the answer."""

from __future__ import annotations

import pytest

from evalkit import CallStatus, Sample, StopReason, Verdict
from evalkit.agents import Agent, Limits
from evalkit.agents.protocols import Direct, DirectCot, Protocol
from evalkit.engines import Request, Sampling, ScriptedEngine
from evalkit.records import Trajectory
from evalkit.scoring import score_choice

SAMPLE = Sample(
    id="s", question="Which?\nA. a heron\nB. an egret", answer="B", choices={"A": "a heron", "B": "an egret"}
)
CALL = '<tool_call>{"name": "python", "arguments": {"code": "print(\'<answer>A</answer>\')"}}</tool_call>'


async def run(text: str, made: Protocol | None = None) -> Trajectory:
    agent = Agent(
        engine=ScriptedEngine([text, "never asked"]),
        protocol=made or DirectCot(),
        tools={},
        sampling=Sampling(),
        limits=Limits(turns=1),
    )
    return await agent.run(SAMPLE, "s/agent/0")


def verdict(done: Trajectory) -> Verdict:
    return score_choice(done.response, SAMPLE.choices, SAMPLE.answer, "t/1").verdict


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("<think>Legs are yellow.</think><answer>B</answer>", StopReason.ANSWERED, Verdict.CORRECT),
        ("<think>Not <answer>A</answer>.</think>\n<answer>B</answer>", StopReason.ANSWERED, Verdict.CORRECT),
        ("<think>Legs.</think> \\boxed{B}", StopReason.ENDED, Verdict.CORRECT),
        ("Step 1: the legs. Step 2: the beak.\nThe answer is (A).", StopReason.ENDED, Verdict.INCORRECT),
        ("<think>I never come to an end", StopReason.ENDED, Verdict.UNPARSED),
        ("", StopReason.ENDED, Verdict.UNPARSED),
    ],
)
async def test_reasoning_and_then_the_answer(text: str, stop: StopReason, expected: Verdict) -> None:
    done = await run(text)
    assert (done.stop, verdict(done)) == (stop, expected)
    assert len(done.turns) == 1


@pytest.mark.parametrize("kind", [Direct, DirectCot])
async def test_a_call_is_counted_and_never_run(kind: type[Protocol]) -> None:
    done = await run(f"<think>t</think>{CALL}", kind())
    assert [call.status for call in done.calls] == [CallStatus.NOT_RUN]
    assert done.stop is StopReason.ENDED


@pytest.mark.parametrize(("kind", "reasons"), [(Direct, False), (DirectCot, True)])
async def test_how_the_question_is_put(kind: type[Protocol], reasons: bool) -> None:
    seen: list[Request] = []

    def reply(request: Request) -> str:
        seen.append(request)
        return "<answer>B</answer>"

    agent = Agent(engine=ScriptedEngine(reply), protocol=kind(), tools={}, sampling=Sampling(), limits=Limits())
    await agent.run(SAMPLE, "k")
    (request,) = seen
    assert [message.role for message in request.messages] == ["system", "user"]
    assert ("<think>" in request.messages[0].text) is reasons
    assert "<answer>" in request.messages[0].text
    assert request.messages[1].text == SAMPLE.question
    assert (request.stop, request.tools) == ((), ())
