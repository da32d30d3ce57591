"""DeepEyes' protocol against the recorded runs, call for call, and against what is known of its scripts.

Of 382, 361 and 1,609 recorded responses, each that has a call is read as the log's own JSON says (one is no JSON: its
object is followed by broken tags, and the recorded runner cropped it), each that was answered by a crop has a call that
can be read, and no other has. Final answers are those of the log in all rows but six: those that the runner ended with
an error, whose last response is not in the chat.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from evalkit import CallStatus, ImageFile, StopReason
from evalkit.agents import Limits
from evalkit.agents.protocols import DeepEyes
from evalkit.agents.protocols.deepeyes import TOOL, find_calls, first_answer
from evalkit.bridges._deepeyes_log import SUCCESS, Logged, LogRow, read_logs
from evalkit.tools.base import ToolResult
from tests.agents import Model, ToldTool, kept, picture, ran
from tests.zooms import chart, only_image, same, zoomed

RUNS = {
    "vstar/deepeyes_logs/ds4_bugfree/global_step_48": {"rows": 191, "responses": 382, "calls": 191},
    "vstar/deepeyes_logs/deepeyes_7b_rerun": {"rows": 191, "responses": 361, "calls": 345, "no JSON": 1},
    "hrbench/deepeyes_logs": {"rows": 800, "responses": 1609, "calls": 1452, "answer not in chat": 6},
}
BESIDE = {"vstar/deepeyes_logs/deepeyes_7b_rerun": 175, "hrbench/deepeyes_logs": 638}
CALL = '<think>t</think><tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": %s}}\n</tool_call>'
ANSWER = "<think>so</think><answer>B</answer>"
EVERY = DeepEyes(DeepEyes.quirks)


def logs(data: Path, run: str) -> list[Logged]:
    return read_logs(sorted((data / run).glob("*.jsonl")))


def responses(row: LogRow) -> Iterator[tuple[str, bool]]:
    """Each response of a row, and whether a crop follows it."""
    chat = [*row.pred_output, None]
    for message, follows in itertools.pairwise(chat):
        if message is not None and message.role == "assistant":
            yield message.text, follows is not None and follows.has_image


@pytest.mark.parametrize("run", RUNS)
def test_every_recorded_call_is_read_as_the_log_says(shared_data: Path, run: str) -> None:
    counted: Counter[str] = Counter()
    for logged in logs(shared_data, run):
        counted["rows"] += 1
        for text, cropped in responses(logged.row):
            counted["responses"] += 1
            calls = DeepEyes().parse(text).calls
            assert len(calls) == min(text.count("<tool_call>"), 1), logged.where
            # a crop follows exactly where there is a call that can be read
            assert bool(calls and not calls[0].error) == cropped, logged.where
            if not calls:
                continue
            counted["calls"] += 1
            written = text.split("<tool_call>")[1].split("</tool_call>")[0]
            try:
                said = json.loads(written)
            except ValueError:
                counted["no JSON"] += 1
                said, _ = json.JSONDecoder().raw_decode(written.strip())
            assert (calls[0].tool, calls[0].arguments) == (said["name"], said["arguments"]), logged.where
        answer = final_answer(logged.row)
        if answer != logged.row.pred_ans:
            assert logged.row.status != SUCCESS, logged.where
            counted["answer not in chat"] += 1
    assert counted == RUNS[run]


def final_answer(row: LogRow) -> str:
    texts = [text for text, _ in responses(row)]
    final = EVERY.final(texts[-1]) if texts else ""
    return final.removeprefix("<answer>").removesuffix("</answer>") if texts and first_answer(texts[-1]) else final


@pytest.mark.parametrize("run", RUNS)
async def test_an_agent_that_says_the_recorded_words_makes_the_recorded_calls(shared_data: Path, run: str) -> None:
    beside = 0
    for logged in logs(shared_data, run):
        if logged.row.status != SUCCESS:
            continue
        told = list(responses(logged.row))
        tool = ToldTool(ToolResult(status=CallStatus.OK, images=(picture(),)), name=TOOL)
        trajectory = await ran(EVERY, Model(*(text for text, _ in told)), tool, limits=Limits(trajectory_tokens=10**6))
        assert [turn.text for turn in trajectory.turns] == [text for text, _ in told], logged.where
        # the runner also crops beside an answer, and nobody sees that crop; evalkit does not
        seen = [text for text, cropped in told[:-1] if cropped]
        beside += told[-1][1]
        assert tool.calls == [find_calls(text)[0].arguments for text in seen], logged.where
        assert trajectory.stop is StopReason.ANSWERED, logged.where
    assert beside == BESIDE.get(run, 0)


def test_the_four_boxes_that_the_recorded_runner_could_not_crop_are_refused_here_too(shared_data: Path) -> None:
    failed = [logged.row for logged in logs(shared_data, "hrbench/deepeyes_logs") if logged.row.status != SUCCESS]
    calls = [call for row in failed for call in find_calls(row.pred_ans or "")]
    assert [call.error for call in calls] == [""] * 4
    assert all(call.arguments["bbox_2d"][0] > call.arguments["bbox_2d"][2] for call in calls)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (CALL % "[1, 2, 3, 4]", {"bbox_2d": [1, 2, 3, 4]}),
        # the closing tag is missing where it stopped the generation
        (CALL.removesuffix("</tool_call>") % "[1, 2, 3, 4]", {"bbox_2d": [1, 2, 3, 4]}),
        (f"{CALL % '[1, 2, 3, 4]'} {CALL % '[5, 6, 7, 8]'}", {"bbox_2d": [1, 2, 3, 4]}),
        ("<tool_call>{'name': 'image_zoom_in_tool', 'arguments': {'bbox_2d': (1, 2.5, 3, 4,)}}</tool_call>",
         {"bbox_2d": [1, 2.5, 3, 4]}),
    ],
)  # fmt: skip
def test_the_first_call_of_a_turn_counts_in_json_or_as_a_literal(text: str, arguments: dict[str, object]) -> None:
    (call,) = DeepEyes().parse(text).calls
    assert (call.tool, call.arguments, call.error) == (TOOL, arguments, "")


@pytest.mark.parametrize(
    "raw",
    [
        "", "{", "[1]", "{'name': 'image_zoom_in_tool'}", "{'name': open('/etc/passwd'), 'arguments': {}}",
        "{'name': 'image_zoom_in_tool', 'arguments': {'bbox_2d': {1, 2}}} + 1", "(" * 50_000, "{'a': " * 5_000,
        "__import__('os').system('true')", "9" * 6_000, "{'name': b'x', 'arguments': {}}", "'\\d'",
    ],
)  # fmt: skip
def test_nothing_is_evaluated(raw: str) -> None:
    (call,) = DeepEyes().parse(f"<tool_call>{raw}</tool_call>").calls
    assert call.error


async def test_the_crop_is_of_the_original_and_in_the_size_of_the_authors_scripts() -> None:
    image = chart(1200, 900)
    model = Model(CALL % "[100, 200, 400, 301]", CALL % "[0, 0, 10, 100]", ANSWER)
    trajectory = await zoomed(DeepEyes(), model, image)
    assert trajectory.stop is StopReason.ANSWERED
    first = image.open().crop((100, 200, 400, 301)).resize((308, 112), Image.Resampling.BICUBIC)
    assert same(only_image(trajectory), first)
    # of the first image again; a sliver has one factor of 28 at least, where the processor's own rule says 28 x 196
    sliver = image.open().crop((0, 0, 10, 100)).resize((28, 112), Image.Resampling.BICUBIC)
    assert same(only_image(trajectory, 1), sliver)
    shown = trajectory.turns[1].shown[0]
    assert (shown.origin, shown.source, shown.box) == (TOOL, "image_1", (100, 200, 400, 301))
    result = model.requests[1].messages[-1]
    assert (result.role, result.parts[0], isinstance(result.parts[1], ImageFile)) == ("user", "<tool_response>", True)
    assert str(result.parts[2]).endswith("</tool_response>")


async def test_crops_of_real_photos_are_the_right_part(shared_data: Path) -> None:
    for photo in sorted((shared_data / "vstar" / "photos").glob("*.jpg"))[:2]:
        image = ImageFile.from_path(photo)
        width, height = image.header.width, image.header.height
        left, top = width // 3 // 28 * 28, height // 4 // 28 * 28
        trajectory = await zoomed(DeepEyes(), Model(CALL % [left, top, left + 280, top + 140], ANSWER), image)
        assert same(only_image(trajectory), image.open().crop((left, top, left + 280, top + 140)))


async def test_a_box_beyond_the_image_is_cut_to_it_or_filled_with_black() -> None:
    image, box = chart(280, 280), "[140, 140, 420, 420]"
    (clamped, filled) = [
        only_image(await zoomed(protocol, Model(CALL % box, ANSWER), image))
        for protocol in (DeepEyes(), DeepEyes({"black_outside"}))
    ]
    assert same(clamped, image.open().crop((140, 140, 280, 280)))
    assert same(filled, image.open().crop((140, 140, 420, 420)))
    assert filled.open().getpixel((200, 200)) == (0, 0, 0)


async def test_a_failed_call_is_told_or_ends_the_sample() -> None:
    for bad in (CALL % "[9, 9, 1, 1]", CALL % "5", "<tool_call>{</tool_call>", CALL.replace("zoom_in", "spin") % "[]"):
        told = await zoomed(DeepEyes(), model := Model(bad, ANSWER), picture())
        assert (told.stop, len(told.turns)) == (StopReason.ANSWERED, 2)
        assert model.requests[1].messages[-1].text.startswith("Error: ")
        ended = await zoomed(DeepEyes({"failure_ends"}), Model(bad, ANSWER), picture())
        assert (ended.stop, len(ended.turns), len(ended.calls)) == (StopReason.ENDED, 1, 1)
        assert ended.calls[0].status is not CallStatus.OK


async def test_a_turn_with_nothing_to_do_is_the_last_or_is_asked_for_again() -> None:
    alone = await zoomed(DeepEyes(), Model("Hm.", ANSWER), picture())
    assert (alone.stop, alone.response) == (StopReason.ENDED, "Hm.")
    model = Model("Hm.", "Hm.", ANSWER)
    again = await zoomed(DeepEyes({"resend"}), model, picture())
    assert (again.stop, len(again.turns), [turn.text for turn in kept(again)]) == (StopReason.ANSWERED, 3, [ANSWER])
    assert model.requests[0].messages == model.requests[2].messages
    never = await zoomed(DeepEyes({"resend"}), Model("Hm."), picture(), limits=Limits(turns=11))
    assert (never.stop, len(never.turns)) == (StopReason.ENDED, 11)


def test_an_answer_ends_it_also_beside_a_call() -> None:
    reply = DeepEyes().parse(f"{ANSWER}{CALL % '[1, 2, 3, 4]'}")
    assert (reply.answered, reply.last, len(reply.calls)) == (True, True, 1)
    assert not DeepEyes().parse('<tool_call>{"name": "<answer>x</answer>", "arguments": {}}</tool_call>').answered
    # a call that never closes hides no answer behind its object
    assert DeepEyes().parse('<tool_call>{"name": "x", "arguments": {}}\n</too <answer>A</answer>').answered


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("<answer>A</answer> or <answer>B</answer>", "<answer>A</answer>"),
        ("<answer>A <answer>B</answer>", "<answer>A</answer>"),
        ("<think><answer> C </answer></think><answer>B</answer>", "<answer>C</answer>"),
        ("no tag", "no tag"),
        ("<answer>A", "<answer>A"),
    ],
)
def test_the_authors_take_the_first_opening_tag(text: str, final: str) -> None:
    assert DeepEyes({"first_answer"}).final(text) == final
    assert DeepEyes().final(text) == text
