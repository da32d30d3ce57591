"""What docs/gate.md says exists does."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit import ExitCode
from evalkit.cli import app
from evalkit.errors import worst
from evalkit.gate.config import read_gate_config
from evalkit.gate.differences import ALLOWED
from evalkit.gate.metrics import METRICS
from evalkit.gate.rules import DEFAULTS, Kind, parse_rule
from tests.conftest import ROOT

DOC = (ROOT / "docs" / "gate.md").read_text()
RULES = re.findall(r"^\| `([a-z_0-9]+:[a-z]+:[^`]+)` \|", DOC, re.MULTILINE)


def test_the_rules_in_the_table_are_rules() -> None:
    assert len(RULES) == 7
    for rule in RULES:
        assert parse_rule(rule).text == rule


def test_the_default_rules_are_named() -> None:
    assert f"Without a rule: {', '.join(f'`{rule}`' for rule in DEFAULTS)}." in DOC


def test_every_metric_is_named() -> None:
    listed = DOC[DOC.index("The metrics:") : DOC.index("Without a rule:")]
    names = set(re.findall(r"`([a-z_0-9]+)`", listed)) - {"_raw"}
    assert names == {name for name in METRICS if not name.endswith("_raw")}
    assert {name for name in METRICS if name.endswith("_raw")} == {
        f"{name}_raw" for name in ("redundant_rate", "need_precision", "need_recall")
    }


def test_every_difference_that_can_be_allowed_is_named() -> None:
    found = re.search(r"`--allow-different KEY` \(([^)]+)\)", DOC)
    assert found is not None
    assert [word.strip() for word in found[1].split(",")] == list(ALLOWED)


def test_the_help_lists_what_messages_say_that_it_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, ["gate", "--help"]).output
    for names in (METRICS, ALLOWED, Kind):
        assert all(re.search(rf"\b{name}\b", shown) for name in names)


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", DOC, re.DOTALL))
def test_the_configuration_is_read(tmp_path: Path, block: str) -> None:
    (tmp_path / "evalkit.toml").write_text(block)
    rules = read_gate_config(tmp_path / "evalkit.toml")
    assert {(rule.task, rule.category) for rule in rules} == {("", ""), ("vstar", ""), ("vstar", "relative_position")}


def test_the_exit_codes_are_those_of_the_table_in_the_order_it_gives() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d) \|", DOC, re.MULTILINE)]
    assert codes == [code for code in ExitCode if code < 100]
    found = re.search(r"speaks for all: ([\d, ]+)\.", DOC)
    assert found is not None
    order = [ExitCode(int(code)) for code in found[1].split(",")]
    assert all(worst((low, high)) is high for low, high in pairwise(order))


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", DOC):
        if not target.startswith("../.github"):
            assert (ROOT / "docs" / target).is_file(), target
