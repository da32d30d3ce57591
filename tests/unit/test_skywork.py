"""Skywork-R1V4: one response of its authors' server holds the trajectory, and is recorded as one."""

from __future__ import annotations

import json

import pytest

from evalkit import CallStatus, Sample, StopReason, Timing
from evalkit.agents import Agent, Limits
from evalkit.agents.cut import conversation
from evalkit.agents.protocols import SkyworkR1V4, protocol
from evalkit.engines import Completion, Request, Sampling, ScriptedEngine
from evalkit.engines.replay import ReplayEngine
from evalkit.records import Shown, Trajectory, Turn, Usage

SAMPLE = Sample(id="s", question="Which bird is it?")


def call(name: str, **arguments: object) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def result(text: str, kind: str = "text") -> str:
    return f"<observation>{json.dumps({'result': text, 'type': kind})}</observation>"


CODE = call("code", code="crop = '</think><observation>'\nprint('<answer>X</answer>')")
SEARCH = call("text_search", queries=["heron or egret", "yellow feet"])
VISIT = call("web_visit", urls=["http://birds.example/egret"])
IMAGES = call("image_search", image_paths=["/images/0.jpg"])
RESPONSE = (
    f"<think>I look closer.</think>\n{CODE}\n{result('saved crop.png')}\n"
    f"<think>Both at once.</think>{SEARCH}{IMAGES}{result('an <answer>A</answer> on a page')}\n{result('egret')}\n"
    f"<think>It is an egret.</think><answer>B</answer>"
)


async def run(script: object, *, quirks: tuple[str, ...] = (), engine: object = None) -> Trajectory:
    agent = Agent(
        engine=engine or ScriptedEngine(script),  # type: ignore[arg-type]
        protocol=protocol("skywork_r1v4", quirks),
        tools={},
        sampling=Sampling(),
        limits=Limits(turns=1),
    )
    return await agent.run(SAMPLE, "s/agent/0")


async def test_a_response_is_recorded_turn_by_turn_and_call_by_call() -> None:
    done = await run([RESPONSE])
    assert done.stop is StopReason.ANSWERED
    first, second, last = done.turns
    assert first.text == f"<think>I look closer.</think>\n{CODE}\n"
    assert [c.tool for c in done.calls] == ["code", "text_search", "image_search"]
    assert {c.status for c in done.calls} == {CallStatus.OK}
    assert done.calls[0].arguments["code"].startswith("crop = '</think>")
    assert done.calls[1].arguments == {"queries": ["heron or egret", "yellow feet"]}
    assert [o.text for o in first.observations] == ['{"result": "saved crop.png", "type": "text"}']
    assert [json.loads(o.text)["result"] for o in second.observations] == ["an <answer>A</answer> on a page", "egret"]
    assert last.text == "\n<think>It is an egret.</think><answer>B</answer>"
    assert (last.calls, last.observations) == ((), ())
    assert done.response == last.text


async def test_tokens_and_time_of_the_response_are_counted_once_and_tools_times_are_unknown() -> None:
    reply = Completion(
        text=RESPONSE,
        usage=Usage(prompt_tokens=70, completion_tokens=300, image_tokens=40),
        timing=Timing(queue_s=0.5, ttft_s=2.0, generate_s=11.0),
        retries=2,
    )
    done = await run(lambda request: reply)
    assert done.usage == Usage(prompt_tokens=70, completion_tokens=300, image_tokens=40)
    assert [turn.timing.generate_s for turn in done.turns] == [0.0, 0.0, 11.0]
    assert [turn.timing.queue_s for turn in done.turns] == [None, None, 0.5]
    assert {turn.timing.tool_s for turn in done.turns} == {None}
    assert {c.seconds for c in done.calls} == {None}
    assert [turn.retries for turn in done.turns] == [0, 0, 2]


def test_images_were_shown_before_the_first_turn() -> None:
    shown = (Shown(origin="sample", width=4, height=3),)
    first, *others = SkyworkR1V4().unfold(Turn(text=RESPONSE, shown=shown))
    assert first.shown == shown
    assert not any(turn.shown for turn in others)


async def test_an_answer_at_once_is_one_turn() -> None:
    done = await run(["<think>easy</think><answer>C</answer>"])
    assert done.stop is StopReason.ANSWERED
    assert len(done.turns) == 1
    assert done.calls == ()


async def test_a_response_that_ends_with_a_result_has_no_answer() -> None:
    done = await run([f"<think>t</think>{VISIT}{result('a page with <answer>A</answer>')}"])
    assert done.stop is StopReason.ENDED
    assert [turn.text for turn in done.turns][-1] == ""
    assert done.response == ""
    assert [c.status for c in done.calls] == [CallStatus.OK]


