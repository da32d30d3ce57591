"""Settings of a training: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evalkit.errors import EvalkitError
from evalkit.runs.plan import config_hash, differences
from evalkit.training.config import Method, PolicySettings, SftSettings, method_of, settings_from
from evalkit.training.folder import check_out, enter, recipe, this_start


def test_options_go_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("lr: 2.0e-4\ngroup: 4\n")
    settings = settings_from(PolicySettings, file, {"group": 16, "prompts": None})
    assert (settings.lr, settings.group, settings.prompts) == (2e-4, 16, PolicySettings().prompts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grupe: 4", "unknown setting in .*grupe.*nearest: group"),
        ("group: 1", "group"),
        ("lr: fast", "lr"),
        ("- lr", "list of settings"),
        ("lr: [", "recipe.yaml"),
        ("clip_low: 1.5", "clip_low"),
        ("method: sft", "sft learns from recorded"),
        ("lr: .inf", "lr is infinite"),
        ("w_tool: .nan", "w_tool"),
        ("seed: 9223372036854775808", "seed"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(EvalkitError, match=said) as caught:
        settings_from(PolicySettings, file, {})
    assert "\n" not in str(caught.value)


def test_the_method_is_the_commands_or_the_files(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("method: coupled\n")
    assert method_of("grpo", file) == Method.GRPO
    assert method_of(None, file) == Method.COUPLED
    with pytest.raises(EvalkitError, match="--method is missing"):
        method_of(None, None)
    with pytest.raises(EvalkitError, match="unknown method 'gpro'; nearest: grpo"):
        method_of("gpro", None)


def test_only_hdpo_has_a_tool_channel() -> None:
    weights = {method: PolicySettings(method=method).tool_weight for method in Method if method != Method.SFT}
    assert weights == {Method.HDPO: 0.15, Method.GRPO: 0.0, Method.COUPLED: 0.0}
    assert PolicySettings(method=Method.GRPO).loss.w_tool == 0.0


def test_a_training_may_go_on_longer_but_not_otherwise() -> None:
    def digest(**changed: object) -> str:
        return config_hash(recipe(msgspec.structs.replace(PolicySettings(), **changed), {}, {}))

    assert digest(steps=500, forward_tokens=100) == digest()
    for name, value in (("lr", 1.0), ("seed", 1), ("w_tool", 0.2), ("method", Method.GRPO), ("group", 16)):
        assert digest(**{name: value}) != digest(), name


def test_another_recipe_in_a_folder_is_refused_with_what_differs(tmp_path: Path) -> None:
    start = this_start(10, "cpu", 1)
    first = recipe(PolicySettings(seed=1), {"name": "a"}, {})
    enter(tmp_path / "t", first, start, [])
    enter(tmp_path / "t", first, start, [])
    other = recipe(PolicySettings(seed=2, group=4), {"name": "a"}, {})
    assert differences(first, other) == ["settings.group: 8 -> 4", "settings.seed: 1 -> 2"]
    with pytest.raises(EvalkitError, match=r"another recipe .*group: 8 -> 4; settings\.seed: 1 -> 2") as caught:
        enter(tmp_path / "t", other, start, [])
    assert "\n" not in str(caught.value)


def test_a_place_where_no_training_can_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = recipe(PolicySettings(), {"name": "a"}, {})
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EvalkitError, match="file is a file: name another --out"):
            check_out(out, config)
    check_out(tmp_path / "new" / "below", config)
    assert not (tmp_path / "new").exists()


def test_what_is_not_known_yet_is_not_compared(tmp_path: Path) -> None:
    config = recipe(PolicySettings(), {"tools": ("python",)}, {"task": "a", "judge": {"model": "a"}})
    enter(tmp_path, config, this_start(1, "cpu", 1), [])
    early = recipe(PolicySettings(), {"tools": ("python",)}, {"task": "a"})
    check_out(tmp_path, early, "data.judge")
    with pytest.raises(EvalkitError, match=r"another recipe \(data\.judge\.model: a -> None\)"):
        check_out(tmp_path, early)


def test_files_that_no_training_vouches_for_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(EvalkitError, match=r"no train\.json"):
        enter(tmp_path, recipe(SftSettings(), {}, {}), this_start(1, "cpu", 1), [])
