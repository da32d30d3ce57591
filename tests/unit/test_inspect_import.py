"""Logs that other people's Inspect runs leave: what evalkit makes of their messages, scores, errors and limits."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit import CallStatus, Record, StopReason, Verdict
from evalkit.bridges.imported import Imported, write_imported

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed (pip install 'evalkit[inspect]')")

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalResults,
    EvalSample,
    EvalSampleLimit,
    EvalScore,
    EvalSpec,
    write_eval_log,
)
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentAudio,
    ContentImage,
    ContentReasoning,
    ContentText,
    ContentToolUse,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.scorer import Score
from inspect_ai.tool import ToolCall, ToolCallError

from evalkit.bridges.inspect.read import read_log

Read = Callable[..., tuple[list[Record], Imported]]


def uri(colour: str = "red") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def sample(id: Any = "a", *messages: Any, score: Any = "C", **more: Any) -> EvalSample:
    said = [ChatMessageUser(content="What is it?", source="input"), *messages]
    fields = {"scores": {"match": Score(value=score, answer="it")}, "target": "it", **more}
    return EvalSample(id=id, epoch=fields.pop("epoch", 1), input="What is it?", messages=said, **fields)


def calling(id: str, name: str = "look", **arguments: Any) -> ToolCall:
    return ToolCall(id=id, function=name, arguments=arguments)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The records of a log of the samples given, and the recording."""

    def run(*samples: EvalSample, **more: Any) -> tuple[list[Record], Imported]:
        spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00", task="mine", model="openai/m", dataset=EvalDataset(),
            config=EvalConfig(), eval_id="e", run_id="r", task_id="t",
        )  # fmt: skip
        log = EvalLog(eval=spec, samples=list(samples), **{"status": "success", **more})
        write_eval_log(log, tmp_path / "log.eval")
        found = read_log(tmp_path / "log.eval")
        return list(found.records), found

    return run


def test_what_the_log_is_of(read: Read) -> None:
    found = read(
        sample("a", ChatMessageAssistant(content="it")),
        sample("b", ChatMessageAssistant(content="no"), score="I", metadata={"kind": "easy", "tree": [1]}),
    )[1]

    assert (found.task, found.model, found.score, found.scorer) == ("mine", "openai/m", "match", "inspect/match")


def test_a_row(read: Read) -> None:
    (one,), _ = read(sample(7, ChatMessageAssistant(content="it"), choices=["x", "it"], epoch=3, target=["it", "that"],
                            metadata={"n": 1, "tree": {"a": [1]}}))  # fmt: skip

    asked = one.sample
    assert (asked.id, asked.question, asked.answer) == ("7", "What is it?", "it, that")
    assert asked.choices == {"A": "x", "B": "it"}
    assert asked.metadata == {"n": 1, "tree": '{"a":[1]}'}
    assert one.repeat == 2
    assert (one.trajectory.prompt, one.trajectory.response) == ("What is it?", "it")
    assert (one.outcome.verdict, one.outcome.answer, one.outcome.scores) == (Verdict.CORRECT, "it", {"match": "C"})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, CallStatus.OK),
        (ToolCallError("timeout", "slow"), CallStatus.TIMEOUT),
        (ToolCallError("parsing", "left is no number"), CallStatus.MALFORMED),
        (ToolCallError("parsing", "Tool look not found"), CallStatus.UNKNOWN_TOOL),
        (ToolCallError("approval", "no"), CallStatus.BLOCKED),
        (ToolCallError("limit", "too much"), CallStatus.BLOCKED),
        (ToolCallError("permission", "denied"), CallStatus.FAILED),
        (ToolCallError("unknown", "broke"), CallStatus.FAILED),
    ],
)
def test_what_became_of_a_call(read: Read, error: ToolCallError | None, status: CallStatus) -> None:
    (one,), _ = read(
        sample(
            "a",
            ChatMessageAssistant(content="I look", tool_calls=[calling("1", left=3)]),
            ChatMessageTool(content="seen", tool_call_id="1", function="look", error=error),
            ChatMessageAssistant(content="it"),
        )
    )

    (call,) = one.trajectory.calls
    assert (call.tool, call.status, call.error) == ("look", status, error.message if error else "")
    assert call.arguments == ({} if status is CallStatus.MALFORMED else {"left": 3})
    assert one.trajectory.turns[0].observations[0].text == "seen"


def test_calls_that_nobody_answered(read: Read) -> None:
    (one,), _ = read(sample("a", ChatMessageAssistant(content="I look", tool_calls=[calling("1"), calling("2")])))

    assert [call.status for call in one.trajectory.calls] == [CallStatus.NOT_RUN] * 2
    assert one.trajectory.turns[0].observations == ()


