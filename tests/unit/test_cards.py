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
    "deepeyes-7b", "deepeyes-v2", "deepeyes-v2-search", "thyme", "mini-o3", "pixel-reasoner", "sensenova-mars-8b",
    "sensenova-mars-32b", "skywork-r1v4", "qwen3-vl-30b-a3b", "mm-eureka-7b", "thinklite-vl-7b", "vl-rethinker-7b",
    "vlaa-thinker-7b",
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


@pytest.mark.parametrize(
    ("marks", "why"),
    [
        ("{limits.turn: code}", "unknown field that model card .*own.yaml marks 'limits.turn'; nearest: limits.turns"),
        ("{limits.turns: rumour}", "model card .*own.yaml: .*'rumour'"),
    ],
)
def test_marks_are_of_fields_that_cards_have(tmp_path: Path, marks: str, why: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(f"name: own\nmarks: {marks}\n")
    with pytest.raises(EvalkitError, match=why):
        find_card(str(file))


def test_the_list_says_what_each_needs(cli: Cli) -> None:
    lines = cli("models", COLUMNS="200").stdout.splitlines()
    assert sum(line.split(":")[0] in cards() for line in lines) == len(cards())

    def needs(name: str) -> str:
        return lines[next(at for at, line in enumerate(lines) if line.startswith(f"{name}: ")) + 2].strip()

    assert needs("metis") == (
        "GPU: 20 GB; tools: python (sandbox), text_search and image_search (search provider); "
        "judge of its published figures: unknown; unknown: 4 facts"
    )
    assert needs("sensenova-mars-32b").startswith("GPU: 76 GB; tools: image_zoom_in_tool (built in), text_search and ")
    assert "judge of its published figures: rule" in needs("sensenova-mars-32b")
    assert needs("mm-eureka-7b").startswith("GPU: 20 GB; tools: none; ")
    assert needs("skywork-r1v4").startswith(
        "GPU: none here, its authors' server (--base-url or SKYWORK_BASE_URL, key in SKYWORK_API_KEY); "
        "tools: code, text_search, image_search and web_visit (at its server); "
    )
    assert needs("metis-nano") == "GPU: none; tools: python (sandbox)"
    assert "--search and --image-search name one" in "\n".join(lines)


def test_a_card_is_shown_whole_with_its_quirks(cli: Cli) -> None:
    shown = cli("models", "deepeyes-v2").stdout
    for name, what in PROTOCOLS["deepeyes_v2"].quirks.items():
        assert f"  {name}: {what}" in shown
    assert "  limits.trajectory_tokens: evalkit" in shown
    assert "needs:\n  GPU: 20 GB\n  tools: python (sandbox)\n  judge of its published figures: model\n" in shown


def test_a_card_is_shown_whole_with_its_published_figures(cli: Cli) -> None:
    shown = cli("models", "sensenova-mars-8b").stdout
    assert "presence_penalty: 1.5" in shown
    assert "vstar accuracy: 92.2 % (mars, metis; sampling sampled (T 0.7, top-p 0.8))" in shown


def test_a_protocol_that_is_missing_is_said_before_anything_is_started(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\nprotocol: telepathy\nengine: scripted\n")
    ended = cli("run", "--model", file, "--tasks", "panel_probe")
    assert ended.returncode == 2
    assert "own cannot be asked: unknown protocol 'telepathy'; known: deepeyes, " in ended.stderr
    assert "telepathy" not in PROTOCOLS
