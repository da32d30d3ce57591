"""Need is known by construction on panel_probe: the estimate against it, with real agents, calls and answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit import Record
from evalkit.analysis.counterfactual import Arbitration, counterfactual
from evalkit.analysis.figure import Figure
from evalkit.runs.store import latest_records
from tests.conftest import Cli

pytest.importorskip("torch")
pytest.importorskip("transformers")

ITEMS = 120


def true_need(records: list[Record]) -> float:
    return sum(r.sample.metadata["needs_tool"] is True for r in records if r.arm == "agent") / ITEMS


def covers(figure: Figure, true: float) -> bool:
    assert figure.low is not None
    assert figure.high is not None
    return figure.low <= true <= figure.high


@pytest.mark.parametrize(("model", "calls_when_legible"), [("metis-nano", False), ("metis-nano-sft", True)])
def test_the_corrected_need_is_the_true_one_and_the_raw_one_is_not(
    tmp_path: Path, cli: Cli, model: str, calls_when_legible: bool
) -> None:
    done = cli(
        *("run", "--model", model, "--tasks", "panel_probe", "--limit", ITEMS, "--counterfactual", "--run-dir", "r"),
        COLUMNS="80",
    )
    assert done.returncode == 0, done.stderr
    records = list(latest_records(tmp_path / "r").values())
    found = counterfactual(records)
    assert found is not None
    assert (found.overall.pairs, found.left_out, found.asked_anyway) == (ITEMS, {}, 0)
    need, table = true_need(records), found.overall
    assert table.called.n == (ITEMS if calls_when_legible else round(need * ITEMS))
    assert table.shares["harm"].count == 0
    first = table.need[0]
    waste = 1 - need if calls_when_legible else 0.0
    assert covers(first.need.corrected, need)
    assert covers(first.redundant_share.corrected, waste)
    assert covers(first.redundant_rate.corrected, waste if calls_when_legible else 0.0)
    # lucky guesses on a quarter of the items that need the tool
    assert first.redundant_share.raw.value is not None
    assert first.redundant_share.raw.value > waste
    assert first.recall.raw.value == 1
    shown_where_it_should_be(done.stdout, (tmp_path / "r" / "report.md").read_text(), table)


def shown_where_it_should_be(terminal: str, report: str, table: Arbitration) -> None:
    assert max(map(len, terminal[terminal.index("did it need its tools?") :].splitlines()[:24])) <= 80
    assert "correction for chance: guessing among 4 options" in terminal
    assert f"{table.called.right_without} redundant" in terminal
    assert "## Did it need its tools?" in report
    assert f"| {table.called.right_without} redundant |" in report
