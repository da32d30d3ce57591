"""Mini-o3's protocol against what is known of its rollout engine, on transcripts of our own making."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit import CallStatus, ImageFile, StopReason
from evalkit.agents import Limits
from evalkit.agents.protocols import MiniO3
from tests.agents import Model, picture
from tests.zooms import chart, only_image, same, zoomed

ANSWER = "<think>so</think><answer>B</answer>"
STRICT = MiniO3({"key_order"})


def call(box: object, source: str = "original_image") -> str:
    return f'<think>t</think>\n<grounding>{{"bbox_2d": {box}, "source": "{source}"}}</grounding>'


@pytest.mark.parametrize("protocol", [MiniO3(), STRICT])
def test_the_last_block_of_a_turn_counts(protocol: MiniO3) -> None:
    text = f"{call([0.1, 0.1, 0.2, 0.2])} {call([0.5, 0.5, 0.75, 1.0], 'observation_2')}"
    (found,) = protocol.parse(text).calls
    assert (found.tool, found.error) == ("crop", "")
    assert found.arguments == {"bbox_2d": [0.5, 0.5, 0.75, 1.0], "source": "observation_2"}


@pytest.mark.parametrize(
    ("raw", "strict"),
    [
        ('{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image"}', True),
        # the box is all up to the last comma before the source
        ('{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "label": "a sign", "source": "original_image"}', False),
        ('{"bbox_2d": [.1, .2, 0.3, 0.4], "source": \'original_image\'}', True),
        ('{"source": "original_image", "bbox_2d": [0.1, 0.2, 0.3, 0.4]}', False),
        ('{ "bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image" }', False),
        ('{"bbox_2d":[0.1, 0.2, 0.3, 0.4],"source":"original_image"}', False),
        ('\n{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image"}\n', False),
        ("{'bbox_2d': [0.1, 0.2, 0.3, 0.4], 'source': 'original_image'}", False),
    ],
)
def test_the_order_of_keys_matters_only_under_its_quirk(raw: str, strict: bool) -> None:
    text = f"<grounding>{raw}</grounding>"
    (found,) = MiniO3().parse(text).calls
    assert found.error == ""
    assert found.arguments == {"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image"}
    (exact,) = STRICT.parse(text).calls
    assert (exact.error == "") == strict
    assert not strict or exact.arguments == found.arguments


@pytest.mark.parametrize("protocol", [MiniO3(), STRICT])
@pytest.mark.parametrize("raw", ["", "{", "[]", '{"bbox_2d": ', "{}}", '{"bbox_2d": }', "null", "(" * 9000])
def test_what_is_no_call_is_malformed(protocol: MiniO3, raw: str) -> None:
    (found,) = protocol.parse(f"<grounding>{raw}</grounding>").calls
    assert found.error or "bbox_2d" not in found.arguments
    (cut,) = protocol.parse(f"<grounding>{raw}").calls
    assert cut.error == "</grounding> is missing"


@given(st.text(st.sampled_from('<>/grounding_{}[]",:. bx2dsurce\n'), max_size=120) | st.text(max_size=120))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for protocol in (MiniO3(), STRICT):
        assert len(protocol.parse(f'<grounding>{{"bbox_2d": {text}"}}</grounding>').calls) == 1
        assert len(protocol.parse(text).calls) <= 1


def test_a_call_goes_on_beside_an_answer() -> None:
    reply = MiniO3().parse(f"{ANSWER}{call([0, 0, 1, 1])}")
    assert (len(reply.calls), reply.answered, reply.last) == (1, True, False)
    assert not MiniO3().parse("<grounding><answer>x</answer></grounding>").answered


async def test_crops_are_of_the_image_named_at_full_resolution() -> None:
    image = chart(2000, 1600)
    model = Model(call([0.1, 0.125, 0.9, 1]), call([0.5, 0.5, 0.75, 0.75], "observation_1"), call([0, 0, 1, 1]), ANSWER)
    trajectory = await zoomed(MiniO3(), model, image)
    assert trajectory.stop is StopReason.ANSWERED
    # 1,600 x 1,399 pixels are too many: both sides shrink by one number, by the nearest neighbour
    scale = math.sqrt(2_000_000 / (1600 * 1399))
    size = (int(1600 * scale), int(1399 * scale))
    first = image.open().crop((200, 200, 1800, 1599))
    assert same(only_image(trajectory), first.resize(size, Image.Resampling.NEAREST))
    # the crop of the crop is cut from all of its pixels, not from those that were shown
    assert same(only_image(trajectory, 1), first.crop((800, 699, 1200, 1049)))
    assert trajectory.turns[2].shown[0].box == (1000, 899, 1400, 1249)
    assert trajectory.turns[2].shown[0].source == "image_1"
    # the last row and column are never reached
    assert trajectory.turns[3].shown[0].box == (0, 0, 1999, 1599)


async def test_a_small_crop_is_enlarged_by_the_nearest_neighbour(shared_data: Path) -> None:
    image = ImageFile.from_path(shared_data / "vstar" / "photos" / "bag_of_bottle.jpeg")
    width, height = image.header.width, image.header.height
    box = (width // 4, height // 4, width // 4 + 100, height // 4 + 100)
    shares = [(edge + 0.5) / size for edge, size in zip(box, (width, height) * 2, strict=True)]
    trajectory = await zoomed(MiniO3(), Model(call(shares), ANSWER), image)
    assert same(only_image(trajectory), image.open().crop(box).resize((200, 200), Image.Resampling.NEAREST))


async def test_results_are_user_turns_with_their_number_and_what_may_follow() -> None:
    bad = call([0.9, 0.1, 0.2, 0.2])
    model = Model(call([0, 0, 0.5, 0.5]), bad, call([0, 0, 0.9, 0.9], "observation_1"), ANSWER)
    trajectory = await zoomed(MiniO3(), model, chart(800, 800))
    assert [c.status for c in trajectory.calls] == [CallStatus.OK, CallStatus.FAILED, CallStatus.OK]
    messages = model.requests[3].messages
    assert [message.role for message in messages[2::2]] == ["assistant"] * 3
    results = [message for message in messages[1:] if message.role == "user"][1:]
    assert [("observation_1" in r.text, "observation_2" in r.text) for r in results] == [
        (True, False), (False, False), (False, True)
    ]  # fmt: skip
    assert isinstance(results[0].parts[1], ImageFile)
    assert results[1].text.startswith("Error: The box [0.9, 0.1, 0.2, 0.2]")
    assert all("<think>" in result.text for result in results)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (call([0.5, 0.5, 0.5, 0.9]), CallStatus.FAILED),
        (call([0.0, 0.5, 1.0, 0.5045]), CallStatus.FAILED),
        (call([300, 400, 500, 600]), CallStatus.FAILED),
        (call([0, 0, 1, 1], "observation_1"), CallStatus.FAILED),
        (call([0, 0, 1]), CallStatus.MALFORMED),
        (call('["0", "0", "1", "1"]'), CallStatus.MALFORMED),
        ('<grounding>{"bbox_2d": [0, 0, 1, 1]}</grounding>', CallStatus.MALFORMED),
        ("<grounding>zoom in!</grounding>", CallStatus.MALFORMED),
    ],
)
async def test_what_cannot_be_cropped_is_told_and_the_conversation_goes_on(text: str, status: CallStatus) -> None:
    trajectory = await zoomed(MiniO3(), model := Model(text, ANSWER), chart(1000, 1000))
    assert [c.status for c in trajectory.calls] == [status]
    assert trajectory.stop is StopReason.ANSWERED
    assert model.requests[1].messages[-1].text.startswith("Error: ")


async def test_a_call_in_the_last_round_is_not_run() -> None:
    trajectory = await zoomed(MiniO3(), Model(call([0, 0, 1, 1])), picture(), limits=Limits(turns=12))
    assert (trajectory.stop, len(trajectory.turns)) == (StopReason.LIMIT_TURNS, 12)
    assert [c.status for c in trajectory.calls] == [CallStatus.OK] * 11 + [CallStatus.NOT_RUN]


def test_the_first_answer_counts_under_its_quirk() -> None:
    text = "<think><answer>A</answer></think><answer>B</answer>"
    assert MiniO3({"first_answer"}).final(text) == "<answer>A</answer>"
    assert MiniO3().final(text) == text