def test_results_and_words_in_any_order(read: Read) -> None:
    (one,), _ = read(
        sample(
            "a",
            ChatMessageAssistant(content="I look twice", tool_calls=[calling("1"), calling("2")]),
            ChatMessageTool(content="second", tool_call_id="2"),
            ChatMessageTool(content="first", tool_call_id="1"),
            ChatMessageUser(content=[ContentImage(image=uri())], tool_call_id=["1"]),
            ChatMessageUser(content="Go on."),
            ChatMessageAssistant(content="hm"),
            ChatMessageUser(content="Well?"),
            ChatMessageAssistant(content="it"),
        )
    )

    first, second, _ = one.trajectory.turns
    assert [seen.text for seen in first.observations] == ["first", "second\nGo on."]
    assert [len(seen.images) for seen in first.observations] == [1, 0]
    assert [seen.text for seen in second.observations] == ["Well?"]


def test_contents_of_every_kind(read: Read) -> None:
    parts = [
        ContentReasoning(reasoning="let me see"),
        ContentText(text="it"),
        ContentToolUse(tool_type="web_search", id="s", name="web", arguments='{"q": 1}', result="found"),
    ]
    asked = ChatMessageUser(
        content=[
            ContentImage(image=uri()),
            ContentImage(image="https://example.org/x.png"),
            ContentImage(image="/etc/hostname"),
            ContentImage(image="data:image/png;base64,AAAA"),
            ContentAudio(audio="x.wav", format="wav"),
            ContentText(text="And?"),
        ]
    )
    (one,), found = read(
        sample("a", asked, ChatMessageAssistant(content=parts), output=ModelOutput.from_content("m", "it"))
    )

    (turn,) = one.trajectory.turns
    assert turn.text == "<think>let me see</think>\nit"
    assert one.trajectory.response == "it"
    assert [(call.tool, call.arguments, call.status) for call in turn.calls] == [("web", {"q": 1}, CallStatus.OK)]
    assert [seen.text for seen in turn.observations] == ["found"]
    assert len(one.sample.images) == 1
    assert sorted(found.notes) == [
        "not taken over from the log: 1 broken images",
        "not taken over from the log: 1 parts of kind audio",
        "not taken over from the log: 2 images that the log does not hold",
    ]


def test_examples_in_the_prompt_are_no_turns(read: Read) -> None:
    shots = [
        ChatMessageSystem(content="Be brief."),
        ChatMessageUser(content="And this?", source="input"),
        ChatMessageAssistant(content="that", source="input"),
        ChatMessageUser(content="And now?", source="input"),
    ]
    (one,), found = read(sample("a", *shots, ChatMessageAssistant(content="it")))

    assert len(one.trajectory.turns) == 1
    assert one.trajectory.prompt == "What is it?\n\nAnd this?\n\nthat\n\nAnd now?"
    assert found.system_prompt == "Be brief."


def test_system_prompts_that_differ(read: Read) -> None:
    _, found = read(*(sample(id, ChatMessageSystem(content=id), ChatMessageAssistant(content="it")) for id in "ab"))

    assert found.system_prompt is None
    assert found.notes == ["rows have 2 different system prompts, which are not kept"]


@pytest.mark.parametrize(
    ("fields", "stop", "verdict"),
    [
        ({"limit": EvalSampleLimit(type="message", limit=3)}, StopReason.LIMIT_TURNS, Verdict.LIMIT_TURNS),
        ({"limit": EvalSampleLimit(type="context", limit=3)}, StopReason.LIMIT_TOKENS, Verdict.LIMIT_TOKENS),
        ({"limit": EvalSampleLimit(type="working", limit=3)}, StopReason.LIMIT_TIME, Verdict.LIMIT_TIME),
        ({"limit": EvalSampleLimit(type="operator", limit=1)}, StopReason.GAVE_UP, Verdict.UNPARSED),
        ({"error": EvalError(message="a\nb", traceback="", traceback_ansi="")}, StopReason.ENGINE_ERROR,
         Verdict.ENGINE_ERROR),
        ({}, StopReason.ENDED, Verdict.INCORRECT),
    ],
)  # fmt: skip
def test_why_a_row_ended(read: Read, fields: Any, stop: StopReason, verdict: Verdict) -> None:
    (one,), _ = read(sample("a", ChatMessageAssistant(content="it"), score="I", **fields))

    assert (one.trajectory.stop, one.outcome.verdict) == (stop, verdict)
    assert "\n" not in one.outcome.error


