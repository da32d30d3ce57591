"""The agent loop: calls are run or refused and counted, limits end a trajectory, errors are recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from PIL import Image

from evalkit import CallStatus, ImageFile, Sample, StopReason, Timing
from evalkit.agents import Agent, Limits
from evalkit.agents.protocols import Direct, Metis, Protocol, QwenTools
from evalkit.engines import Completion, Request, Sampling, ScriptedEngine
from evalkit.errors import ContextLengthError, EngineError, EngineUnavailableError, SandboxError
from evalkit.records import Usage
from evalkit.tools.base import ToolResult, ToolSpec

SAMPLE = Sample(id="s", question="what?")
CALL = '<tool_call>{"name": "python", "arguments": {"code": "1"}}</tool_call>'
SEARCH = '<tool_call>{"name": "image_search", "arguments": {}}</tool_call>'
ANSWER = "<reason>r</reason><answer>A</answer>"


class FakeTool:
    """A tool that gives what it is told to."""

    def __init__(self, name: str, result: ToolResult | Exception) -> None:
        self.spec = ToolSpec(name=name, description="", parameters={"type": "object"})
        self.result = result
        self.opened = self.closed = 0

    async def open(self, sample: Sample, names: Mapping[str, str]) -> FakeTool:
        self.opened += 1
        return self

    async def call(self, arguments: dict[str, Any]) -> ToolResult:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def close(self) -> None:
        self.closed += 1


OK = ToolResult(status=CallStatus.OK, text="fine")


def agent(
    script: Any,
    *tools: FakeTool,
    protocol: Protocol | None = None,
    limits: Limits | None = None,
) -> Agent:
    return Agent(
        engine=ScriptedEngine(script),
        protocol=protocol or Metis(),
        tools={tool.spec.name: tool for tool in tools},
        sampling=Sampling(),
        limits=limits or Limits(),
    )


async def test_a_call_is_run_shown_and_followed_by_the_answer() -> None:
    tool = FakeTool("python", OK)
    done = await agent([CALL, ANSWER], tool).run(SAMPLE, "s/agent/0")
    assert done.stop is StopReason.ANSWERED
    assert [turn.text for turn in done.turns] == [CALL, ANSWER]
    (call,) = done.calls
    assert (call.tool, call.status, call.arguments) == ("python", CallStatus.OK, {"code": "1"})
    assert "fine" in done.turns[0].observations[0].text
    assert (tool.opened, tool.closed) == (1, 1)
    assert done.response == ANSWER


async def test_no_session_is_opened_without_a_call() -> None:
    tool = FakeTool("python", OK)
    await agent([ANSWER], tool).run(SAMPLE, "k")
    assert tool.opened == 0


async def test_a_malformed_call_is_counted_and_the_model_may_mend_it() -> None:
    done = await agent(["<tool_call>{oops}</tool_call>", CALL, ANSWER], FakeTool("python", OK)).run(SAMPLE, "k")
    assert [call.status for call in done.calls] == [CallStatus.MALFORMED, CallStatus.OK]
    assert "could not be read" in done.turns[0].observations[0].text
    assert done.stop is StopReason.ANSWERED


async def test_an_unknown_tool_is_named() -> None:
    done = await agent([CALL.replace("python", "calculator"), ANSWER], FakeTool("python", OK)).run(SAMPLE, "k")
    assert done.calls[0].status is CallStatus.UNKNOWN_TOOL
    assert "'calculator'" in done.turns[0].observations[0].text


async def test_image_search_works_once() -> None:
    tool = FakeTool("image_search", OK)
    done = await agent([SEARCH, SEARCH, ANSWER], tool).run(SAMPLE, "k")
    assert [call.status for call in done.calls] == [CallStatus.OK, CallStatus.BLOCKED]
    assert done.stop is StopReason.ANSWERED


async def test_an_alias_counts_as_its_tool() -> None:
    tool = FakeTool("text_search", OK)
    done = await agent([SEARCH.replace("image_search", "search"), ANSWER], tool).run(SAMPLE, "k")
    assert done.calls[0].status is CallStatus.OK
    assert tool.opened == 1


async def test_a_call_in_the_last_turn_is_not_run() -> None:
    tool = FakeTool("python", OK)
    done = await agent([CALL], tool, limits=Limits(turns=3)).run(SAMPLE, "k")
    assert done.stop is StopReason.LIMIT_TURNS
    assert [call.status for call in done.calls] == [CallStatus.OK, CallStatus.OK, CallStatus.NOT_RUN]


async def test_without_tools_a_call_is_counted_never_run_and_no_answer() -> None:
    for protocol in (Direct(), QwenTools()):
        done = await agent([CALL], protocol=protocol).run(SAMPLE, "k")
        assert done.stop is StopReason.ENDED
        assert [call.status for call in done.calls] == [CallStatus.NOT_RUN]
        assert len(done.turns) == 1


async def test_a_cut_generation_is_a_token_limit() -> None:
    done = await agent(lambda request: Completion(text="<reason>so", finish_reason="length")).run(SAMPLE, "k")
    assert done.stop is StopReason.LIMIT_TOKENS


async def test_a_call_cut_off_is_not_run() -> None:
    cut = Completion(text=CALL[:-5], finish_reason="length")
    done = await agent(lambda request: cut, FakeTool("python", OK)).run(SAMPLE, "k")
    assert done.stop is StopReason.LIMIT_TOKENS
    assert done.calls[0].status is CallStatus.MALFORMED


async def test_the_trajectorys_token_budget_counts_observations() -> None:
    asked: list[int] = []

    def script(request: Request) -> Completion:
        asked.append(request.max_tokens)
        prompt = 100 + 40 * request.turn
        return Completion(text=CALL, usage=Usage(prompt_tokens=prompt, completion_tokens=10))

    done = await agent(script, FakeTool("python", OK), limits=Limits(trajectory_tokens=100, turn_tokens=60)).run(
        SAMPLE, "k"
    )
    assert asked == [60, 60, 50, 10]
    assert done.stop is StopReason.LIMIT_TOKENS


async def test_the_time_limit_keeps_the_turns_there_are() -> None:
    tool = FakeTool("python", OK)
    timing = Timing(generate_s=2.0)
    made = agent(lambda request: Completion(text=CALL, timing=timing), tool, limits=Limits(seconds=5))
    done = await made.run(SAMPLE, "k")
    assert done.stop is StopReason.LIMIT_TIME
    assert [turn.calls[0].status for turn in done.turns] == ["ok", "ok", "not_run"]
    assert tool.closed == 1


async def test_an_answer_that_comes_too_late_is_none() -> None:
    late = Completion(text=ANSWER, timing=Timing(generate_s=9.0))
    assert (await agent(lambda request: late, limits=Limits(seconds=5)).run(SAMPLE, "k")).stop is StopReason.LIMIT_TIME


async def test_waiting_for_the_engine_is_not_the_agents_time() -> None:
    queued = Completion(text=ANSWER, timing=Timing(generate_s=9.0, queue_s=8.0))
    assert (await agent(lambda request: queued, limits=Limits(seconds=5)).run(SAMPLE, "k")).stop is StopReason.ANSWERED


async def test_a_recordings_own_times_are_kept() -> None:
    done = await agent(lambda request: Completion(text=ANSWER, timing=Timing(generate_s=2.0))).run(SAMPLE, "k")
    assert done.turns[0].timing.generate_s == 2.0
    assert 2.0 <= done.total_s < 3.0


async def test_a_tool_that_raises_costs_only_its_trajectory() -> None:
    done = await agent([CALL, ANSWER], FakeTool("python", ZeroDivisionError("oops"))).run(SAMPLE, "k")
    assert done.stop is StopReason.SANDBOX_ERROR
    assert "tool python failed: ZeroDivisionError: oops" in done.error


async def test_each_turn_of_each_trajectory_draws_with_a_seed_of_its_own() -> None:
    seeds: list[int | None] = []

    def script(request: Request) -> str:
        seeds.append(request.sampling.seed)
        return ANSWER if request.turn else CALL

    for key in ("a/agent/0", "b/agent/0", "a/agent/0"):
        made = agent(script, FakeTool("python", OK))
        made.sampling = Sampling(seed=7)
        await made.run(SAMPLE, key)
    assert seeds[:2] == seeds[4:]
    assert len(set(seeds)) == 4


@pytest.mark.parametrize(
    ("error", "stop", "said"),
    [
        (EngineError("no reply"), StopReason.ENGINE_ERROR, "no reply"),
        (ContextLengthError("too long"), StopReason.LIMIT_TOKENS, "turn 1: too long"),
    ],
)
async def test_an_engines_failure_ends_the_trajectory(error: Exception, stop: StopReason, said: str) -> None:
    done = await agent(lambda request: error).run(SAMPLE, "k")
    assert (done.stop, done.error) == (stop, said)


async def test_an_overflow_names_the_turn_that_no_longer_fitted() -> None:
    def grow(request: Request) -> Completion | Exception:
        return Completion(text=CALL) if request.turn == 0 else ContextLengthError("5000 tokens are too many")

    done = await agent(grow, FakeTool("python", OK)).run(SAMPLE, "k")
    assert done.stop is StopReason.LIMIT_TOKENS
    assert done.error == "turn 2: 5000 tokens are too many"
    assert len(done.turns) == 1


async def test_an_engine_that_is_gone_ends_the_run() -> None:
    with pytest.raises(EngineUnavailableError):
        await agent(lambda request: EngineUnavailableError("gone")).run(SAMPLE, "k")


async def test_a_broken_sandbox_is_no_wrong_answer() -> None:
    tool = FakeTool("python", SandboxError("cannot start"))
    done = await agent([CALL, ANSWER], tool).run(SAMPLE, "k")
    assert done.stop is StopReason.SANDBOX_ERROR
    assert tool.closed == 1


async def test_a_truncated_image_costs_no_generation(png: ImageFile) -> None:
    asked: list[Request] = []
    sample = Sample(id="s", question="q", images=(ImageFile.from_bytes(png.read()[:-20], "cut.png"),))

    def script(request: Request) -> str:
        asked.append(request)
        return ANSWER

    done = await agent(script).run(sample, "k")
    assert done.stop is StopReason.DATA_ERROR
    assert "cut.png" in done.error
    assert asked == []


async def test_images_beyond_the_limit_are_withheld_and_said_so() -> None:
    images = tuple(ImageFile.from_pil(Image.new("RGB", (64, 64), (i, 0, 0))) for i in range(3))
    tool = FakeTool("python", ToolResult(status=CallStatus.OK, images=images))
    done = await agent([CALL, ANSWER], tool, limits=Limits(images=2)).run(SAMPLE, "k")
    (shown,) = done.turns[0].observations
    assert len(shown.images) == 2
    assert "limit of 2 images" in shown.text


async def test_a_long_observation_keeps_its_end() -> None:
    tool = FakeTool("python", ToolResult(status=CallStatus.OK, text="x" * 500 + "the end"))
    done = await agent([CALL, ANSWER], tool, limits=Limits(observation_chars=100)).run(SAMPLE, "k")
    text = done.turns[0].observations[0].text
    assert "characters cut]" in text
    assert "the end" in text
    assert len(text) < 140


async def test_several_calls_of_a_turn_are_answered_one_by_one() -> None:
    requests: list[Request] = []

    def script(request: Request) -> str:
        requests.append(request)
        return CALL + CALL if request.turn == 0 else ANSWER

    done = await agent(script, FakeTool("python", OK), protocol=QwenTools()).run(SAMPLE, "k")
    assert [message.role for message in requests[1].messages] == ["user", "assistant", "tool", "tool"]
    assert len(done.turns[0].observations) == 2
    assert requests[0].tools[0]["function"]["name"] == "python"


async def test_lone_surrogates_do_not_reach_the_record() -> None:
    done = await agent(lambda request: Completion(text="<answer>\ud800</answer>")).run(SAMPLE, "k")
    assert done.response == "<answer>?</answer>"


def test_a_prompt_of_the_users_replaces_ours() -> None:
    make: Callable[[str | None], Agent] = lambda prompt: Agent(  # noqa: E731
        engine=ScriptedEngine([ANSWER]),
        protocol=Metis(),
        tools={},
        sampling=Sampling(),
        limits=Limits(),
        system_prompt=prompt,
    )
    assert make("mine").system_prompt == "mine"
    assert make(None).system_prompt == Metis().system_prompt([])
