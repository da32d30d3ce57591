"""Arms: the same samples without tools, with a call required, repeated, one at a time, or cut after each call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from evalkit import (
    CallStatus,
    DataSource,
    ImageFile,
    Outcome,
    Record,
    Sample,
    StopReason,
    Task,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
)
from evalkit.agents import Agent, Limits
from evalkit.agents.cut import conversation
from evalkit.agents.protocols import Metis, Protocol, QwenTools
from evalkit.engines import Completion, Message, Request, Sampling, ScriptedEngine
from evalkit.records import AGAIN, AGENT, DIRECT, FORCED, ISOLATED, RECORD_VERSION, answer_arm, calls_before_answer
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Arms, Job, again, forced_answers, isolated, schedule, unfinished
from evalkit.runs.outcome import outcome_of
from evalkit.runs.progress import RunProgress
from evalkit.runs.runner import run_task
from evalkit.runs.scheduler import Stop
from evalkit.runs.store import RunStore, latest_records
from evalkit.runs.stored import Stored, stored_of
from evalkit.tools.base import ToolResult
from tests.unit.test_loop import ANSWER, CALL, SAMPLE, FakeTool

OK = ToolResult(status=CallStatus.OK, text="fine")
BAD = "<tool_call>{oops}</tool_call>"


def samples(count: int) -> list[Sample]:
    return [Sample(id=str(i), question="?") for i in range(count)]


def agent(script: Any, protocol: Protocol | None = None, result: ToolResult = OK, **more: Any) -> Agent:
    settings: dict[str, Any] = {"sampling": Sampling(), "limits": Limits(), **more}
    tools = {"python": FakeTool("python", result)}
    return Agent(engine=ScriptedEngine(script), protocol=protocol or Metis(), tools=tools, **settings)


def record(id: str, arm: str = AGENT, repeat: int = 0, verdict: Verdict = Verdict.CORRECT, **more: Any) -> Record:
    trajectory = Trajectory(prompt="?", stop=StopReason.ANSWERED, **more)
    return Record(
        version=RECORD_VERSION,
        sample=Sample(id=id, question="?"),
        trajectory=trajectory,
        outcome=Outcome(verdict=verdict),
        arm=arm,
        repeat=repeat,
    )


def done(*records: Record) -> dict[tuple[str, str, int], Stored]:
    return {record.key: stored_of(record) for record in records}


# --- which trajectories a run has


def test_a_samples_arms_run_close_together() -> None:
    arms = Arms(names=(AGENT, DIRECT, FORCED), repeats=2, direct_k=2)
    assert [job.key for job in schedule(samples(2), arms)] == [
        (id, arm, repeat)
        for id in "01"
        for arm, repeat in ((AGENT, 0), (DIRECT, 0), (DIRECT, 1), (FORCED, 0), (AGENT, 1))
    ]


def test_the_direct_arm_keeps_one_run_with_the_agents_own_decoding() -> None:
    plain, drawn = (
        Arms(names=(AGENT, DIRECT), direct_k=8),
        Arms(names=(AGENT, DIRECT), direct_k=8, direct_temperature=1),
    )
    assert (Arms().direct_runs, plain.direct_runs, drawn.direct_runs) == (0, 8, 9)
    assert [plain.temperature(0.3, repeat) for repeat in (0, 8)] == [0.3, 0.3]
    assert [drawn.temperature(0.3, repeat) for repeat in (0, 8)] == [0.3, 1]


@given(
    st.integers(0, 12),
    st.builds(
        Arms,
        names=st.sampled_from([(AGENT,), (AGENT, DIRECT), (AGENT, FORCED), (AGENT, DIRECT, FORCED)]),
        repeats=st.integers(1, 4),
        direct_k=st.integers(1, 4),
        direct_temperature=st.sampled_from([None, 0.7]),
        again=st.integers(0, 20),
        isolated=st.integers(0, 20),
    ),
)
def test_no_two_jobs_are_one_record_and_every_sample_has_every_arm(count: int, arms: Arms) -> None:
    rows = samples(count)
    jobs = [*schedule(rows, arms), *again(rows, arms), *isolated(rows, arms)]
    assert len({job.key for job in jobs}) == len(jobs)
    counts = Counter(job.arm for job in jobs)
    assert counts[AGENT] == count * arms.repeats
    assert counts[DIRECT] == count * arms.direct_runs
    assert counts[FORCED] == count * (FORCED in arms.names)
    assert (counts[AGAIN], counts[ISOLATED]) == (min(count, arms.again), min(count, arms.isolated))


def test_only_the_repeat_check_asks_for_the_same_draws() -> None:
    (sample,) = samples(1)
    names = [Job(sample, arm, repeat).name for arm in (AGENT, DIRECT, FORCED, ISOLATED) for repeat in (0, 1)]
    assert len(set(names)) == len(names)
    assert Job(sample, AGAIN).name == Job(sample).name == "0/agent/0"


def test_what_is_missing_or_failed_runs_in_every_arm() -> None:
    arms = Arms(names=(AGENT, DIRECT), repeats=2)
    there = done(
        record("0"), record("0", DIRECT, verdict=Verdict.ENGINE_ERROR), record("0", AGENT, 1), record("1", DIRECT)
    )
    todo = unfinished(schedule(samples(2), arms), there)
    assert [job.key for job in todo] == [("0", DIRECT, 0), ("1", AGENT, 0), ("1", AGENT, 1)]


def trajectory(*statuses: CallStatus, started_at: float = 0.0) -> dict[str, Any]:
    calls = tuple(ToolCall(tool="python", raw="{}", status=status) for status in statuses)
    return {"turns": (Turn(text="", calls=calls),), "started_at": started_at}


def test_answers_are_forced_after_each_call_that_ran_of_finished_agents_alone() -> None:
    ran, refused = CallStatus.FAILED, CallStatus.MALFORMED
    records = [
        record("two", repeat=3, **trajectory(ran, refused, ran)),
        record("none", **trajectory(refused)),
        record("error", verdict=Verdict.JUDGE_ERROR, **trajectory(ran)),
        record("other", FORCED, **trajectory(ran)),
    ]
    jobs = list(forced_answers(records, Arms(forced_answers=True)))
    assert [job.key for job in jobs] == [("two", "answer@0", 3), ("two", "answer@1", 3)]
    assert list(forced_answers(records, Arms())) == []


def test_a_forced_answer_to_an_earlier_trajectory_is_asked_again() -> None:
    agents = record("a", **trajectory(CallStatus.OK, started_at=10.0))
    (job,) = forced_answers([agents], Arms(forced_answers=True))
    assert unfinished([job], done(agents, record("a", "answer@0", started_at=9.0))) == [job]
    assert unfinished([job], done(agents, record("a", "answer@0", started_at=11.0))) == []


def test_the_name_of_a_forced_answer_is_read_back() -> None:
    assert calls_before_answer(answer_arm(12)) == 12
    assert [calls_before_answer(arm) for arm in ("agent", "answer@", "answer@x", "answer@-1", "direct")] == [None] * 5


# --- what the arms ask


async def test_without_tools_nothing_runs_and_every_call_is_counted() -> None:
    seen: list[Request] = []

    def script(request: Request) -> str:
        seen.append(request)
        return CALL

    agents = ArmAgents(agent(script), Arms(names=(AGENT, DIRECT)))
    ended = await agents.run(Job(SAMPLE, DIRECT))
    assert [call.status for call in ended.calls] == [CallStatus.NOT_RUN]
    assert ended.stop is StopReason.ENDED
    assert seen[0].messages[0].text == Metis().system_prompt([]) == agents.arms.direct_system_prompt
    assert "tool_call" not in seen[0].messages[0].text
    assert (seen[0].tools, seen[0].stop) == ((), ())


async def test_draws_of_the_direct_arm_have_their_own_temperature_and_seeds() -> None:
    seen: list[Sampling] = []

    def script(request: Request) -> str:
        seen.append(request.sampling)
        return ANSWER

    arms = Arms(names=(AGENT, DIRECT), direct_k=2, direct_temperature=0.7)
    agents = ArmAgents(agent(script, sampling=Sampling(top_p=0.9, seed=5)), arms)
    for job in schedule([SAMPLE], arms):
        await agents.run(job)
    assert [(sampling.temperature, sampling.top_p) for sampling in seen] == [(0, 0.9)] * 2 + [(0.7, 0.9)] * 2
    assert len({sampling.seed for sampling in seen}) == 4


@pytest.mark.parametrize("protocol", [Metis(), QwenTools()])
async def test_a_required_call_is_asked_for_and_once_more_after_a_turn_without(protocol: Protocol) -> None:
    seen: list[Request] = []

    def script(request: Request) -> str:
        seen.append(request)
        return (ANSWER, CALL, ANSWER)[request.turn]

    ended = await ArmAgents(agent(script, protocol), Arms()).run(Job(SAMPLE, FORCED))
    assert ended.prompt == f"what?\n\n{protocol.insist}"
    assert [turn.text for turn in ended.turns] == [ANSWER, CALL, ANSWER]
    assert [call.status for call in ended.calls] == [CallStatus.OK]
    assert ended.turns[0].observations[0].text == protocol.insist_again
    asked = [message for message in seen[1].messages if message.role == "user"][-1]
    assert asked.text == protocol.insist_again


async def test_a_model_that_never_calls_is_asked_no_third_time() -> None:
    ended = await ArmAgents(agent([ANSWER]), Arms()).run(Job(SAMPLE, FORCED))
    assert [turn.text for turn in ended.turns] == [ANSWER, ANSWER]
    assert ended.stop is StopReason.ANSWERED
    assert ended.calls == ()


async def test_nothing_is_asked_again_where_no_turn_is_left_or_the_first_was_cut_off() -> None:
    one = await ArmAgents(agent([ANSWER], limits=Limits(turns=1)), Arms()).run(Job(SAMPLE, FORCED))
    cut = Completion(text="<reason>so", finish_reason="length")
    long = await ArmAgents(agent(lambda request: cut), Arms()).run(Job(SAMPLE, FORCED))
    assert (len(one.turns), one.stop) == (1, StopReason.ANSWERED)
    assert (len(long.turns), long.stop) == (1, StopReason.LIMIT_TOKENS)


async def test_a_required_call_in_the_first_turn_needs_no_word() -> None:
    ended = await ArmAgents(agent([CALL, ANSWER]), Arms()).run(Job(SAMPLE, FORCED))
    assert len(ended.turns) == 2
    assert "fine" in ended.turns[0].observations[0].text


# --- answers after k calls


def same(a: Iterable[Message], b: Iterable[Message]) -> bool:
    """Equal conversations; an image is its bytes."""

    def plain(messages: Iterable[Message]) -> list[Any]:
        return [(m.role, [p if isinstance(p, str) else p.read() for p in m.parts]) for m in messages]

    return plain(a) == plain(b)


@pytest.mark.parametrize("protocol", [Metis(), QwenTools()])
async def test_a_stored_trajectory_is_the_conversation_that_the_engine_saw(protocol: Protocol, tmp_path: Path) -> None:
    seen: list[Request] = []
    texts = [CALL, BAD, CALL, ANSWER]

    def script(request: Request) -> str:
        seen.append(request)
        return texts[min(request.turn, 3)] if "/agent/" in request.key else "<answer>B</answer>"

    shown = ImageFile.from_pil(Image.new("RGB", (64, 64), (9, 9, 9)))
    tool = ToolResult(status=CallStatus.OK, text="seen", images=(shown,))
    asked = Sample(id="s", question="what?", images=(ImageFile.from_pil(Image.new("RGB", (40, 30)), "red.png"),))
    agents = ArmAgents(agent(script, protocol, tool), Arms(forced_answers=True))
    trajectory = await agents.run(Job(asked))
    with RunStore(tmp_path) as store:
        outcome = Outcome(verdict=Verdict.CORRECT)
        store.append(Record(version=RECORD_VERSION, sample=asked, trajectory=trajectory, outcome=outcome))
    before = [request.messages for request in seen]
    seen.clear()
    jobs = list(forced_answers(latest_records(tmp_path).values(), agents.arms))
    answers = [await agents.run(job) for job in jobs]
    assert [job.arm for job in jobs] == ["answer@0", "answer@1"]
    # after no call: the question; after one: what stood before turn 1 (the malformed call came later)
    for asked_for, was in ((seen[0].messages, before[0]), (seen[1].messages, before[1])):
        last = asked_for[-1]
        if last.role == was[-1].role:
            assert same(asked_for[:-1], was[:-1])
            assert last.text.startswith(was[-1].text)
        else:
            assert same(asked_for[:-1], was)
        assert last.text.endswith(protocol.conclude)
        assert asked_for[0].text.startswith(was[0].text), "the same system prompt, if there is one"
    assert [(answer.response, len(answer.turns), answer.prompt) for answer in answers] == [
        ("<answer>B</answer>", 1, request.messages[-1].text) for request in seen
    ]
    assert [(request.tools != (), request.turn) for request in seen] == [(protocol.native_tools, 0)] * 2


async def test_a_call_in_a_forced_answer_is_not_run() -> None:
    agents = ArmAgents(agent([CALL]), Arms(forced_answers=True))
    made = Trajectory(prompt="?", stop=StopReason.LIMIT_TURNS)
    ended = await agents.run(Job(SAMPLE, answer_arm(0), 0, made))
    assert (ended.stop, [call.status for call in ended.calls]) == (StopReason.ENDED, [CallStatus.NOT_RUN])


async def test_calls_of_a_turn_beyond_the_last_that_counts_are_refused() -> None:
    protocol = QwenTools()
    made = agent([CALL + BAD + CALL + CALL, CALL, ANSWER], protocol)
    whole = await made.run(SAMPLE, "s/agent/0")
    assert [call.status for call in whole.calls] == ["ok", "malformed", "ok", "ok", "ok"]
    kept = [message.text for message in conversation(made, whole, 2)]
    assert [text == "fine" for text in kept] == [False, True, False, True, False]
    assert "as often as allowed" in kept[-1]
    assert [len(conversation(made, whole, calls)) for calls in (0, 1, 2, 3, 4)] == [0, 5, 5, 5, 7]


# --- outcomes and progress


class Colour(Task):
    """One question; the answer is B."""

    name = "colour"
    version = 1
    summary = "test"
    expected_rows = 1
    score_hook: Callable[[], None] = staticmethod(lambda: None)

    def samples(self) -> Iterable[Sample]:
        return [SAMPLE]

    def score(self, sample: Sample, response: str) -> Outcome:
        type(self).score_hook()
        return Outcome(verdict=Verdict.CORRECT if "B" in response else Verdict.UNPARSED)


def colour(tmp_path: Path) -> Colour:
    return Colour(DataSource(kind="generated"), tmp_path)


async def test_an_answer_that_stands_in_a_call_that_was_not_run_is_none(tmp_path: Path) -> None:
    call = '<tool_call>{"name": "python", "arguments": {"code": "print(\'Answer: B\')"}}</tool_call>'
    for said, verdict in ((call, Verdict.UNPARSED), (f"{call} B", Verdict.CORRECT)):
        ended = await ArmAgents(agent([said]), Arms()).run(Job(SAMPLE, DIRECT))
        assert ended.stop is StopReason.ENDED
        assert outcome_of(colour(tmp_path), SAMPLE, ended).verdict is verdict


def test_progress_counts_all_arms_and_shows_the_agents_accuracy() -> None:
    progress = RunProgress(Console(), "x", 5)
    for arm, verdict in (
        (AGENT, Verdict.CORRECT),
        (AGENT, Verdict.INCORRECT),
        (DIRECT, Verdict.INCORRECT),
        (DIRECT, Verdict.ENGINE_ERROR),
    ):
        progress.count(record("a", arm, verdict=verdict))
    assert "4/5  accuracy 50.0%" in progress._line()
    assert "errors 1" in progress._line()


async def test_one_at_a_time_means_that_nothing_else_goes_on(tmp_path: Path) -> None:
    busy: list[str] = []
    overlaps: list[list[str]] = []

    async def generate(request: Request) -> Completion:
        busy.append("engine")
        overlaps.append([*busy])
        await asyncio.sleep(0.005)
        busy.remove("engine")
        return Completion(text=ANSWER)

    def scoring() -> None:
        busy.append("rule")
        overlaps.append([*busy])
        busy.remove("rule")

    made = agent([ANSWER])
    made.engine.generate = generate  # type: ignore[method-assign]
    Colour.score_hook = staticmethod(scoring)
    rows = samples(8)
    with RunStore(tmp_path) as store:
        await run_task(
            agents=ArmAgents(made, Arms(isolated=8)),
            task=colour(tmp_path),
            jobs=list(isolated(rows, Arms(isolated=8))),
            store=store,
            stored=RunProgress(Console(quiet=True), "x", 8).count,
            concurrency=1,
            stop=Stop(),
        )
    Colour.score_hook = staticmethod(lambda: None)
    assert len(overlaps) == 16
    assert all(len(together) == 1 for together in overlaps)
    assert {key[1:] for key in latest_records(tmp_path)} == {(ISOLATED, 0)}
