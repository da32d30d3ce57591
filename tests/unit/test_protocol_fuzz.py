"""No text that a model may write breaks a protocol's parser: all of them, their quirks on and off."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.agents.protocols import PROTOCOLS, Protocol, Reply
from evalkit.records import Turn

NAMES = sorted(PROTOCOLS)
TAGS = ("tool_call", "code", "grounding", "answer", "think", "thinking", "reason", "observation", "sandbox_output")
PIECES = [
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag}>" for tag in TAGS),
    *(f"< {tag}>" for tag in TAGS[:4]),
    *(f"<{tag.upper()}>" for tag in TAGS[:4]),
    *(f"</{tag} >" for tag in TAGS[:4]),
    "<tool_call", "</tool_call", "<tool_call/>", "<<code>>", "<answer></answer>", "<image>", "<|im_end|>",
    "```", "```python\n", "print('</code>')", "\\boxed{", "\\boxed", "{", "}", "[", "]", '"', "\\", "'", ":", ",",
    '{"name": "python", "arguments": {"code": "1"}}', '{"name": "image_zoom_in_tool", "arguments": ',
    '{"bbox_2d": [0, 0, 1, 1], "source": "original_image"}', '"bbox_2d": ', "[0.1, 0.2, 0.3, 0.4]", "NaN", "Infinity",
    "1e999", "-0", '"\\ud800"', "\ud800", "\udfff", "\x00", "\u2028", "İ", "null", "true", "None", "(" * 50,
]  # fmt: skip
MESS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=12)), max_size=40).map("".join)
LOOSE = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)
CALLS = st.dictionaries(
    st.sampled_from(["name", "arguments", "bbox_2d", "source", "img_idx", "target_image", "code", "query", "x"]), VALUES
)


def parsers(name: str) -> list[Protocol]:
    kind = PROTOCOLS[name]
    return [kind(), kind(kind.quirks)] if kind.quirks else [kind()]


def read(parser: Protocol, text: str) -> Reply:
    """What the parser makes of `text`, having checked what holds for any text."""
    reply = parser.parse(text)
    assert parser.parse(text) == reply
    for call in reply.calls:
        assert call.raw in text
        assert call.error or call.tool
        if not call.error:
            msgspec.json.encode(call.arguments)
    assert isinstance(parser.final(text), str)
    assert isinstance(parser.final(text, fallback=True), str)
    turns = parser.unfold(Turn(text=text))
    assert turns
    folded = parser.fold(turns)
    assert len(turns) == 1 or parser.unfold(*folded) == turns
    return reply


@pytest.mark.parametrize("name", NAMES)
@given(text=st.one_of(MESS, LOOSE))
def test_any_text(name: str, text: str) -> None:
    for parser in parsers(name):
        read(parser, text)


@pytest.mark.parametrize("name", NAMES)
@given(
    value=st.one_of(CALLS, VALUES),
    tag=st.sampled_from(TAGS),
    cut=st.integers(0, 80),
    end=st.sampled_from(["", "</"]),
)
def test_calls_that_are_nearly_right(name: str, value: object, tag: str, cut: int, end: str) -> None:
    body = json.dumps(value)
    for text in (f"<{tag}>{body}</{tag}>", f"<{tag}>{body[:cut]}</{tag}>", f"so <{tag}>{body}{end}{tag}"):
        for parser in parsers(name):
            read(parser, text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outer", TAGS)
def test_tags_in_tags(name: str, outer: str) -> None:
    body = '{"name": "python", "arguments": {}}'
    for inner in TAGS:
        texts = [
            f"<{outer}><{inner}>{body}</{inner}></{outer}>",
            f"<{outer}><{inner}>{body}</{outer}></{inner}>",
            f"<{outer}>{body}<{inner}>{body}</{outer}>",
            f"</{outer}>{body}<{inner}>",
            f"<{outer}>" * 50 + body + f"</{outer}>" * 50,
        ]
        for parser in parsers(name):
            for text in texts:
                read(parser, text)


MIB = 1 << 20
LONG = {
    "openings": lambda tag: f"<{tag}>",
    "closings": lambda tag: f"</{tag}>",
    "empty blocks": lambda tag: f"<{tag}></{tag}>",
    "half tags": lambda tag: f"<{tag}",
    "calls": lambda tag: f'<{tag}>{{"name": "python", "arguments": {{"code": "1"}}}}</{tag}>',
    "boxes": lambda tag: f'<{tag}>{{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "original_image"}}</{tag}>',
    "results": lambda tag: f"<{tag}></{tag}><observation>{{}}</observation>",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", sorted(LONG))
def test_a_mebibyte_of_tags(name: str, form: str) -> None:
    """A parser that takes more than linear time would take minutes or hours here."""
    for tag in ("tool_call", "code", "grounding", "answer", "think"):
        piece = LONG[form](tag)
        text = piece * (MIB // len(piece))
        parser = parsers(name)[-1]
        parser.parse(text)
        parser.final(text)
        parser.unfold(Turn(text=text))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("filling", ["a", " ", "\n", "[", "{", '{"a":', '"', "\\", "1", "`", "\\boxed{", "(", "\ud800"])
def test_a_mebibyte_in_one_call(name: str, filling: str) -> None:
    body = filling * (MIB // len(filling))
    for tag in ("tool_call", "code", "grounding"):
        parser = parsers(name)[-1]
        for text in (f"<{tag}>{body}</{tag}>", f"<{tag}>{body}", f'<{tag}>{{"name": "{body}'):
            for call in parser.parse(text).calls:
                assert call.raw in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [100, 10_000, 100_000])
def test_json_that_is_deep(name: str, depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a": ', "}")):
        arguments = opening * depth + ("1" if opening != "[" else "") + closing * depth
        body = f'{{"name": "python", "arguments": {{"code": {arguments}}}, "bbox_2d": {arguments}}}'
        for tag in ("tool_call", "code", "grounding"):
            for parser in parsers(name):
                reply = parser.parse(f"<{tag}>{body}</{tag}>")
                assert all(call.error or call.arguments or call.tool for call in reply.calls)


@settings(max_examples=30)
@pytest.mark.parametrize("name", NAMES)
@given(value=CALLS)
def test_malformed_and_well_formed_calls_can_be_recorded(name: str, value: dict[str, object]) -> None:
    body = json.dumps({"name": "python", "arguments": value, **value})
    for tag in ("tool_call", "grounding", "code"):
        for call in PROTOCOLS[name]().parse(f"<{tag}>{body}</{tag}>").calls:
            encoded = msgspec.json.encode(call)
            assert msgspec.json.decode(encoded)["raw"] == call.raw