@pytest.mark.parametrize(
    ("value", "kept", "verdict"),
    [
        (1, {"match": 1}, Verdict.CORRECT),
        (0.5, {"match": 0.5}, Verdict.INCORRECT),
        ("P", {"match": "P"}, Verdict.INCORRECT),
        ("yes", {"match": 1}, Verdict.CORRECT),
        ("1.0", {"match": 1.0}, Verdict.CORRECT),
        (True, {"match": True}, Verdict.CORRECT),
        ("fine", {"match": "fine"}, Verdict.JUDGE_ERROR),
        (float("nan"), {"match": None}, Verdict.JUDGE_ERROR),
        ({"a": "C", "b": 0.25}, {"match.a": "C", "match.b": 0.25}, Verdict.CORRECT),
    ],
)
def test_scores_of_every_kind(read: Read, value: Any, kept: dict[str, Any], verdict: Verdict) -> None:
    (one,), _ = read(sample("a", ChatMessageAssistant(content="it"), score=value))

    assert (one.outcome.scores, one.outcome.verdict) == (kept, verdict)


def test_the_main_score_is_that_of_the_logs_results(read: Read) -> None:
    scores = {"first": Score(value=0), "second": Score(value={"x": 0, "y": 1})}
    results = EvalResults(scores=[EvalScore(name="y", scorer="second"), EvalScore(name="first", scorer="first")])
    (one,), found = read(sample("a", ChatMessageAssistant(content="it"), scores=scores), results=results)

    assert found.score == "second.y"
    assert one.outcome.verdict is Verdict.CORRECT


def test_a_log_without_scores_has_no_verdicts(read: Read, tmp_path: Path) -> None:
    (one,), _ = read(sample("a", ChatMessageAssistant(content="it"), scores=None))
    _, info, _ = write_imported(tmp_path / "runs", read_log(tmp_path / "log.eval"), [tmp_path / "log.eval"])

    assert (one.outcome.verdict, one.outcome.error) == (Verdict.JUDGE_ERROR, "the recording has no score")
    assert [note for note in info.notes if "score" in note] == [
        "the recording has no score: no row is right or wrong until a task of evalkit's scores it (--task)"
    ]


def test_tokens_of_a_log_without_events(read: Read) -> None:
    usage = ModelUsage(input_tokens=5, output_tokens=7, total_tokens=15, input_tokens_cache_read=3)
    output = ModelOutput.from_content("m", "it")
    output.usage = usage
    (one,), _ = read(sample("a", ChatMessageAssistant(content="it"), output=output))

    assert (one.trajectory.usage.prompt_tokens, one.trajectory.usage.completion_tokens) == (8, 7)
    assert one.trajectory.turns[0].timing.generate_s is None


def test_a_log_that_is_not_finished_says_so(read: Read) -> None:
    error = EvalError(message="out of money", traceback="", traceback_ansi="")
    rows, found = read(sample("a", ChatMessageAssistant(content="it")), status="error", error=error)

    assert len(rows) == 1
    assert found.notes[0] == "the log's status is error: out of money: samples may be missing"


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_calls = st.lists(st.builds(calling, st.sampled_from("123"), _texts, left=st.integers()), max_size=3)
_messages = st.lists(
    st.one_of(
        st.builds(ChatMessageAssistant, content=_texts, tool_calls=st.none() | _calls),
        st.builds(ChatMessageTool, content=_texts, tool_call_id=st.none() | st.sampled_from("1234")),
        st.builds(ChatMessageUser, content=_texts, tool_call_id=st.none() | st.lists(st.sampled_from("123"))),
        st.builds(ChatMessageSystem, content=_texts),
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(_messages)
def test_any_conversation_is_read_whole(messages: list[Any]) -> None:
    from evalkit.bridges.inspect.content import ContentReader
    from evalkit.bridges.inspect.happened import Happened
    from evalkit.bridges.inspect.turns import talk

    reader = ContentReader()
    found = talk(sample("a", *messages), Happened([], "here"), reader)

    said = [message for message in messages if message.role == "assistant"]
    assert [turn.text for turn in found.turns] == [message.content for message in said]
    for turn in found.turns:
        if turn.calls:
            assert len(turn.observations) in (0, len(turn.calls))
    words = [found.system, found.prompt, *(seen.text for turn in found.turns for seen in turn.observations)]
    lost = reader.lost["results of calls that no message makes"]
    missing = [one for one in messages if one.role != "assistant" and not any(one.content in word for word in words)]
    assert len(missing) <= lost
