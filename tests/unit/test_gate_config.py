"""The gate's rules in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import EvalkitError
from evalkit.gate import read_gate_config
from evalkit.gate.config import find_gate_config

TEXT = """
[{p}gate]
fail = ["accuracy:noninferior:1pt", "tool_rate:max:+5pt"]
[{p}gate.tasks.vstar]
fail = ["accuracy:noninferior:2pt"]
[{p}gate.tasks.vstar.categories."direct attributes"]
fail = ["accuracy:noninferior:3pt"]
[{p}gate.tasks.hrbench_4k.categories.single]
fail = ["tool_rate:max:50%"]
"""
FOUND = [
    ("accuracy:noninferior:1pt", "", ""),
    ("tool_rate:max:+5pt", "", ""),
    ("accuracy:noninferior:2pt", "vstar", ""),
    ("accuracy:noninferior:3pt", "vstar", "direct attributes"),
    ("tool_rate:max:50%", "hrbench_4k", "single"),
]


def write(tmp_path: Path, text: str, name: str = "evalkit.toml") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("name", "prefix"), [("evalkit.toml", ""), ("other.toml", ""), ("pyproject.toml", "tool.evalkit.")]
)
def test_rules_of_the_whole_of_a_task_and_of_a_category(tmp_path: Path, name: str, prefix: str) -> None:
    more = "" if not prefix else '[project]\nname = "x"\n[tool.ruff]\nline-length = 1\n[tool.evalkit.other]\n'
    file = write(tmp_path, more + TEXT.format(p=prefix), name)
    assert [(rule.text, rule.task, rule.category) for rule in read_gate_config(file)] == FOUND


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gates]\nfail = []", "has no table [gate]"),
        ("[gate]\n[gat]", "unknown table 'gat'; nearest: gate"),
        ("[gate]\nfails = []", "unknown key of [gate] 'fails'; nearest: fail"),
        ("[gate.tasks.vstar]\ncategory = 1", "unknown key of [gate.tasks.vstar] 'category'; nearest: categories"),
        ("[gate.tasks.v.categories.a]\ntasks = 1", "unknown key of [gate.tasks.v.categories.a] 'tasks'"),
        ("[gate]\nfail = 'accuracy:noninferior:1pt'", "is a list of rules"),
        ("[gate]\nfail = [1]", "is a list of rules"),
        ("[gate]\ntasks = 1", "gate.tasks is a table"),
        ("gate = 1", "gate is a table"),
        ("[gate]\nfail = []", "has no rule under [gate]"),
        ("[gate]\nfail = ['acc:max:1']", "unknown metric 'acc'"),
        ("[gate]\nfail = ['calls:max:1', 'calls:max:2']", "contradict each other"),
        ("[gate.tasks.v]\nfail = ['calls:min:3', 'calls:max:2']", "(task v) contradict each other"),
        ("[gate", "is no TOML"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(EvalkitError) as caught:
        read_gate_config(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert str(caught.value).count(str(file)) == 1
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="No such file"):
        read_gate_config(tmp_path / "evalkit.toml")
    (tmp_path / "evalkit.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(EvalkitError, match="is no TOML"):
        read_gate_config(tmp_path / "evalkit.toml")
    (tmp_path / "evalkit.toml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(EvalkitError, match="larger than"):
        read_gate_config(tmp_path / "evalkit.toml")
    (tmp_path / "evalkit.toml").write_text("[gate]\nx = " + "[" * 5000, encoding="utf-8")
    with pytest.raises(EvalkitError, match="is no TOML"):
        read_gate_config(tmp_path / "evalkit.toml")


def test_a_folders_own_file_is_found(tmp_path: Path) -> None:
    assert find_gate_config(tmp_path) is None
    shared = write(tmp_path, "[tool.evalkit]\n", "pyproject.toml")
    assert find_gate_config(tmp_path) is None
    write(tmp_path, "[tool.evalkit.gate]\nfail = ['calls:max:1']\n", "pyproject.toml")
    assert find_gate_config(tmp_path) == shared
    own = write(tmp_path, "[gate]\nfail = ['calls:max:1']\n")
    assert find_gate_config(tmp_path) == own


@pytest.mark.parametrize("text", ["tool = 3", "[tool]\nevalkit = 3"])
def test_a_pyproject_of_the_wrong_form_is_one_line(tmp_path: Path, text: str) -> None:
    write(tmp_path, text, "pyproject.toml")
    with pytest.raises(EvalkitError, match="is a table"):
        find_gate_config(tmp_path)


def test_a_table_with_another_name_does_not_leave_the_rules_out_in_silence(tmp_path: Path) -> None:
    write(tmp_path, "[gates]\nfail = ['calls:max:1']\n")
    found = find_gate_config(tmp_path)
    assert found is not None
    with pytest.raises(EvalkitError, match=r"has no table \[gate\]"):
        read_gate_config(found)
    write(tmp_path, "# nothing\n")
    assert find_gate_config(tmp_path) is None
