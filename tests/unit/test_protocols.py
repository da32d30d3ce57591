"""Protocols read whatever a model writes, and show results in their family's form."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit import CallStatus, EvalkitError, ImageFile, Sample
from evalkit.agents.protocols import PROTOCOLS, Metis, QwenTools, protocol
from evalkit.agents.protocols._hermes import find_calls
from evalkit.agents.protocols.base import ParsedCall
from evalkit.engines.pixels import PixelBudget, smart_resize
from evalkit.tools.base import ToolResult, ToolSpec

PYTHON = ToolSpec(name="python", description="runs code", parameters={"type": "object"})
TAGS = st.sampled_from(
    ["<tool_call>", "</tool_call>", "<answer>", "</answer>", "<reason>", '{"name": "python", "arguments": ', "{", "}"]
)
MESS = st.lists(st.one_of(TAGS, st.text(max_size=20)), max_size=30).map("".join)


@given(MESS)
@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_no_text_makes_a_parser_raise(name: str, text: str) -> None:
    reply = protocol(name).parse(text)
    for call in reply.calls:
        assert call.error or isinstance(call.arguments, dict)
        msgspec.json.encode(call.arguments)


@given(st.text(min_size=1), st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_a_well_formed_call_is_read_back(name: str, arguments: dict[str, object]) -> None:
    raw = json.dumps({"name": name, "arguments": arguments})
    if "</tool_call>" in raw:
        return
    (call,) = find_calls(f"some text <tool_call>\n{raw}\n</tool_call> and more")
    huge = any(isinstance(v, int) and not -(2**63) <= v < 2**64 for v in arguments.values())
    assert call.error == ""
    assert call.tool == name
    assert huge or call.arguments == arguments


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ('{"arguments": {}}', '"name" is missing'),
        ('{"name": 3, "arguments": {}}', '"name" is missing'),
        ('{"name": "python"}', '"arguments"'),
        ('{"name": "python", "arguments": "x = 1"}', '"arguments"'),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_malformed_call_says_why(raw: str, why: str) -> None:
    (call,) = find_calls(f"<tool_call>{raw}</tool_call>")
    assert why in call.error


def test_arguments_may_be_json_in_a_string() -> None:
    (call,) = find_calls('<tool_call>{"name": "python", "arguments": "{\\"code\\": \\"1\\"}"}</tool_call>')
    assert call.arguments == {"code": "1"}


def test_a_call_that_is_never_closed_is_malformed() -> None:
    (call,) = find_calls('<tool_call>{"name": "python"')
    assert call.error == "</tool_call> is missing"


def test_metis_takes_the_last_call_and_other_families_all() -> None:
    text = "".join(f'<tool_call>{{"name": "{n}", "arguments": {{}}}}</tool_call>' for n in ("a", "b"))
    assert [call.tool for call in Metis().parse(text).calls] == ["b"]
    assert [call.tool for call in QwenTools().parse(text).calls] == ["a", "b"]


def test_metis_offers_only_the_tools_there_are() -> None:
    assert "python" in Metis().system_prompt([PYTHON])
    assert "text_search" not in Metis().system_prompt([PYTHON])
    assert "<tool_call>" not in Metis().system_prompt([])


def test_images_come_before_the_question(png: ImageFile) -> None:
    sample = Sample(id="1", question="what?", images=(png,))
    assert Metis().question(sample) == (png, "what?")


def test_metis_shows_code_results_in_the_authors_layout(png: ImageFile) -> None:
    call = ParsedCall(tool="python", raw="")
    shown = Metis().observe(call, ToolResult(status=CallStatus.OK, text="5\n", images=(png,)))
    assert shown.text == "Code execution result:\nstdout:\n```\n5\n```\nImages:"
    assert shown.images == (png,)


def test_metis_drops_the_images_of_a_failed_cell(png: ImageFile) -> None:
    call = ParsedCall(tool="python", raw="")
    shown = Metis().observe(
        call, ToolResult(status=CallStatus.FAILED, text="1", error="ZeroDivisionError", images=(png,))
    )
    assert shown.images == ()
    assert "stderr:\n```\nZeroDivisionError\n```" in shown.text


def test_silence_is_said() -> None:
    assert (
        "printed nothing" in Metis().observe(ParsedCall(tool="python", raw=""), ToolResult(status=CallStatus.OK)).text
    )


def test_an_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(EvalkitError, match="nearest: metis"):
        protocol("mettis")


BUDGET = PixelBudget(factor=32, min_pixels=4 * 32**2, max_pixels=5120 * 32**2)


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_shown_sizes_keep_the_familys_rule(width: int, height: int) -> None:
    size = smart_resize(width, height, BUDGET)
    if max(width, height) > 200 * min(width, height):
        assert size is None
        return
    assert size is not None
    assert all(side % 32 == 0 and side > 0 for side in size)
    area = size[0] * size[1]
    # a side is never under one patch, so a very narrow image may pass the upper bound by that much
    assert BUDGET.min_pixels <= area
    assert area <= BUDGET.max_pixels or min(size) == 32


@pytest.mark.parametrize(
    ("given_size", "shown"),
    [((32, 32), (64, 64)), ((256, 256), (256, 256)), ((7680, 4320), (3040, 1696)), ((100, 50), (96, 64))],
)
def test_shown_sizes_by_hand(given_size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert smart_resize(*given_size, BUDGET) == shown


def test_metis_resizes_what_its_tools_return() -> None:
    image = ImageFile.from_pil(Image.new("RGB", (100, 50)))
    fitted = Metis().fit(image)
    assert fitted is not None
    assert (fitted.header.width, fitted.header.height) == (96, 64)
    assert Metis().fit(ImageFile.from_pil(Image.new("L", (1000, 2)))) is None
