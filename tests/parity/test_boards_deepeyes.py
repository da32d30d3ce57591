"""DeepEyes' recorded runs on leaderboards: every figure is the one that `summarise` gives for the run itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.analysis import Summary, summarise
from evalkit.analysis.board import Board, Boards
from evalkit.analysis.boards import make_boards
from evalkit.analysis.figure import Figure
from evalkit.analysis.row_index import RowIndex
from evalkit.analysis.shares import Share
from evalkit.analysis.task_opener import TaskOpener
from evalkit.records import Rule
from evalkit.runs.folder import read_info
from evalkit.runs.store import latest_records

RUNS = {
    "vstar first": ("vstar", "vstar/deepeyes_logs/ds4_bugfree/global_step_48"),
    "vstar again": ("vstar", "vstar/deepeyes_logs/deepeyes_7b_rerun"),
    "hrbench 4k": ("hrbench_4k", "hrbench/deepeyes_logs"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> list[Path]:
    from evalkit.cli import main

    made = []
    for name, (task, logs) in RUNS.items():
        out = tmp_path_factory.mktemp(task)
        files = sorted((shared_data / logs).glob("*.jsonl"))
        if not files:
            pytest.skip(f"the logs are not in ../shared/data/{logs}")
        assert main(["import", "deepeyes", *map(str, files), "--task", task, "--model", name, "--out", str(out)]) == 0
        (folder,) = out.iterdir()
        made.append(folder.rename(out / name))
    return made


@pytest.fixture(scope="module")
def found(folders: list[Path]) -> tuple[Boards, tuple[RowIndex, ...]]:
    return make_boards(folders, task_of=TaskOpener())


def board(boards: Boards, task: str) -> Board:
    (one,) = [board for board in boards.boards if board.task == task]
    return one


def summary_of(folder: Path, rule: Rule) -> Summary:
    info = read_info(folder)
    records = list(latest_records(folder).values())
    return summarise(
        TaskOpener()(info), info.config["model"]["name"], info.expected_rows, records, rule, prices=info.prices
    )


def same(figure: Figure | None, share: Share | None) -> None:
    assert (figure is None) == (share is None)
    if figure is not None and share is not None:
        assert (figure.value, figure.count, figure.n) == (share.value, share.count, share.n)
        assert (figure.low, figure.high) == pytest.approx((share.low, share.high))


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("run", RUNS)
def test_an_entry_says_what_the_summary_says(folders: list[Path], run: str, rule: Rule) -> None:
    folder = next(folder for folder in folders if folder.name == run)
    if rule is Rule.OFFICIAL and "vstar" in run and not TaskOpener()(read_info(folder)).official:
        pytest.skip("V* has no rule beside evalkit's own")
    boards, _ = make_boards([folder], rule, task_of=TaskOpener())
    (entry,), expected = boards.boards[0].entries, summary_of(folder, rule)
    assert (entry.done, entry.expected, entry.outcomes) == (expected.done, expected.expected, expected.outcomes)
    assert entry.errors == expected.errors
    same(entry.accuracy, expected.accuracy)
    same(entry.accuracy_expected, expected.accuracy_expected)
    same(entry.other_rule, expected.other_rule)
    same(entry.tool_rate, expected.tools.tool_rate)
    same(entry.tool_rate_ok, expected.tools.tool_rate_ok)
    assert entry.calls.value == pytest.approx(expected.tools.calls_mean)
    assert entry.efficiency.value == pytest.approx(expected.tools.efficiency)
    assert list(entry.categories) == list(expected.by_category)
    for name, share in expected.by_category.items():
        same(entry.categories[name], share)
    assert (entry.p50.value, entry.p95.value) == (expected.latency["sample"].p50, expected.latency["sample"].p95)
    for figure, kind in ((entry.tokens_in, "prompt"), (entry.tokens_out, "completion"), (entry.tokens_image, "image")):
        assert figure.value == pytest.approx(expected.tokens[kind].mean)
    assert entry.latency_parts["model"] == expected.latency["model"].mean
    assert (entry.cost, entry.need) == (None, None)
    assert entry.budgets == expected.budgets
    by_rule = any(metric.name.startswith("official.") for metric in expected.metrics)
    official = rule is Rule.OFFICIAL
    own = [m for m in expected.metrics if not by_rule or m.name.startswith("official.") == official]
    assert list(entry.own) == own
    assert own


def test_vstar_says_that_the_two_runs_cannot_be_told_apart(found: tuple[Boards, tuple[RowIndex, ...]]) -> None:
    boards, indexes = found
    vstar = board(boards, "vstar")
    assert [(entry.run, entry.accuracy.count) for entry in vstar.entries] == [
        ("vstar again", 170),
        ("vstar first", 169),
    ]
    best, tools, *cautions = vstar.headlines
    assert best.text == (
        "vstar again has the most right: 89.0% [83.8, 92.7] of 191 scored rows. "
        "It cannot be told apart from vstar first (+0.5 points [-3.8, +4.9], p = 0.804)."
    )
    assert tools.text.startswith("vstar again calls most (1.81 a row), vstar first least (1.00);")
    assert "vstar again is not shown to have more right" in tools.text
    # the logs hold the same questions in another order
    assert (vstar.config, cautions) == ((), [])
    assert vstar.title == "V*Bench"
    assert {figure.model for figure in vstar.published} >= {"DeepEyes", "Mini-o3"}
    assert [index.run for index in indexes] == ["vstar again", "vstar first", "hrbench 4k"]
    again, first = indexes[:2]
    assert dict(zip(again.ids, again.questions, strict=True)) == dict(zip(first.ids, first.questions, strict=True))


def test_hrbench_counts_questions_and_shows_the_means_of_both_sizes(found: tuple[Boards, tuple[RowIndex, ...]]) -> None:
    hrbench = board(found[0], "hrbench_4k")
    (entry,) = hrbench.entries
    assert (entry.accuracy.count, entry.accuracy.n, entry.accuracy.method) == (581, 794, "cluster_wilson")
    assert (entry.accuracy_expected.count, entry.accuracy_expected.n) == (581, 800)
    assert (entry.tool_rate.count, entry.tool_rate.n) == (794, 794)
    assert entry.calls.value == pytest.approx(1450 / 794)
    assert {figure.task for figure in hrbench.published} == {"hrbench_4k", "hrbench"}
    # six errors are within one in a hundred
    assert entry.outcomes["engine_error"] == 6
    assert [mark.kind for mark in entry.marks if mark.serious] == []
    assert entry.marks[0].kind == "imported"
