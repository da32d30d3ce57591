"""Every agent of the papers' tables has its protocol, and every card a protocol that exists and knows its tools."""

from __future__ import annotations

from collections import Counter

import pytest

from evalkit.agents import Limits
from evalkit.agents.protocols import PROTOCOLS, protocol
from evalkit.engines.base import Sampling
from evalkit.errors import EvalkitError
from evalkit.models import Mark, ModelCard, cards
from evalkit.models.tools import Provider, tools_of

AGENTS = {
    "metis": "metis",
    "deepeyes-v2": "deepeyes_v2",
    "deepeyes-v2-search": "deepeyes_v2_search",
    "skywork-r1v4": "skywork_r1v4",
    "thyme": "thyme",
    "mini-o3": "mini_o3",
    "pixel-reasoner": "pixel_reasoner",
    "sensenova-mars-8b": "sensenova_mars",
    "sensenova-mars-32b": "sensenova_mars",
    "deepeyes-7b": "deepeyes",
}
BASELINES = {
    "llava-onevision-7b": "direct",
    "internvl3-8b": "direct",
    "qwen2.5-vl-7b": "direct",
    "qwen2.5-vl-32b": "direct",
    "qwen3-vl-8b": "direct",
    "qwen3-vl-30b-a3b": "direct",
    "mm-eureka-7b": "direct_cot",
    "thinklite-vl-7b": "direct_cot",
    "vl-rethinker-7b": "direct_cot",
    "vlaa-thinker-7b": "direct_cot",
}


@pytest.mark.parametrize(("card", "name"), sorted((AGENTS | BASELINES).items()))
def test_a_model_of_the_tables_is_asked_in_its_own_way(card: str, name: str) -> None:
    assert cards()[card].protocol == name
    assert PROTOCOLS[name].name == name


@pytest.mark.parametrize("card", cards().values(), ids=lambda card: card.name)
def test_a_card_names_a_protocol_that_exists_and_tools_that_it_knows(card: ModelCard) -> None:
    kind = PROTOCOLS[card.protocol]
    assert set(card.tools or ()) <= set(kind.tools)
    names = [tool.name for tool in tools_of(card)]
    assert len(names) == len(set(names))
    assert bool(names) == (card.protocol not in ("direct", "direct_cot"))


def test_who_needs_search() -> None:
    searching = {card.name for card in cards().values() for tool in tools_of(card) if tool.provider is Provider.SEARCH}
    assert searching == {"metis", "deepeyes-v2-search", "sensenova-mars-8b", "sensenova-mars-32b", "scripted"}


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_protocol_is_whole(name: str) -> None:
    kind = PROTOCOLS[name]
    made = protocol(name, kind.quirks)
    assert made.quirks_on == frozenset(kind.quirks)
    assert protocol(name).quirks_on == frozenset()
    assert all(quirk.isidentifier() and what and "\n" not in what for quirk, what in kind.quirks.items())
    assert not set(kind.aliases.values()) - set(kind.tools)
    assert not set(kind.max_calls) - set(kind.tools)
    assert (kind.zoom is not None) == any(tool not in ("python", "text_search", "image_search") for tool in kind.tools)
    assert isinstance(made.system_prompt([]), str)
    with pytest.raises(EvalkitError, match=f"quirk of protocol {name}"):
        protocol(name, ["no_such_quirk"])


def test_no_two_protocols_share_a_name() -> None:
    assert not [name for name, count in Counter(kind.name for kind in PROTOCOLS.values()).items() if count > 1]


@pytest.mark.parametrize("card", [card for card in cards().values() if card.published], ids=lambda card: card.name)
def test_a_card_says_how_it_knows_sampling_and_limits(card: ModelCard) -> None:
    marked = card.marks
    assert "sampling" in marked
    assert "protocol" in marked
    for field in ("turns", "turn_tokens", "trajectory_tokens"):
        if getattr(card.limits, field) != getattr(Limits(), field):
            assert f"limits.{field}" in marked or "limits" in marked, field
    if card.pixels.max:
        assert "pixels" in marked
    if card.sampling != Sampling():
        assert marked["sampling"] is not Mark.EVALKIT
    if Mark.EVALKIT in marked.values():
        assert any("evalkit" in line or "used" in line for line in card.unknown), "a choice of evalkit's is said"
