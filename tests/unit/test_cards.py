"""Model cards: each says what is needed, what is unknown and which published figures it should reproduce."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.agents.protocols import PROTOCOLS
from evalkit.baselines import published
from evalkit.errors import EvalkitError
from evalkit.models import cards, find_card
from tests.conftest import Cli

AGENTS = {
    "metis", "metis-nano", "qwen3-vl-8b", "qwen2.5-vl-7b", "qwen2.5-vl-32b", "internvl3-8b", "llava-onevision-7b",
    "deepeyes-7b", "deepeyes-v2", "thyme", "mini-o3", "pixel-reasoner", "sensenova-mars-8b", "skywork-r1v4",
}  # fmt: skip


def test_the_papers_models_have_a_card() -> None:
    assert cards().keys() >= AGENTS


@pytest.mark.parametrize("name", sorted(AGENTS - {"metis-nano"}))
def test_a_card_says_where_it_comes_from_and_what_it_should_reproduce(name: str) -> None:
    card = cards()[name]
    assert published().of(card.published, metric="accuracy"), f"{card.published!r} is not among the published models"
    assert card.unknown, "nothing is known whole: the card must say what is not"
    assert card.source
    assert card.summary
    assert card.weights.hub or card.served.model
    if card.weights.hub:
        assert card.weights.size_gb
        assert card.needs.gpu_gb


def test_files_are_named_like_their_cards() -> None:
    folder = Path(__file__).resolve().parents[2] / "evalkit" / "models"
    assert {path.stem for path in folder.glob("*.yaml")} == set(cards())


def test_a_key_that_cards_do_not_have_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\nsampling: {temprature: 0.5}\n")
    with pytest.raises(EvalkitError, match=r"model card .*own.yaml: .*unknown field `temprature`"):
        find_card(str(file))


def test_a_card_is_shown_whole_with_its_published_figures(cli: Cli) -> None:
    shown = cli("models", "sensenova-mars-8b").stdout
    assert "presence_penalty: 1.5" in shown
    assert "vstar accuracy: 92.2 % (mars, metis; sampling sampled (T 0.7, top-p 0.8))" in shown


def test_a_protocol_that_is_missing_is_said_before_anything_is_started(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\nprotocol: telepathy\nengine: scripted\n")
    ended = cli("run", "--model", file, "--tasks", "panel_probe")
    assert ended.returncode == 2
    assert "own cannot be asked: unknown protocol 'telepathy'; known: direct, metis, qwen_tools" in ended.stderr
    assert "telepathy" not in PROTOCOLS
