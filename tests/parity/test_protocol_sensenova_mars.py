"""SenseNova-MARS' protocol against what is known of its runner and its training, on transcripts of our own making."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from evalkit import CallStatus, ImageFile, StopReason
from evalkit.agents.protocols import SenseNovaMars
from evalkit.agents.protocols.sensenova_mars import TOOL
from evalkit.scoring.extract import extract
from evalkit.tools import ToolSpec
from evalkit.tools.base import ToolResult
from tests.agents import Model, ToldTool, picture, ran
from tests.zooms import chart, only_image, same, zoomed

ANSWER = "<thinking>so</thinking><answer>B</answer>"
SEARCH = '<tool_call>{"name": "text_search_tool", "arguments": {"query": "x"}}</tool_call>'


def call(box: object, more: str = "") -> str:
    return (
        '<thinking>t</thinking><tool_call>\n{"name": "image_zoom_in_tool", "arguments": '
        f'{{"bbox_2d": {box}, "label": "it"{more}}}}}\n</tool_call>'
    )


def test_the_first_call_of_a_turn_counts_and_goes_on_beside_an_answer() -> None:
    reply = SenseNovaMars().parse(f"{call([1, 2, 3, 4])} {call([5, 6, 7, 8])} {ANSWER}")
    (found,) = reply.calls
    assert (found.tool, found.arguments["bbox_2d"]) == (TOOL, [1, 2, 3, 4])
    assert (reply.answered, reply.last) == (True, False)


async def test_boxes_are_thousandths_and_crops_have_no_margin() -> None:
    image = chart(2000, 1000)
    model = Model(call([100, 200, 333, 600]), call([500, 500, 502, 503]), ANSWER)
    trajectory = await zoomed(SenseNovaMars(), model, image)
    assert trajectory.stop is StopReason.ANSWERED
    # 466 x 400 pixels, to multiples of 32
    part = image.open().crop((200, 200, 666, 600)).resize((480, 384), Image.Resampling.BICUBIC)
    assert same(only_image(trajectory), part)
    # 4 x 3 pixels are stretched to 28 x 28, and that to the least area
    tiny = image.open().crop((1000, 500, 1004, 503)).resize((28, 28), Image.Resampling.LANCZOS)
    assert same(only_image(trajectory, 1), tiny.resize((256, 256), Image.Resampling.BICUBIC))
    assert [turn.shown[0].box for turn in trajectory.turns[1:]] == [(200, 200, 666, 600), (1000, 500, 1004, 503)]


async def test_enlarged_sides_are_cut_to_whole_pixels_first() -> None:
    # 100 x 200 pixels grow by sqrt(65536 / 20000) to 181.02 x 362.04, cut to 181 x 362: 192 x 384
    trajectory = await zoomed(SenseNovaMars(), Model(call([0, 0, 100, 200]), ANSWER), chart(1000, 1000))
    assert only_image(trajectory).open().size == (192, 384)
    # 110 x 153 grow to 217.05 x 301.9; 32 x 160 to 114.5 x 572.4
    trajectory = await zoomed(SenseNovaMars(), Model(call([0, 0, 32, 160]), ANSWER), chart(1000, 1000))
    assert only_image(trajectory).open().size == (128, 576)
    # 81 x 81 of 1,000 grow to 256.0 exactly
    trajectory = await zoomed(SenseNovaMars(), Model(call([0, 0, 81, 81]), ANSWER), chart(1000, 1000))
    assert only_image(trajectory).open().size == (256, 256)


async def test_crops_of_real_photos_are_the_right_part(shared_data: Path) -> None:
    image = ImageFile.from_path(shared_data / "vstar" / "photos" / "vending_machine.jpg")
    width, height = image.header.width, image.header.height
    trajectory = await zoomed(SenseNovaMars(), Model(call([250, 250, 750, 750]), ANSWER), image)
    part = image.open().crop((int(0.25 * width), int(0.25 * height), int(0.75 * width), int(0.75 * height)))
    found = only_image(trajectory).open()
    assert found.width % 32 == found.height % 32 == 0
    assert same(only_image(trajectory), part.resize(found.size, Image.Resampling.BICUBIC))


async def test_the_image_is_the_one_named_or_always_the_first_under_its_quirk() -> None:
    image = chart(2000, 1000)
    texts = (call([500, 500, 1000, 1000], ', "img_idx": 0'), call([500, 500, 1000, 1000], ', "img_idx": 1'), ANSWER)
    own = await zoomed(SenseNovaMars(), Model(*texts), image)
    assert [turn.shown[0].box for turn in own.turns[1:]] == [(1000, 500, 2000, 1000), (1500, 750, 2000, 1000)]
    theirs = await zoomed(SenseNovaMars({"original_only"}), Model(*texts), image)
    assert [turn.shown[0].box for turn in theirs.turns[1:]] == [(1000, 500, 2000, 1000)] * 2
    assert same(only_image(theirs, 0), only_image(theirs, 1).open())


@pytest.mark.parametrize("text", ["<tool_call>{</tool_call>", "<tool_call>zoom</tool_call>", '<tool_call>{"name": "'])
async def test_a_call_that_is_no_json_is_told_or_ends_it(text: str) -> None:
    own = await zoomed(SenseNovaMars(), model := Model(text, ANSWER), picture())
    assert (own.stop, len(own.turns)) == (StopReason.ANSWERED, 2)
    said = model.requests[1].messages[-1].text
    assert said.startswith("<tool_response>\nError: ")
    assert said.endswith("\n</tool_response>")
    theirs = await zoomed(SenseNovaMars({"malformed_ends"}), Model(text, ANSWER), picture())
    assert (theirs.stop, len(theirs.turns)) == (StopReason.ENDED, 1)
    assert [c.status for c in theirs.calls] == [CallStatus.MALFORMED]
    answered = await zoomed(SenseNovaMars({"malformed_ends"}), Model(f"{ANSWER}{text}"), picture())
    assert (answered.stop, len(answered.turns)) == (StopReason.ANSWERED, 1)


@pytest.mark.parametrize("box", ["[1, 2, 3]", '"left"', "[9, 9, 1, 1]", "null", '["a", 1, 2, 3]'])
async def test_a_bad_box_is_told_and_the_conversation_goes_on(box: str) -> None:
    for protocol in (SenseNovaMars(), SenseNovaMars(SenseNovaMars.quirks)):
        trajectory = await zoomed(protocol, model := Model(call(box), ANSWER), chart(100, 100))
        assert trajectory.stop is StopReason.ANSWERED
        assert "Error: " in model.requests[1].messages[-1].text


async def test_results_stand_inside_the_tag_images_too() -> None:
    search = ToldTool(ToolResult(status=CallStatus.OK, text="found", images=(picture(),)), name="text_search")
    trajectory = await ran(SenseNovaMars(), model := Model(SEARCH, ANSWER), search)
    assert [c.status for c in trajectory.calls] == [CallStatus.OK]
    assert search.calls == [{"query": "x"}]
    result = model.requests[1].messages[-1]
    assert (result.role, result.parts[0], result.parts[2]) == ("user", "<tool_response>\nfound\n", "</tool_response>")
    assert isinstance(result.parts[1], ImageFile)


async def test_a_tool_that_is_not_there_is_refused_under_the_familys_names() -> None:
    search = ToldTool(ToolResult(status=CallStatus.OK), name="image_search")
    await ran(SenseNovaMars(), model := Model(SEARCH, ANSWER), search)
    assert "Tools: image_search_tool" in model.requests[1].messages[-1].text


def test_the_prompt_has_the_familys_names() -> None:
    tools = [ToolSpec(name=name, description="", parameters={}) for name in ("text_search", "image_search")]
    prompt = SenseNovaMars().system_prompt(tools)
    assert '"text_search_tool"' in prompt
    assert '"image_search_tool"' in prompt
    assert "<tools>" not in SenseNovaMars().system_prompt([])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<thinking>\\boxed{A}</thinking><answer>A</answer><answer>B</answer>", "B"),
        ("<thinking>t</thinking>It is \\boxed{C}.", "C"),
        ("<answer>It is \\boxed{D}</answer>", "D"),
    ],
)
def test_the_last_answer_counts_then_the_box(text: str, answer: str) -> None:
    assert extract(SenseNovaMars().final(text)).answer == answer