async def test_a_response_cut_off_in_a_call() -> None:
    text = f'<think>t</think>{SEARCH}{result("r")}<think>u</think><tool_call>{{"name": "code"'
    done = await run(lambda request: Completion(text=text, finish_reason="length"))
    assert done.stop is StopReason.LIMIT_TOKENS
    assert [c.status for c in done.calls] == [CallStatus.OK, CallStatus.MALFORMED]
    assert done.calls[-1].error == "</tool_call> is missing"
    assert [turn.finish_reason for turn in done.turns] == ["", "length"]


async def test_a_call_without_a_result_did_not_run() -> None:
    done = await run([f"{SEARCH}{VISIT}{result('only one')}<answer>A</answer>"])
    assert [(c.tool, c.status) for c in done.calls] == [
        ("text_search", CallStatus.OK),
        ("web_visit", CallStatus.NOT_RUN),
    ]
    assert done.calls[1].error == "the response has no result of it"
    done = await run([f"{SEARCH}<answer>A</answer>"])
    assert [c.status for c in done.calls] == [CallStatus.NOT_RUN]


async def test_a_malformed_call_is_one_though_the_server_answered_it() -> None:
    done = await run([f"<tool_call>search for it</tool_call>{result('error', 'error')}<answer>A</answer>"])
    (malformed,) = done.calls
    assert malformed.status is CallStatus.MALFORMED
    assert "not valid JSON" in malformed.error
    assert done.turns[0].observations


async def test_tags_in_reasoning_are_words() -> None:
    text = (
        f"<think>A <tool_call>{{}}</tool_call> gives an <observation>.</think>{SEARCH}{result('r')}<answer>A</answer>"
    )
    done = await run([text])
    assert [c.tool for c in done.calls] == ["text_search"]
    assert len(done.turns) == 2


async def test_reasoning_that_is_not_closed_hides_no_call() -> None:
    text = f"<think>one {SEARCH}{result('r')}<think>two</think><answer>A</answer>"
    done = await run([text])
    assert [c.status for c in done.calls] == [CallStatus.OK]


def test_an_answer_in_a_call_or_a_result_is_none() -> None:
    parse = SkyworkR1V4().parse
    assert not parse(CODE).answered
    assert not parse(result("<answer>A</answer>")).answered
    assert not parse("<think><answer>A</answer></think>").answered
    assert parse("<answer>A</answer>").answered
    assert not parse("<answer>A").answered


async def test_the_first_answer_tag_is_a_quirk() -> None:
    text = f"{SEARCH}{result('r')}<think>x</think><answer>A</answer> no, <answer>B</answer>"
    plain = await run([text])
    assert plain.response.endswith("<answer>B</answer>")
    assert (await run([text], quirks=("first_answer",))).response == "<answer>A</answer>"


async def test_nothing_is_set_for_the_server() -> None:
    seen: list[Request] = []

    def reply(request: Request) -> str:
        seen.append(request)
        return RESPONSE

    await run(reply)
    (request,) = seen
    assert [message.role for message in request.messages] == ["user"]
    assert (request.stop, request.tools) == ((), ())


async def test_a_recorded_response_is_played_back_whole() -> None:
    done = await run([RESPONSE])
    made = protocol("skywork_r1v4")
    turns = made.fold(done.turns)
    assert len(turns) == 1
    again = await run(None, engine=ReplayEngine({"s/agent/0": turns}))
    assert [(t.text, t.calls, t.observations) for t in again.turns] == [
        (t.text, t.calls, t.observations) for t in done.turns
    ]
    assert again.response == done.response
    assert made.fold(done.turns[-1:]) == done.turns[-1:]


async def test_the_conversation_reads_as_the_response_did() -> None:
    done = await run([RESPONSE])
    agent = Agent(engine=ScriptedEngine(["x"]), protocol=SkyworkR1V4(), tools={}, sampling=Sampling(), limits=Limits())
    (message,) = conversation(agent, done, 1)
    assert message.role == "assistant"
    assert message.text == f"<think>I look closer.</think>\n{CODE}\n{result('saved crop.png')}"


@pytest.mark.parametrize("tool", ["code", "text_search", "image_search", "web_visit"])
def test_its_tools_run_at_its_server(tool: str) -> None:
    assert tool in SkyworkR1V4.server_tools
    assert SkyworkR1V4.tools == ()
