"""The configuration's hash covers what can change a figure, and differences are named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evalkit import EvalkitError, Sample
from evalkit.errors import DataError
from evalkit.models import cards, find_card
from evalkit.models.card import load_card
from evalkit.runs import config_hash, differences
from evalkit.runs.folder import RunInfo, find_run, new_run_folder, read_info, write_info
from evalkit.runs.plan import fingerprint, weights_id


def test_the_hash_does_not_depend_on_key_order() -> None:
    assert config_hash({"a": 1, "b": {"c": 2, "d": 3}}) == config_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2})


def test_differences_name_the_keys() -> None:
    old = {"sampling": {"temperature": 0.0, "seed": 1}, "engine": "openai"}
    new = {"sampling": {"temperature": 1.0, "seed": 1}, "engine": "openai", "extra": True}
    assert differences(old, new) == ["extra: None -> True", "sampling.temperature: 0.0 -> 1.0"]


@pytest.mark.parametrize("changed", [{"id": "2"}, {"question": "r"}, {"answer": "B"}, {"choices": {"A": "x"}}])
def test_the_fingerprint_sees_every_text(changed: dict[str, object]) -> None:
    row: dict[str, object] = {"id": "1", "question": "q", "answer": "A"}
    assert fingerprint([Sample(**row)]) != fingerprint([Sample(**{**row, **changed})])  # type: ignore[arg-type]


def test_the_two_shipped_models_are_told_apart() -> None:
    assert weights_id(cards()["metis-nano"]) != weights_id(cards()["metis-nano-sft"])


def info(digest: str) -> RunInfo:
    config = {"task": {"name": "task"}, "model": {"name": "org/model"}}
    return RunInfo(evalkit="0", created="now", config=config, config_hash=digest, expected_rows=1)


def test_a_run_is_found_again_by_its_configuration(tmp_path: Path) -> None:
    first = new_run_folder(tmp_path, "org/model", "task")
    second = new_run_folder(tmp_path, "org/model", "task")
    assert first != second
    write_info(first, info("x"))
    write_info(second, info("y"))
    assert find_run(tmp_path, "org/model", "task", "x") == first
    assert find_run(tmp_path, "org/model", "task", "z") is None
    assert find_run(tmp_path, "other", "task", "x") is None


def test_a_damaged_run_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder"):
        read_info(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json"):
        read_info(tmp_path)
    good = info("x")
    for part in ("task", "model"):
        write_info(tmp_path, msgspec.structs.replace(good, config={**good.config, part: None}))
        with pytest.raises(DataError, match=rf"run\.json: its config names no {part}"):
            read_info(tmp_path)
    write_info(tmp_path, msgspec.structs.replace(good, expected_rows=-5))
    with pytest.raises(DataError, match="expected_rows"):
        read_info(tmp_path)


def test_metis_card_has_the_papers_model() -> None:
    card = find_card("metis")
    assert (card.weights.hub, card.protocol) == ("Accio-Lab/Metis-8B-RL", "metis")


@pytest.mark.parametrize(
    ("model", "engine", "message"),
    [
        ("metis-nan", None, "nearest: metis-nano"),
        ("metis", "vlm", "unknown engine"),
        ("gone.yaml", None, "gone.yaml"),
    ],
)
def test_what_is_no_model_is_said_to_be_none(model: str, engine: str | None, message: str) -> None:
    with pytest.raises(EvalkitError, match=message):
        find_card(model, engine)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match=r"no config\.json"):
        find_card(str(tmp_path))


def test_hub_ids_and_served_names_need_no_card() -> None:
    assert find_card("Qwen/Qwen3-VL-8B-Instruct").weights.hub == "Qwen/Qwen3-VL-8B-Instruct"
    assert find_card("anything", "openai").engine == "openai"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ntemprature: 1\n", "temprature"),
        ("name: x\nsampling: {temperature: hot}\n", "temperature"),
        ("name: x\nengine: warp\n", "unknown engine"),
        ("name: [\n", "card"),
        ("", "card"),
    ],
)
def test_a_wrong_card_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(text)
    with pytest.raises(EvalkitError, match=message):
        load_card(file)
