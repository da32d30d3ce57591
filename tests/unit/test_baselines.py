"""Published figures: every one has a source, disagreements are kept, and a broken file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.baselines import load_baselines, published
from evalkit.errors import EvalkitError
from tests.conftest import Cli

TASKS = {"vstar", "hrbench_4k", "hrbench_8k", "hrbench", "mathvista", "wemath", "mmsearch", "fvqa", "browsecomp_vl"}

GOOD = """
sources: {paper: {title: A paper, where: example.org, at: "1"}}
variants: {tool_rate: share of samples}
models:
  - model: Agent-1B
    kind: agent
    figures:
      - {source: paper, regime: greedy, accuracy: {vstar: 50.5}, tool_rate: {vstar: 7}}
"""


def test_every_figure_has_a_source_a_regime_and_a_sensible_value() -> None:
    baselines = published()
    assert len(baselines.figures) > 150
    for figure in baselines.figures:
        assert figure.sources
        assert set(figure.sources) <= baselines.sources.keys()
        assert figure.regime
        assert figure.task in TASKS
        assert 0 <= figure.value <= (100 if figure.unit == "%" else 10_000)
    assert {source for figure in baselines.figures for source in figure.sources} == baselines.sources.keys()


def test_sources_that_disagree_have_a_figure_each() -> None:
    found = published().of("Qwen2.5-VL-7B", "vstar", "accuracy")
    assert {(figure.value, figure.sources) for figure in found} == {
        (75.3, ("metis", "mars")),
        (78.5, ("deepeyesv2",)),
        (75.5, ("mini-o3",)),
    }


def test_the_figures_the_paper_is_known_for() -> None:
    figures = published()

    def value(model: str, task: str, metric: str, source: str) -> float:
        [one] = [f.value for f in figures.of(model, task, metric) if f.sources[0] == source]
        return one

    assert value("Metis-8B", "vstar", "accuracy", "metis") == 91.1
    assert value("Metis-8B", "vstar", "tool_rate", "metis-figure") == 2
    assert value("Metis-8B, GRPO only", "vstar", "tool_rate", "metis-figure") == 98
    assert value("Skywork-R1V4-30B-A3B", "hrbench_4k", "accuracy.cross", "r1v4") == 73.8
    assert "strict" in figures.of("Metis-8B", "wemath")[0].variant


def test_percentages_of_a_set_of_known_size_are_reachable_where_one_pass_is_claimed() -> None:
    # R1V4's V* parts are k/115, k/76 and k/191 exactly, which is how its overall figure is known to be the micro mean
    figures = published()
    for metric, n in (("accuracy.direct_attributes", 115), ("accuracy.relative_position", 76), ("accuracy", 191)):
        [figure] = figures.of("Skywork-R1V4-30B-A3B", "vstar", metric)
        assert any(round(100 * k / n, 1) == figure.value for k in range(n + 1))


def test_a_good_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(GOOD)
    [accuracy, rate] = load_baselines(file).figures
    assert (accuracy.value, accuracy.unit, accuracy.variant) == (50.5, "%", "")
    assert (rate.value, rate.variant) == (7, "share of samples")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: paper", "source: hearsay", "Agent-1B: source 'hearsay' is not among the sources"),
        ("kind: agent", "kind: oracle", "Agent-1B: kind 'oracle' is none of base, agent, reasoner"),
        ("vstar: 50.5", "vstar: high", "Expected `float`, got `str`"),
        ("regime: greedy, ", "", "KeyError"),
        ("at: ", "commit: ", "unknown field `commit`"),
        ("tool_rate: {vstar: 7}", "tool_rate: 7", "not in the form"),
        ("models:", "models: [", "baselines .*own.yaml"),
    ],
)
def test_a_broken_file_is_named_in_one_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert GOOD.count(old) == 1 or old == "models:"
    file = tmp_path / "own.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(EvalkitError, match=message) as refused:
        load_baselines(file)
    assert "\n" not in str(refused.value)


def test_a_figure_stands_once_for_each_source(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(GOOD + "      - {source: paper, regime: greedy, accuracy: {vstar: 51}}\n")
    with pytest.raises(EvalkitError, match="Agent-1B / vstar / accuracy / paper stands twice"):
        load_baselines(file)


def test_the_list_on_the_terminal(cli: Cli) -> None:
    shown = cli("baselines", "--task", "vstar", "--model", "metis")
    assert shown.returncode == 0
    assert "91.1 %" in shown.stdout
    assert "arXiv 2604.08545" in shown.stdout
    assert "Mini-o3" not in shown.stdout
    wrong = cli("baselines", "--task", "vstr")
    assert (wrong.returncode, "vstar" in wrong.stderr) == (2, True)
