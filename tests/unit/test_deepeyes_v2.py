"""DeepEyesV2's protocols: code blocks, what follows failed code, the search variant, and the quirks."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit import CallStatus, ImageFile, Sample, StopReason, Verdict
from evalkit.agents import Limits
from evalkit.agents.protocols import DeepEyesV2, DeepEyesV2Search
from evalkit.agents.protocols._reindent import reindented
from evalkit.agents.protocols.base import ParsedCall
from evalkit.content import find_tasks, open_task, tasks_named
from evalkit.engines import Completion
from evalkit.engines.pixels import smart_resize
from evalkit.runs.outcome import outcome_of
from evalkit.tools.base import ToolResult
from tests.agents import FAILED, OK, Model, ToldTool, kept, picture, ran

CODE = "<think>look</think>\n<code>\n```python\nprint(1)\n```\n</code>"
VSTAR = open_task(tasks_named("vstar", find_tasks())[0], "sample")
SEARCH = '<tool_call>\n{"name": "search", "arguments": {"query": "x"}}\n</tool_call>'
IMAGE_SEARCH = '<tool_call>{"name": "image_search"}</tool_call>'
ANSWER = "<think>so</think><answer>B</answer>"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (CODE, "print(1)"),
        ("<code>print(1)</code>", "print(1)"),
        ("<code>```python\none\n```</code><code>```python\ntwo\n```</code>", "one"),
        ("<code>\n```python\none\n```\nprose\n```python\ntwo\n```\n</code>", "one"),
        ("<code>```python\none</code>", "one"),
    ],
)
def test_the_first_block_and_its_first_fence_are_the_code(text: str, code: str) -> None:
    for protocol in (DeepEyesV2(), DeepEyesV2Search()):
        (call,) = protocol.parse(text).calls
        assert (call.tool, call.arguments, call.error) == ("python", {"code": code}, "")


def test_an_answer_ends_it_whatever_else_is_there() -> None:
    reply = DeepEyesV2().parse(f"{ANSWER}{CODE}")
    assert (reply.answered, reply.last, len(reply.calls)) == (True, True, 1)
    assert not DeepEyesV2().parse("<code>print('<answer>A</answer>')</code>").answered
    assert not DeepEyesV2().parse("<answer>A").answered


@given(st.text(st.sampled_from('<>/codeanswtl_`python \n{}":'), max_size=120) | st.text(max_size=120))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for protocol in (DeepEyesV2(), DeepEyesV2Search()):
        assert len(protocol.parse(text).calls) <= 1


async def test_a_result_is_a_users_turn_in_the_authors_layout() -> None:
    model = Model(CODE, ANSWER)
    tool = ToldTool(ToolResult(status=CallStatus.OK, text="7\n", error="a warning", images=(picture(56, 56),)))
    done = await ran(DeepEyesV2(), model, tool)
    last = model.requests[1].messages[-1]
    assert last.role == "user"
    assert last.text == ("Code execution result:\nstdout:\n```\n7\n```\n\nstderr:\n```\na warning\n```\n\nImages:\n")
    assert [(image.header.width, image.header.height) for image in last.images] == [(56, 56)]
    assert model.requests[0].stop == ("</code>", "<|im_end|>")
    assert done.stop is StopReason.ANSWERED


async def test_code_sees_the_first_image_alone_as_large_as_the_model_does() -> None:
    sample = Sample(id="s", question="q", images=(picture(300, 41), picture(56, 56)))
    tool = ToldTool(OK)
    await ran(DeepEyesV2(), Model(CODE, ANSWER), tool, sample=sample)
    (image,) = tool.samples[0].images
    assert (image.header.width, image.header.height) == smart_resize(300, 41, DeepEyesV2.budget) == (308, 28)


async def test_failed_code_begins_the_sample_anew_and_ends_it_after_five_tries() -> None:
    model = Model(CODE)
    tool = ToldTool(FAILED)
    done = await ran(DeepEyesV2(), model, tool)
    assert (len(done.turns), len(tool.calls), done.restarts) == (5, 5, 4)
    assert all(request.messages == model.requests[0].messages for request in model.requests)
    assert done.stop is StopReason.GAVE_UP
    assert done.error == "the code failed (failed) in each of 5 tries"
    assert [turn.discarded for turn in done.turns] == ["the code failed (failed)"] * 4 + [""]
    assert not any(turn.observations for turn in done.turns)


async def test_a_sample_begun_anew_may_still_be_answered_and_all_of_it_counts() -> None:
    tool = ToldTool(OK, FAILED, OK)
    done = await ran(DeepEyesV2(), Model(CODE, CODE, CODE, ANSWER), tool)
    assert done.stop is StopReason.ANSWERED
    assert [bool(turn.discarded) for turn in done.turns] == [True, True, False, False]
    assert [call.status for call in done.calls] == [CallStatus.OK, CallStatus.FAILED, CallStatus.OK]
    tokens = [turn.usage.completion_tokens or 0 for turn in done.turns]
    assert done.usage.completion_tokens == sum(tokens) > tokens[-1]
    assert len(kept(done)) == 2


async def test_giving_up_is_no_answer_whatever_the_last_turn_says() -> None:
    done = await ran(DeepEyesV2(), Model(f"The answer is A. {CODE}"), ToldTool(FAILED))
    outcome = outcome_of(VSTAR, Sample(id="s", question="q", answer="A", choices={"A": "x"}), done)
    assert (outcome.verdict, outcome.reason, outcome.error) == (Verdict.UNPARSED, "gave_up", "")


async def test_a_call_of_one_letter_takes_no_letter_from_the_answer() -> None:
    done = await ran(DeepEyesV2(), Model("<answer>B</answer><code>B</code>"), ToldTool(OK))
    assert [call.status for call in done.calls] == [CallStatus.NOT_RUN]
    sample = Sample(id="s", question="q", answer="B", choices={"A": "x", "B": "y"})
    assert outcome_of(VSTAR, sample, done).verdict is Verdict.CORRECT


async def test_a_turn_with_neither_code_nor_an_answer_is_the_last() -> None:
    done = await ran(DeepEyesV2(), Model("B, I think"), ToldTool(OK))
    assert (len(done.turns), done.stop, done.response) == (1, StopReason.ENDED, "B, I think")


async def test_resending_it_is_a_quirk_that_ends_with_the_turns() -> None:
    model = Model("B, I think")
    done = await ran(DeepEyesV2({"resend"}), model, ToldTool(OK), limits=Limits(turns=11))
    assert (len(done.turns), done.stop, done.response) == (11, StopReason.ENDED, "B, I think")
    assert [bool(turn.discarded) for turn in done.turns] == [True] * 10 + [False]
    assert all(request.messages == model.requests[0].messages for request in model.requests)


async def test_resending_helps_where_the_model_does_not_repeat_itself() -> None:
    done = await ran(DeepEyesV2({"resend"}), Model("hm", CODE, ANSWER), ToldTool(OK))
    assert (done.stop, done.restarts) == (StopReason.ANSWERED, 0)


@pytest.mark.parametrize(("quirks", "final"), [((), ""), (("first_answer",), "<answer>A</answer>")])
async def test_which_answer_counts_is_a_quirk(quirks: tuple[str, ...], final: str) -> None:
    done = await ran(DeepEyesV2(quirks), Model("<think><answer>A</answer></think><answer>B</answer>"), ToldTool(OK))
    assert done.final == final


def test_first_answer_leaves_a_text_without_one_whole() -> None:
    assert DeepEyesV2({"first_answer"}).final("B, I think") == "B, I think"


async def test_white_images_are_left_out_by_a_quirk() -> None:
    white, nearly = picture(56, 56, "white"), picture(56, 56, "#fafafa")
    grey = Image.fromarray(np.full((56, 56, 3), 255, np.uint8))
    grey.putpixel((3, 3), (255, 249, 255))
    images = (white, nearly, ImageFile.from_pil(grey))
    for quirks, left in ((), 3), (("drop_white",), 1):
        model = Model(CODE, ANSWER)
        await ran(DeepEyesV2(quirks), model, ToldTool(ToolResult(status=CallStatus.OK, images=images)))
        assert len(model.requests[1].messages[-1].images) == left


async def test_images_are_sent_as_jpeg_by_a_quirk() -> None:
    result = ToolResult(status=CallStatus.OK, images=(picture(56, 56),))
    for quirks, mime in ((), "image/png"), (("jpeg",), "image/jpeg"):
        model = Model(CODE, ANSWER)
        await ran(DeepEyesV2(quirks), model, ToldTool(result))
        assert [image.header.mime for image in model.requests[1].messages[-1].images] == [mime]


LOOP = "total = 0\nfor x in range(3):\n    if x:\n        total += x\nprint(total)"


def test_reindenting_pulls_what_follows_a_block_into_it() -> None:
    assert reindented(LOOP) == ("total = 0\nfor x in range(3):\n    if x:\n        total += x\n        print(total)")
    assert reindented("try:\n  a()\nexcept E:\n  b()\n\nelse:\n  c()") == (
        "try:\n    a()\nexcept E:\n    b()\nelse:\n    c()"
    )


@given(st.lists(st.sampled_from(["a()", "if a:", "else:", "elif b:", "for x in y:", "", "x = 1", "elsewhere = 2"])))
def test_reindenting_keeps_every_line(lines: list[str]) -> None:
    code = reindented("\n".join(lines))
    assert [line.strip() for line in code.split("\n") if line] == [line for line in lines if line]


async def test_reindenting_is_a_quirk_and_the_record_has_the_models_own_code() -> None:
    text = f"<code>```python\n{LOOP}\n```</code>"
    for quirks, same in ((), True), (("reindent",), False):
        tool = ToldTool(OK)
        done = await ran(DeepEyesV2(quirks), Model(text, ANSWER), tool)
        assert (tool.calls == [{"code": LOOP}]) == same
        ast.parse(tool.calls[0]["code"])
        assert done.calls[0].arguments == {"code": LOOP}


async def test_a_cut_turn_is_a_token_limit() -> None:
    done = await ran(DeepEyesV2(), lambda request: Completion(text="<code>a", finish_reason="length"), ToldTool(OK))
    assert (done.stop, done.calls[0].status) == (StopReason.LIMIT_TOKENS, CallStatus.MALFORMED)


# the search variant


@pytest.mark.parametrize(
    ("text", "tool", "error"),
    [
        (SEARCH, "search", ""),
        (SEARCH + IMAGE_SEARCH, "image_search", ""),
        (IMAGE_SEARCH, "image_search", ""),
        (IMAGE_SEARCH.replace('"}', '", "arguments": {}}'), "image_search", ""),
        (IMAGE_SEARCH.replace('"}', '", "arguments": {"image": 1}}'), "image_search", "takes no arguments"),
        ("<tool_call>{oops}</tool_call>", "", "not valid JSON"),
        (SEARCH + CODE, "python", ""),
    ],
)
def test_one_kind_of_call_a_turn(text: str, tool: str, error: str) -> None:
    (call,) = DeepEyesV2Search().parse(text).calls
    assert call.tool == tool
    assert error in call.error
    assert bool(error) == bool(call.error)


async def test_a_search_that_fails_is_shown_and_image_search_works_once() -> None:
    failed = ToolResult(status=CallStatus.FAILED, error="no network")
    found = ToolResult(status=CallStatus.OK, text="1. a page")
    tools = (ToldTool(failed, name="text_search"), ToldTool(found, name="image_search"), ToldTool(FAILED))
    model = Model(SEARCH, IMAGE_SEARCH, IMAGE_SEARCH, CODE, ANSWER)
    done = await ran(DeepEyesV2Search(), model, *tools)
    assert done.stop is StopReason.ANSWERED
    assert (done.restarts, any(turn.discarded for turn in done.turns)) == (0, False)
    assert [call.status for call in done.calls] == ["failed", "ok", "blocked", "failed"]
    assert done.turns[0].observations[0].text == "<tool_response>\nError: no network\n</tool_response>"
    assert done.turns[1].observations[0].text == "<tool_response>\n1. a page\n</tool_response>"
    assert "NameError: x" in done.turns[3].observations[0].text


def test_ten_images_of_a_result_are_shown() -> None:
    result = ToolResult(status=CallStatus.OK, text="x", images=(picture(),) * 12)
    for tool in ("python", "text_search"):
        assert len(DeepEyesV2Search().observe(ParsedCall(tool=tool, raw=""), result).images) == 10
