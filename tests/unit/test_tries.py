"""What a protocol may do after a turn: end it with a reason, ask again, begin anew; and what becomes of it after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from evalkit import CallStatus, Observation, Record, StopReason, ToolCall, Trajectory, Turn
from evalkit.agents import Agent, Limits
from evalkit.agents.cut import conversation
from evalkit.agents.protocols import After, DeepEyesV2, Metis, QwenTools, Reply, Step, Thyme, TurnEnd, protocol
from evalkit.analysis import summarise
from evalkit.content import find_tasks, open_task, tasks_named
from evalkit.engines import Completion, Request, Sampling, ScriptedEngine
from evalkit.errors import EvalkitError
from evalkit.images import decode_hook, encode_hook
from evalkit.models import find_card
from evalkit.records import Usage, Verdict
from evalkit.reporting import tries_note
from evalkit.runs.plan import config_of
from tests.agents import FAILED, OK, Model, ToldTool, picture, ran
from tests.conftest import Cli
from tests.run_folders import row, write_run
from tests.zooms import zoomed

CALL = '<tool_call>{"name": "python", "arguments": {"code": "1"}}</tool_call>'
ANSWER = "<reason>r</reason><answer>A</answer>"


class Told(Metis):
    """Does after each turn what a test says, and keeps how the turns ended."""

    def __init__(self, after: Callable[[TurnEnd], After]) -> None:
        super().__init__()
        self.ends: list[TurnEnd] = []
        self._after = after

    def after(self, end: TurnEnd) -> After:
        self.ends.append(end)
        return self._after(end)


async def test_an_end_may_have_a_reason_of_its_own() -> None:
    told = Told(lambda end: After(Step.END, "four calls", stop=StopReason.LIMIT_TURNS))
    done = await ran(told, Model(CALL), ToldTool(OK))
    assert (done.stop, done.error) == (StopReason.LIMIT_TURNS, "four calls")
    assert (done.calls[0].status, done.turns[0].observations) == (CallStatus.OK, ())


async def test_an_end_without_one_is_what_the_turn_says() -> None:
    told = Told(lambda end: After(Step.END))
    done = await ran(told, Model("<tool_call>{oops}</tool_call>"), ToldTool(OK))
    assert (done.stop, done.calls[0].status) == (StopReason.ENDED, CallStatus.MALFORMED)


@pytest.mark.parametrize("step", [Step.GO_ON, Step.AGAIN])
async def test_no_step_goes_beyond_the_turns(step: Step) -> None:
    told = Told(lambda end: After(step, "so"))
    done = await ran(told, Model(CALL), ToldTool(OK), limits=Limits(turns=3))
    assert (len(done.turns), done.stop) == (3, StopReason.LIMIT_TURNS)
    assert [end.last for end in told.ends] == [False, False, True]
    assert [end.ran for end in told.ends] == [True, True, False]
    assert [call.status for call in done.calls] == [CallStatus.OK, CallStatus.OK, CallStatus.NOT_RUN]


async def test_going_on_from_nothing_is_the_end() -> None:
    told = Told(lambda end: After(Step.GO_ON))
    done = await ran(told, Model("well"), ToldTool(OK))
    assert (len(done.turns), done.stop) == (1, StopReason.ENDED)


async def test_what_a_protocol_is_told() -> None:
    images = (picture(64, 64), picture(64, 64, "blue"))
    tool = ToldTool(msgspec.structs.replace(OK, images=images), OK)
    steps = iter([Step.AGAIN, Step.GO_ON, Step.RESTART, Step.END])
    told = Told(lambda end: After(next(steps), "so"))
    await ran(told, Model(CALL, CALL, CALL, Completion(text="a", finish_reason="length")), tool)
    first, second, third, fourth = told.ends
    assert (first.images, first.images_so_far, first.calls_so_far) == (2, 3, 1)
    # what was taken out is not in the conversation, but has been called
    assert (second.images, second.images_so_far, second.calls_so_far, second.turn) == (0, 1, 2, 1)
    assert (third.tries, third.turn) == (0, 2)
    assert (fourth.tries, fourth.turn, fourth.calls_so_far, fourth.cut) == (1, 0, 0, True)


async def test_images_of_a_turn_that_was_taken_out_are_never_shown() -> None:
    tool = ToldTool(msgspec.structs.replace(OK, images=(picture(64, 64),)), OK)
    steps = iter([Step.AGAIN, Step.GO_ON])
    model = Model(CALL, CALL, ANSWER)
    done = await ran(Told(lambda end: After(next(steps), "so")), model, tool)
    assert [len(turn.shown) for turn in done.turns] == [1, 0, 0]
    assert all(len(message.images) <= 1 for request in model.requests for message in request.messages)


async def test_a_new_try_has_new_sessions_limits_of_calls_and_tokens() -> None:
    search = '<tool_call>{"name": "image_search", "arguments": {}}</tool_call>'
    tool = ToldTool(OK, name="image_search")
    steps = iter([Step.GO_ON, Step.RESTART, Step.GO_ON])
    done = await ran(Told(lambda end: After(next(steps), "so")), Model(search, "well", search, ANSWER), tool)
    assert [call.status for call in done.calls] == [CallStatus.OK, CallStatus.OK]
    assert (len(tool.samples), tool.closed) == (2, 2)
    assert done.stop is StopReason.ANSWERED


async def test_tokens_of_a_turn_that_was_taken_out_are_free_again() -> None:
    steps = iter([Step.AGAIN, Step.GO_ON])
    long = Completion(text=CALL, usage=Usage(prompt_tokens=100, completion_tokens=90))
    model = Model(long, long, ANSWER)
    await ran(Told(lambda end: After(next(steps), "so")), model, ToldTool(OK), limits=Limits(trajectory_tokens=120))
    assert [request.max_tokens for request in model.requests] == [120, 120, 30]


async def test_without_tools_the_question_is_the_one_without_tools() -> None:
    model = Model("<answer>A</answer>")
    await ran(Thyme(), model)
    words = model.requests[0].messages[-1].text
    assert "without code" in words
    assert "image_1.png" not in words


async def test_the_time_counts_over_all_tries() -> None:
    from evalkit import Timing

    slow = Completion(text="well", timing=Timing(generate_s=2.0))
    done = await ran(Told(lambda end: After(Step.RESTART, "so")), Model(slow), ToldTool(OK), limits=Limits(seconds=5))
    assert (done.stop, len(done.turns), done.restarts) == (StopReason.LIMIT_TIME, 3, 2)


class Unfolding(Metis):
    """A server that has called a tool by itself."""

    def unfold(self, turn: Turn) -> tuple[Turn, ...]:
        head, _, tail = turn.text.partition("|")
        call = ToolCall(tool="code", raw="{}", status=CallStatus.OK, seconds=None)
        first = Turn(text=head, calls=(call,), observations=(Observation(text="7"),))
        return first, msgspec.structs.replace(turn, text=tail)


async def test_one_generation_may_stand_for_several_turns() -> None:
    done = await ran(Unfolding(), Model(f"think|{ANSWER}"))
    assert [turn.text for turn in done.turns] == ["think", ANSWER]
    assert (done.stop, [call.tool for call in done.calls]) == (StopReason.ANSWERED, ["code"])


async def test_an_answer_that_is_the_last_turn_leaves_calls_alone() -> None:
    class Last(Metis):
        def parse(self, text: str) -> Reply:
            return msgspec.structs.replace(super().parse(text), last=True)

    tool = ToldTool(OK)
    done = await ran(Last(), Model(ANSWER + CALL), tool)
    assert (done.stop, done.calls[0].status, tool.calls) == (StopReason.ANSWERED, CallStatus.NOT_RUN, [])


async def test_a_cut_conversation_has_what_stayed_in_it() -> None:
    model = Model("<code>a</code>", "<code>b</code>", "<code>c</code>", "<answer>A</answer>")

    class Bare(Thyme):
        def equip(self, tool):  # type: ignore[no-untyped-def]
            return tool

    done = await ran(Bare(), model, ToldTool(FAILED, OK), limits=Limits(turns=5))
    made = Agent(
        engine=ScriptedEngine(model), protocol=Bare(), tools={"python": ToldTool(OK)}, sampling=Sampling(),
        limits=Limits(),
    )  # fmt: skip
    texts = [[m.text for m in conversation(made, done, calls)] for calls in (1, 2, 3)]
    output = "<sandbox_output>fine</sandbox_output>"
    assert texts == [
        [],
        [f"<code>b</code>{output}"],
        [f"<code>b</code>{output}<code>c</code>{output}"],
    ]
    assert [m.role for m in conversation(made, done, 3)] == ["assistant"]


def config(kind: str, quirks: tuple[str, ...] = ()) -> dict[str, object]:
    made = Agent(
        engine=ScriptedEngine(["x"]), protocol=protocol(kind, quirks), tools={}, sampling=Sampling(), limits=Limits()
    )
    task = open_task(tasks_named("panel_probe", find_tasks())[0], None)
    tree = config_of(task=task, samples=[], card=find_card("scripted"), identity="", agent=made, sandbox={})
    return dict(tree["protocol"])


def test_quirks_are_in_the_configuration_only_where_there_are_any() -> None:
    assert set(config("metis")) == {"name", "version", "system_prompt", "tools", "declarations"}
    assert config("deepeyes_v2", ("resend", "jpeg"))["quirks"] == ["jpeg", "resend"]
    with pytest.raises(EvalkitError, match="unknown quirk of protocol metis 'jpeg'"):
        protocol("metis", ["jpeg"])


def test_records_without_tries_read_and_write_as_before() -> None:
    old = b'{"prompt":"p","stop":"answered","turns":[{"text":"t"}]}'
    read = msgspec.json.decode(old, type=Trajectory, dec_hook=decode_hook(None))
    assert (read.restarts, read.fallback, read.final, read.response) == (0, "", "", "t")
    assert msgspec.json.encode(read, enc_hook=encode_hook) == old


def tried(id: str, **facts: object) -> Record:
    record = row(id)
    turns = (Turn(text="one", discarded="the [b]code[/b] failed", temperature=1.0), *record.trajectory.turns)
    return msgspec.structs.replace(
        record, trajectory=msgspec.structs.replace(record.trajectory, **{"turns": turns, **facts})
    )


def test_the_summary_says_how_answers_came_about() -> None:
    task = open_task(tasks_named("panel_probe", find_tasks())[0], None)
    rows = [
        row("1"),
        tried("2"),
        tried("3", restarts=2),
        tried("4", restarts=4, fallback="Say it."),
        msgspec.structs.replace(tried("5", stop=StopReason.GAVE_UP), outcome=row("5", Verdict.UNPARSED).outcome),
    ]
    summary = summarise(task, "m", 5, rows)
    assert summary.tries == {"discarded": 4, "restarted": 2, "fallback": 1, "gave_up": 1}
    note = tries_note(summary)
    assert "2 were begun anew" in note
    assert "1 were answered without tools" in note
    assert tries_note(summarise(task, "m", 1, rows[:1])) == ""


def test_show_tells_of_tries(cli: Cli, tmp_path: Path) -> None:
    record = tried("7", restarts=4, fallback="Say it.", final="<answer>words</answer>")
    write_run(tmp_path / "run", [record])
    said = cli("show", "run", "7").stdout
    assert "taken out: the [b]code[/b] failed" in said
    assert "drawn at temperature 1" in said
    assert "asked without tools" in said
    assert "begun anew 4 times" in said
    assert "<answer>words</answer>" in said


def run(cli: Cli, *more: str) -> tuple[int, str]:
    done = cli(
        *("run", "--tasks", "panel_probe", "--limit", "2", "--model", "scripted", "--script", "s.json"),
        *("--protocol", "deepeyes_v2", "--run-dir", "run", *more),
    )
    return done.returncode, done.stdout + done.stderr


def test_faithful_follows_and_records_every_quirk(cli: Cli, tmp_path: Path) -> None:
    code = "<code>```python\nraise ValueError(1)\n```</code>"
    (tmp_path / "s.json").write_bytes(msgspec.json.encode({"default": [code]}))
    status, said = run(cli, "--faithful")
    assert status == 0, said
    assert "2 were begun anew" in said
    assert "2 have no answer" in said
    protocol_part = msgspec.json.decode((tmp_path / "run" / "run.json").read_bytes())["config"]["protocol"]
    assert protocol_part["quirks"] == sorted(DeepEyesV2.quirks)
    # the same folder does not take a run without them
    status, said = run(cli)
    assert status == 2
    assert "protocol.quirks" in said


def test_a_quirk_that_does_not_exist_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"default": ["x"]}')
    status, said = run(cli, "--quirk", "resnd")
    assert status == 2
    assert "resend" in said


def test_a_quirk_may_be_followed_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"default": ["x"]}')
    assert run(cli, "--quirk", "resend")[0] == 0
    lines = (tmp_path / "run" / "samples.jsonl").read_bytes().splitlines()
    assert [len(msgspec.json.decode(line)["trajectory"]["turns"]) for line in lines] == [11, 11]


async def test_native_tools_still_go_by_messages_of_their_own() -> None:
    model = Model(CALL, ANSWER)
    await ran(QwenTools(), model, ToldTool(OK))
    request: Request = model.requests[1]
    assert [message.role for message in request.messages] == ["user", "assistant", "tool"]
    assert not request.continues


async def test_metis_first_answer_is_a_quirk() -> None:
    text = "<reason>not <answer>A</answer></reason><answer>B</answer>"
    assert (await ran(Metis(), Model(text))).response == text
    assert (await ran(Metis({"first_answer"}), Model(text))).response == "<answer>A</answer>"


async def test_mini_o3_ends_at_a_crop_without_room_where_the_quirk_is_on() -> None:
    box = '<grounding>{"bbox_2d": [0.1, 0.1, 0.9, 0.9], "source": "original_image"}</grounding>'
    few = Limits(images=2)
    told = await zoomed(protocol("mini_o3"), Model(box, box, ANSWER), picture(), limits=few)
    assert (told.stop, len(told.turns)) == (StopReason.ANSWERED, 3)
    done = await zoomed(protocol("mini_o3", {"full_ends"}), Model(box, box, ANSWER), picture(), limits=few)
    assert (done.stop, done.error, len(done.turns)) == (StopReason.LIMIT_TURNS, "no room for a further image", 2)
