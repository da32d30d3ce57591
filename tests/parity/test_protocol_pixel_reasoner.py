"""Pixel-Reasoner's protocol against what is known of its experience maker, on transcripts of our own making."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from evalkit import CallStatus, ImageFile, StopReason
from evalkit.agents import Limits
from evalkit.agents.protocols import PixelReasoner
from evalkit.agents.protocols.pixel_reasoner import TOOL
from evalkit.engines.pixels import smart_resize
from tests.agents import Model, picture
from tests.zooms import chart, only_image, same, zoomed

ANSWER = "It is clear now: \\boxed{B}"


def call(box: object, image: object = 1) -> str:
    return (
        'I look.\n<tool_call>\n{"name": "crop_image_normalized", "arguments": '
        f'{{"bbox_2d": {box}, "target_image": {image}}}}}\n</tool_call>'
    )


def test_the_last_call_counts_and_only_at_the_end_of_the_turn() -> None:
    reply = PixelReasoner().parse(f"{call([0, 0, 1, 1])} {call([0.1, 0.2, 0.3, 0.4], 2)}")
    (found,) = reply.calls
    assert (found.tool, reply.last) == (TOOL, False)
    assert found.arguments == {"bbox_2d": [0.1, 0.2, 0.3, 0.4], "target_image": 2}
    before = PixelReasoner().parse(f"{call([0, 0, 1, 1])} {ANSWER}")
    assert (len(before.calls), before.last, before.answered) == (1, True, True)


def test_white_space_behind_a_call_matters_only_under_its_quirk() -> None:
    text = f"{call([0, 0, 1, 1])}\n"
    assert not PixelReasoner().parse(text).last
    assert PixelReasoner({"bare_end"}).parse(text).last
    assert not PixelReasoner({"bare_end"}).parse(text.rstrip()).last


def test_an_answer_is_a_box_outside_the_call() -> None:
    assert PixelReasoner().parse(ANSWER).answered
    assert not PixelReasoner().parse("\\boxed{B").answered
    assert not PixelReasoner().parse("<answer>B</answer>").answered
    assert not PixelReasoner().parse(call([0, 0, 1, 1]).replace("bbox_2d", "\\\\boxed{B}")).answered


async def test_a_crop_has_a_tenth_of_the_image_around_it_and_says_its_size() -> None:
    image = chart(2000, 1000)
    model = Model(call([0.3, 0.4, 0.5, 0.6]), call([0.45, 0.45, 0.55, 0.55], 2), call([1200, 300, 1500, 700]), ANSWER)
    trajectory = await zoomed(PixelReasoner(), model, image)
    assert trajectory.stop is StopReason.ANSWERED
    budget = PixelReasoner.budget
    first = image.open().crop((400, 300, 1200, 700))
    size = smart_resize(800, 400, budget)
    assert size == (812, 392)
    shown = first.resize(size, Image.Resampling.BICUBIC)
    assert same(only_image(trajectory), shown)
    assert "812x392" in trajectory.turns[0].observations[0].text
    # the crop of a crop is cut from what was shown
    second = shown.crop((round(0.35 * 812), round(0.35 * 392), round(0.65 * 812), round(0.65 * 392)))
    size = smart_resize(*second.size, budget)
    assert size is not None
    assert same(only_image(trajectory, 1), second.resize(size, Image.Resampling.BICUBIC))
    box = trajectory.turns[2].shown[0].box
    assert box == pytest.approx((400 + 284 * 800 / 812, 300 + 137 * 400 / 392, 400 + 528 * 800 / 812,
                                 300 + 255 * 400 / 392))  # fmt: skip
    # a number above 1 makes it pixels
    assert trajectory.turns[3].shown[0].box == (1000, 200, 1700, 800)


async def test_crops_of_real_photos_are_the_right_part(shared_data: Path) -> None:
    image = ImageFile.from_path(shared_data / "vstar" / "photos" / "nba.png")
    width, height = image.header.width, image.header.height
    trajectory = await zoomed(PixelReasoner(), Model(call([0.2, 0.3, 0.4, 0.5]), ANSWER), image)
    part = image.open().convert("RGB").crop((0.1 * width, 0.2 * height, 0.5 * width, 0.6 * height))
    size = smart_resize(*part.size, PixelReasoner.budget)
    assert size is not None
    assert same(only_image(trajectory), part.resize(size, Image.Resampling.BICUBIC))


async def test_a_box_to_the_edge_is_a_corner_under_its_quirk() -> None:
    image, model = chart(2000, 1000), (call([0.5, 0.5, 1.0, 1.0]), ANSWER)
    own = await zoomed(PixelReasoner(), Model(*model), image)
    assert own.turns[1].shown[0].box == (800, 400, 2000, 1000)
    theirs = await zoomed(PixelReasoner({"one_is_a_pixel"}), Model(*model), image)
    assert theirs.turns[1].shown[0].box == (0, 0, 201, 101)


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (call([0.9, 0.1, 0.1, 0.2]), CallStatus.FAILED, "Execution error:"),
        (call([-0.5, 0.1, -0.09, 0.2]), CallStatus.FAILED, "larger than 28"),
        (call([0.1, 0.1, 0.2, 0.2], 2), CallStatus.FAILED, "numbered 1 to 1"),
        (call([0.1, 0.1, 0.2, 0.2], 0), CallStatus.FAILED, "numbered 1 to 1"),
        (call('["0.1", 0, 1, 1]'), CallStatus.MALFORMED, "is none"),
        ("<tool_call>crop it</tool_call>", CallStatus.MALFORMED, "not valid JSON"),
        (call([1]).replace(TOOL, "select_frames"), CallStatus.UNKNOWN_TOOL, TOOL),
    ],
)
async def test_a_failed_call_is_told_and_the_conversation_goes_on(text: str, status: CallStatus, said: str) -> None:
    trajectory = await zoomed(PixelReasoner(), model := Model(text, ANSWER), chart(1000, 1000))
    assert [c.status for c in trajectory.calls] == [status]
    assert trajectory.stop is StopReason.ANSWERED
    assert said in model.requests[1].messages[-1].text


async def test_four_calls_at_most_are_followed_by_a_turn() -> None:
    both = f"I am sure: \\boxed{{B}} {call([0, 0, 1, 1])}"
    for last, stop in ((call([0, 0, 1, 1]), StopReason.LIMIT_TURNS), (both, StopReason.ANSWERED)):
        model = Model(*[call([0, 0, 1, 1])] * 4, last)
        trajectory = await zoomed(PixelReasoner({"forced_stop"}), model, picture(), limits=Limits(turns=11))
        assert (trajectory.stop, len(trajectory.turns)) == (stop, 5)
    # without the quirk it is the run's limit of turns that ends it, five in the model's card
    trajectory = await zoomed(PixelReasoner(), Model(both), picture(), limits=Limits(turns=5))
    assert (trajectory.stop, len(trajectory.calls)) == (StopReason.LIMIT_TURNS, 5)
    assert trajectory.calls[-1].status is CallStatus.NOT_RUN


async def test_a_turn_without_a_call_is_the_last() -> None:
    trajectory = await zoomed(PixelReasoner(), Model("I cannot say."), picture())
    assert (trajectory.stop, len(trajectory.turns)) == (StopReason.ENDED, 1)
