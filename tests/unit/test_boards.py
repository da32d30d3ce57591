"""Leaderboards of invented runs: every figure worked out by hand, and what the headlines dare to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import Metric, Record, Sample, Task, Verdict
from evalkit.analysis import summarise
from evalkit.analysis.board import SCHEMA, Board, Boards, Entry
from evalkit.analysis.boards import make_boards
from evalkit.analysis.entry import entry_of
from evalkit.analysis.light import read_light
from evalkit.analysis.rollout import rollouts_of
from evalkit.records import AGENT, DIRECT, ISOLATED, Prices, Rule, Timing
from evalkit.runs.folder import RunInfo, Session, read_info, write_info
from evalkit.runs.imported import IMPORTED, PREDICTIONS
from evalkit.runs.notes import no_isolation, not_offered
from evalkit.runs.store import latest_records
from evalkit.stats import wilson
from evalkit.task import DataSource
from tests.run_folders import row, write_run


def board_of(*folders: Path, **options: Any) -> Board:
    boards, _ = make_boards(folders, **options)
    assert not boards.unreadable
    (found,) = boards.boards
    return found


def entry_in(folder: Path, **options: Any) -> Entry:
    (found,) = board_of(folder, **options).entries
    return found


def said(board: Board, kind: str) -> list[str]:
    return [headline.text for headline in board.headlines if headline.kind == kind]


def flags(right: int, n: int) -> list[bool]:
    return [i < right for i in range(n)]


def run_of(folder: Path, right: Sequence[bool], **options: Any) -> Path:
    return write_run(folder, [row(i, flag) for i, flag in enumerate(right)], model=folder.name, **options)


def test_every_figure_of_an_entry(tmp_path: Path) -> None:
    rows = [
        row(0, True, calls=0, seconds=1, tokens=10, category="a", official=True),
        row(1, True, calls=1, seconds=2, tokens=20, category="a", official=True),
        row(2, True, calls=3, seconds=3, tokens=30, category="b", official=False),
        row(3, False, calls=2, seconds=4, tokens=None, category="b", official=True),
        row(4, Verdict.UNPARSED, calls=0, seconds=5, tokens=50, category="b", official=False),
        row(5, Verdict.ENGINE_ERROR, calls=9, seconds=600, tokens=60, category="b"),
        row(0, False, repeat=1),
        row(0, True, arm=ISOLATED, seconds=0.5),
        row(1, True, arm=ISOLATED, seconds=1.5),
        row(2, Verdict.ENGINE_ERROR, arm=ISOLATED, seconds=99),
    ]
    folder = write_run(tmp_path / "r", rows, model="nano", expected=8)
    info = read_info(folder)
    info.prices = Prices(prompt=2.0, completion=8.0)
    write_info(folder, info)
    found = entry_in(folder)
    assert (found.run, found.model, found.task, found.engine) == ("r", "nano", "numbers", "scripted")
    assert (found.folder, found.created) == (str(folder), "2026-01-01T00:00:00Z")
    assert (found.live, found.done, found.expected) == (True, 6, 8)
    accuracy = found.accuracy
    assert (accuracy.count, accuracy.n, accuracy.value) == (3, 5, 0.6)
    assert (accuracy.low, accuracy.high) == pytest.approx(tuple(wilson(3, 5)))
    assert (found.accuracy_expected.count, found.accuracy_expected.n) == (3, 8)
    assert found.other_rule is not None
    assert (found.other_rule.count, found.other_rule.n) == (3, 5)
    assert (found.tool_rate.count, found.tool_rate.n) == (3, 5)
    assert (found.tool_rate_ok.count, found.tool_rate_ok.n) == (3, 5)
    assert found.calls.value == pytest.approx(6 / 5)
    assert found.efficiency.value == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert (found.p50.value, found.p50.n) == (3, 5)
    assert found.p95.value == pytest.approx(4.8)
    assert "needs 72 independent values, there are 5" in found.p95.why
    assert (found.isolated_p50.value, found.isolated_p50.n) == (1.0, 2)
    # the row whose tokens nobody counted is left out, the error has no score
    assert (found.tokens_in.value, found.tokens_in.n) == (27.5, 4)
    assert (found.tokens_out.value, found.tokens_out.n) == (27.5, 4)
    assert (found.tokens_image.value, found.tokens_image.n) == (0, 5)
    assert found.cost is not None
    assert found.cost.value == pytest.approx((10 + 20 + 30 + 50 + 60) / 5 * 10 / 1e6)
    assert found.cost.n == 5
    assert found.outcomes == {"correct": 3, "incorrect": 1, "unparsed": 1, "engine_error": 1}
    assert found.errors == {"the server went away": 1}
    assert {name: (part.count, part.n) for name, part in found.categories.items()} == {"a": (2, 2), "b": (1, 3)}
    rates = {name: (part.count, part.n) for name, part in found.category_tool_rates.items()}
    assert rates == {"a": (1, 2), "b": (2, 3)}
    assert found.call_counts == {0: 2, 1: 1, 2: 1, 3: 1}
    assert found.redundant is None
    assert found.need is None
    assert [(curve.unit, curve.n) for curve in found.budgets] == [("calls", 5), ("tokens", 4), ("seconds", 5)]
    assert (found.own, found.own_why) == ((), "the benchmark was not opened to ask it")


def test_where_the_seconds_go(tmp_path: Path) -> None:
    def timed(id: int, *turns: Timing) -> Record:
        made = row(id)
        (turn,) = made.trajectory.turns
        turns_ = tuple(msgspec.structs.replace(turn, timing=timing) for timing in turns)
        return msgspec.structs.replace(made, trajectory=msgspec.structs.replace(made.trajectory, turns=turns_))

    rows = [
        timed(0, Timing(generate_s=1, tool_s=0.5, queue_s=0.25), Timing(generate_s=2, tool_s=0, queue_s=0.25)),
        timed(1, Timing(generate_s=5, tool_s=0, queue_s=None)),
        timed(2),
    ]
    parts = entry_in(write_run(tmp_path / "r", rows)).latency_parts
    assert parts == {"model": 4.0, "tool": 0.25, "queue": 0.5, "judge": None}


def test_the_official_rule(tmp_path: Path) -> None:
    rows = [row(0, True, official=False), row(1, False, official=True), row(2, Verdict.JUDGE_ERROR, official=True)]
    folder = write_run(tmp_path / "both", rows)
    found = entry_in(folder, rule=Rule.OFFICIAL)
    assert found.other_rule is not None
    assert (found.accuracy.count, found.accuracy.n, found.other_rule.count) == (1, 2, 1)
    none = board_of(write_run(tmp_path / "strict", [row(0)]), rule=Rule.OFFICIAL)
    assert none.rule is Rule.OFFICIAL
    assert none.entries[0].accuracy.why == "no row has a verdict under an official rule"
    assert none.entries[0].accuracy_expected.value is None
    assert none.entries[0].other_rule is None
    assert said(none, "best") == ["Nothing can be said of accuracy: no row has a verdict under an official rule."]


def test_rows_of_one_cluster_and_missing_rows_in_the_interval(tmp_path: Path) -> None:
    rows = [row(i, i < 6, cluster=f"photo {i // 2}") for i in range(10)]
    found = entry_in(write_run(tmp_path / "r", rows, expected=12))
    assert (found.accuracy.method, found.accuracy_expected.method) == ("cluster_wilson", "cluster_wilson")
    assert (found.accuracy_expected.count, found.accuracy_expected.n) == (6, 12)


def test_last_responses_say_nothing_of_tools(tmp_path: Path) -> None:
    rows = [row(i, seconds=None, tokens=None, partial=True) for i in range(3)]
    board = board_of(write_run(tmp_path / "r", rows, config={"engine": PREDICTIONS}))
    (found,) = board.entries
    assert found.tool_rate.why == found.calls.why == "only last responses are known, not what tools did"
    assert (found.p50.why, found.tokens_in.why) == ("nobody measured it", "nobody counted it")
    assert found.call_counts == {}
    assert [(mark.kind, mark.serious) for mark in found.marks] == [("imported", False)]
    assert said(board, "tools") == ["Nothing is known of tool use: there are no scored rows, or answers alone."]


def test_light_and_whole_records_give_the_same_entry(tmp_path: Path) -> None:
    choices = {letter: letter for letter in "ABCD"}
    rows = [row(i, i % 3 > 0, calls=i % 4, choices=choices, official=i % 2 > 0) for i in range(40)]
    rows += [row(i, i % 2 > 0, arm=DIRECT, choices=choices) for i in range(40)]
    folder = write_run(tmp_path / "r", rows)
    info, whole, light = read_info(folder), list(latest_records(folder).values()), read_light(folder)
    for rule in Rule:
        assert rollouts_of(whole, rule) == rollouts_of(light, rule)  # type: ignore[arg-type]
        made = [entry_of("r", folder, info, found, rollouts_of(found, rule), rule) for found in (whole, light)]  # type: ignore[arg-type]
        assert made[0] == made[1]


@st.composite
def some_rows(draw: st.DrawFn) -> list[Record]:
    kinds: list[bool | Verdict] = [True, True, False, Verdict.UNPARSED, Verdict.LIMIT_TURNS, Verdict.ENGINE_ERROR]
    verdicts = st.sampled_from(kinds)
    group = st.sampled_from(["", "a", "b"])
    rows = []
    for i in range(draw(st.integers(0, 12))):
        about: dict[str, Any] = {"category": draw(group), "cluster": draw(group)}
        for arm in draw(st.sampled_from([(AGENT,), (AGENT, DIRECT), (DIRECT,)])):
            rows.append(
                row(
                    i,
                    draw(verdicts),
                    arm=arm,
                    calls=draw(st.integers(0, 3)),
                    seconds=draw(st.none() | st.floats(0, 100)),
                    tokens=draw(st.none() | st.integers(0, 1000)),
                    official=draw(st.none() | st.booleans()),
                    partial=draw(st.booleans()),
                    **about,
                )
            )
    return rows


@given(rows=some_rows(), expected=st.integers(0, 15), rule=st.sampled_from(Rule), priced=st.booleans())
def test_an_entry_says_what_the_summary_says(rows: list[Record], expected: int, rule: Rule, priced: bool) -> None:
    prices = Prices(prompt=1, completion=2) if priced else None
    info = RunInfo(evalkit="", created="", config={}, config_hash="", expected_rows=expected, prices=prices)
    info.config = {"model": {"name": "m"}, "task": {"name": "numbers"}}
    entry = entry_of("r", Path("r"), info, rows, rollouts_of(rows, rule), rule)
    task = Counting(DataSource(kind="sample"), Path())
    task.official = any(one.outcome.official is not None for one in rows if one.arm == AGENT)  # type: ignore[misc]
    if rule is Rule.OFFICIAL and not task.official:
        assert entry.accuracy.value is None
        return
    summary = summarise(task, "m", expected, rows, rule, prices=prices)
    shares = [
        (entry.accuracy, summary.accuracy),
        (entry.accuracy_expected, summary.accuracy_expected),
        (entry.other_rule, summary.other_rule),
        (entry.tool_rate, summary.tools.tool_rate),
        (entry.tool_rate_ok, summary.tools.tool_rate_ok),
        *((entry.categories[name], share) for name, share in summary.by_category.items()),
    ]
    for figure, share in shares:
        assert (figure is None) == (share is None)
        if figure is not None and share is not None:
            assert (figure.value, figure.count or 0, figure.n) == (share.value, share.count, share.n)
            assert (figure.low is None) == (share.low is None)
            if figure.low is not None and share.low is not None:
                assert (figure.low, figure.high) == pytest.approx((share.low, share.high))
    numbers = [
        (entry.calls.value, summary.tools.calls_mean),
        (entry.efficiency.value, summary.tools.efficiency),
        (entry.p50.value, summary.latency["sample"].p50),
        (entry.p95.value, summary.latency["sample"].p95),
        (entry.tokens_in.value, summary.tokens["prompt"].mean),
        (entry.tokens_out.value, summary.tokens["completion"].mean),
        (entry.tokens_image.value, summary.tokens["image"].mean),
        (entry.cost.value if entry.cost else None, summary.cost.mean if summary.cost else None),
        *((entry.latency_parts[part], summary.latency[part].mean) for part in ("model", "tool", "queue")),
    ]
    for found, wanted in numbers:
        assert found == (None if wanted is None else pytest.approx(wanted))
    assert (entry.outcomes, entry.errors, entry.budgets) == (summary.outcomes, summary.errors, summary.budgets)
    assert entry.need == (summary.need.overall if summary.need else None)


def test_counterfactual_arms(tmp_path: Path) -> None:
    # called: 6 right without (4 of them right with), 4 wrong without; not called: 5 right without
    rows = [row(i, i < 8 and i not in (1, 2), calls=1) for i in range(10)] + [row(i) for i in range(10, 15)]
    rows += [row(i, i < 6 or i >= 10, arm=DIRECT) for i in range(15)]
    found = entry_in(write_run(tmp_path / "r", rows))
    assert found.redundant is not None
    assert (found.redundant.raw.count, found.redundant.raw.n) == (6, 10)
    assert found.need is not None
    assert found.need.called == type(found.need.called)(kept=4, gain=2, harm=2, lost=2)
    assert found.need_notes[0] == "correction for chance: none needed: free-form answers are not guessed"


def test_boards_by_benchmark_and_entries_by_accuracy(tmp_path: Path) -> None:
    second = {"task": {"name": "letters"}}
    runs = [
        run_of(tmp_path / "c", flags(2, 4)),
        run_of(tmp_path / "x", flags(1, 4), **second),
        write_run(tmp_path / "none", [row(0, Verdict.ENGINE_ERROR)]),
        run_of(tmp_path / "a", flags(4, 4)),
        run_of(tmp_path / "b", flags(3, 4)),
    ]
    boards, indexes = make_boards(runs)
    assert boards.schema == SCHEMA
    assert [board.task for board in boards.boards] == ["numbers", "letters"]
    assert [entry.run for entry in boards.boards[0].entries] == ["a", "b", "c", "none"]
    assert [index.run for index in indexes] == ["a", "b", "c", "none", "x"]
    assert [index.task for index in indexes] == ["numbers"] * 4 + ["letters"]
    again = msgspec.json.decode(msgspec.json.encode(boards), type=Boards)
    assert again == boards


def test_two_runs_of_one_name(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / place / "r", flags(right, 4)) for place, right in (("one", 3), ("two", 2))]
    board = board_of(*runs)
    assert [entry.run for entry in board.entries] == [str(run) for run in runs]
    assert "cannot be told apart" in said(board, "best")[0]


def test_published_figures_of_the_benchmark(tmp_path: Path) -> None:
    board = board_of(write_run(tmp_path / "r", [row(0)], task={"name": "hrbench_4k"}), task_of=Opened("hrbench_4k"))
    assert (board.title, {figure.task for figure in board.published}) == ("HR-Bench 4K", {"hrbench_4k", "hrbench"})
    shut = board_of(tmp_path / "r")
    assert (shut.title, {figure.task for figure in shut.published}) == ("hrbench_4k", {"hrbench_4k"})
    assert not board_of(write_run(tmp_path / "s", [row(0)])).published


class Opened:
    """Opens a built-in benchmark whatever the run says."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, info: RunInfo) -> Task:
        from evalkit.content import find_tasks

        entry = find_tasks()[self.name]
        assert entry.kind is not None
        return entry.kind(DataSource(kind="sample"), entry.folder)


class Counting(Task):
    """A benchmark with a figure of its own."""

    name = "numbers"
    summary = "Numbers: some questions"

    def samples(self) -> list[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Any:
        raise NotImplementedError

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        long = [record.sample.metadata["long"] is True for record in records]
        return (Metric.share("long", long), Metric.share("official.long", long))


def test_the_benchmarks_own_figures(tmp_path: Path) -> None:
    rows = [row(0, metadata={"long": True}), row(1, metadata={"long": False}), row(1, repeat=1)]
    folder = write_run(tmp_path / "r", rows)
    board = board_of(folder, task_of=lambda _: Counting(DataSource(kind="sample"), folder))
    (found,) = board.entries
    assert [(metric.name, metric.value, metric.n) for metric in found.own] == [("long", 0.5, 2)]
    assert (found.own_why, board.title) == ("", "Numbers")
    broken = entry_in(
        write_run(tmp_path / "s", [row(0)]), task_of=lambda _: Counting(DataSource(kind="sample"), folder)
    )
    assert broken.own[0].value is None
    assert "task numbers failed: KeyError" in broken.own[0].note


def test_several_processes_make_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [run_of(tmp_path / name, flags(right, 30)) for name, right in (("a", 20), ("b", 10), ("c", 25))]
    runs.insert(1, tmp_path / "none")
    here, rows_here = make_boards(runs, processes=1)
    monkeypatch.setattr("evalkit.analysis.readers._WORTH_A_PROCESS", 0)
    there, rows_there = make_boards(runs, processes=2)
    assert msgspec.structs.replace(here, made="") == msgspec.structs.replace(there, made="")
    assert rows_here == rows_there


# who is best


def test_best_of_one_run(tmp_path: Path) -> None:
    board = board_of(run_of(tmp_path / "a", flags(3, 4)))
    (text,) = said(board, "best")
    assert text == "a has 75.0% [30.1, 95.4] of 4 scored rows right; there is no other run to compare it with."
    assert board.headlines[0].runs == ("a",)


def test_a_lead_that_is_shown(tmp_path: Path) -> None:
    # eight rows that only a has right, none that only b has: mid-p is (1/2)^8
    board = board_of(run_of(tmp_path / "b", flags(2, 12)), run_of(tmp_path / "a", flags(10, 12)))
    (text,) = said(board, "best")
    assert text.startswith("a has the most right: 83.3% [55.2, 95.3] of 12 scored rows. It is ahead of b (+66.7 ")
    assert text.endswith("], p = 0.004) on the rows they share.")


def test_a_lead_that_is_not_shown(tmp_path: Path) -> None:
    # four rows that only a has right: mid-p is (1/2)^4 = 0.0625
    board = board_of(run_of(tmp_path / "b", flags(6, 12)), run_of(tmp_path / "a", flags(10, 12)))
    (text,) = said(board, "best")
    assert "It cannot be told apart from b (+33.3 points [" in text
    assert "p = 0.062)" in text
    assert "ahead" not in text


def test_every_pair_of_runs_counts_where_the_best_was_picked_from_several(tmp_path: Path) -> None:
    # against each other run five rows speak for a: mid-p (1/2)^5 = 0.031, of two runs alone a lead, of three not
    alone = board_of(run_of(tmp_path / "a", flags(9, 12)), run_of(tmp_path / "b", flags(4, 12)))
    assert "It is ahead of b" in said(alone, "best")[0]
    board = board_of(tmp_path / "a", tmp_path / "b", run_of(tmp_path / "c", flags(4, 12)))
    assert "ahead" not in said(board, "best")[0]
    # three pairs and not two: 3 x 0.03125
    assert said(board, "best")[0].count("p = 0.094") == 2


def test_equal_runs_are_not_told_apart(tmp_path: Path) -> None:
    board = board_of(run_of(tmp_path / "a", flags(2, 4)), run_of(tmp_path / "b", flags(2, 4)))
    assert "a has the most right" not in said(board, "best")[0]
    assert said(board, "best")[0].startswith("a and b have equally many right")
    # "it" would be either
    assert "a cannot be told apart from b" in said(board, "best")[0]


def test_rows_that_are_not_shared_are_not_compared(tmp_path: Path) -> None:
    mine = run_of(tmp_path / "a", flags(4, 4))
    others = write_run(tmp_path / "b", [row(i, False, question="Another?") for i in range(4)], model="b")
    board = board_of(mine, others)
    assert said(board, "best")[0].endswith("It cannot be compared with b (no row in common).")


def test_whoever_is_behind_on_shared_rows_is_not_called_best_without_a_word(tmp_path: Path) -> None:
    # b answers 20 more rows, which are hard; on the twelve that both have it is ahead
    a = run_of(tmp_path / "a", flags(3, 12))
    b = run_of(tmp_path / "b", [i < 11 for i in range(60)])
    board = board_of(a, b)
    assert board.entries[0].run == "a"
    assert "On the rows that both have, b is ahead (+66.7 points [" in said(board, "best")[0]


def test_runs_that_cannot_be_relied_on_are_not_best(tmp_path: Path) -> None:
    sound = run_of(tmp_path / "sound", flags(2, 4))
    half = run_of(tmp_path / "half", flags(3, 3), expected=4)
    broken = write_run(tmp_path / "broken", [row(0), row(1, Verdict.ENGINE_ERROR)], model="broken")
    board = board_of(sound, half, broken)
    assert [entry.run for entry in board.entries] == ["half", "broken", "sound"]
    (text,) = said(board, "best")
    assert text.startswith("sound has 50.0%")
    assert text.endswith("no other run is finished and sound.")
    errors, unfinished = said(board, "caution")
    assert errors.startswith("Do not rely on broken: 1 of 2 rows are errors (50.0%), more than 1.0%")
    assert unfinished == "Not finished: half (3 of 4 rows)."


# who wastes its tools


def with_arms(folder: Path, called: int, **options: Any) -> Path:
    """Twenty rows, of which the first `called` have a call; ten are right without tools."""
    rows = [row(i, calls=int(i < called)) for i in range(20)] + [row(i, i < 10, arm=DIRECT) for i in range(20)]
    return write_run(folder, rows, model=folder.name, expected=20, **options)


def test_who_wastes_its_tools(tmp_path: Path) -> None:
    board = board_of(with_arms(tmp_path / "frugal", 1), with_arms(tmp_path / "eager", 20))
    (text,) = said(board, "tools")
    assert text.startswith("eager wastes its tools most: it calls one on 50.0% [")
    # the table's figure, of the rows that called, stands beside the headline's
    assert (
        "of all rows without need (right without tools too, corrected for chance), 50.0% of those with a call." in text
    )
    assert "Next is frugal with 5.0% [" in text
    assert ", 100.0% of those with a call (as counted" in text
    # nine rows, all for the same side: (1/2)^9 = 0.002
    assert "as counted: +45.0 points [" in text
    assert "p = 0.002" in text
    assert [headline.runs for headline in board.headlines if headline.kind == "tools"] == [("eager",)]


def test_nobody_is_shown_to_waste_most(tmp_path: Path) -> None:
    board = board_of(with_arms(tmp_path / "a", 3), with_arms(tmp_path / "b", 5))
    (text,) = said(board, "tools")
    assert text.startswith("Nobody is shown to waste tools most. Rows with a call that was not needed: b 25.0% [")


def test_one_run_with_arms_and_one_without(tmp_path: Path) -> None:
    board = board_of(with_arms(tmp_path / "measured", 20), run_of(tmp_path / "other", flags(4, 20)))
    (text,) = said(board, "tools")
    assert text.startswith("measured called a tool on 100.0% [83.9, 100.0] of its rows, on 50.0% [")
    assert text.endswith("Of other this was not measured.")


def test_without_arms_it_is_said_that_nobody_measured_it(tmp_path: Path) -> None:
    def calling(name: str, calls: int) -> Path:
        return write_run(tmp_path / name, [row(i, i % 2 > 0, calls=calls) for i in range(10)], model=name)

    board = board_of(calling("eager", 2), calling("frugal", 0))
    (text,) = said(board, "tools")
    assert text == (
        "eager calls most (2.00 a row), frugal least (0.00); eager is not shown to have more right. "
        "Whether the calls were needed was not measured (evalkit run --counterfactual measures it)."
    )
    (alone,) = said(board_of(tmp_path / "eager"), "tools")
    assert alone.startswith("eager called a tool on 100.0% [72.2, 100.0] of its rows. Whether")
    (none,) = said(board_of(tmp_path / "frugal"), "tools")
    assert none == "No run called a tool."


# marks and settings


def marks(folder: Path, **options: Any) -> list[tuple[str, str, bool]]:
    return [(mark.kind, mark.text, mark.serious) for mark in entry_in(folder, **options).marks]


def test_errors_beyond_what_is_allowed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", [row(0, Verdict.ENGINE_ERROR), *(row(i) for i in range(1, 50))])
    assert marks(folder) == [("errors", "1 of 50 rows are errors (2.0%), more than 1.0%: they have no score", True)]
    assert marks(folder, allowed_errors=0.02) == []


def test_notes_and_isolation(tmp_path: Path) -> None:
    notes = [no_isolation("T0"), not_offered(["search"]), "something else\x1b[31m"]
    sessions = [
        Session(started="", concurrency=1, sandbox={"tier": "T1", "isolated": True}),
        Session(started="", concurrency=1, sandbox={"tier": "T0", "isolated": False}, notes=notes),
    ]
    assert marks(write_run(tmp_path / "r", [row(0)], sessions=sessions)) == [
        ("isolation", "the model's code ran without isolation (sandbox tier T0)", True),
        ("tools", "search not offered to the model: no provider is configured", False),
        ("other", "something else [31m", False),
    ]


def test_imported_and_unfinished(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", [row(0, seconds=None)], config={"engine": IMPORTED}, expected=3)
    assert [(kind, text) for kind, text, _ in marks(folder)] == [
        ("unfinished", "1 of 3 rows are done"),
        ("imported", "imported from another program's log: its times and settings are not known beyond what it says"),
    ]


def test_scorers_that_differ(tmp_path: Path) -> None:
    def scored(name: str, *versions: str) -> Path:
        made = [
            msgspec.structs.replace(record, outcome=msgspec.structs.replace(record.outcome, scorer=version))
            for record, version in zip(map(row, range(len(versions))), versions, strict=True)
        ]
        return write_run(tmp_path / name, made, model=name)

    board = board_of(scored("old", "numbers/1"), scored("new", "numbers/2"), scored("mixed", "numbers/1", "numbers/2"))
    texts = {entry.run: [mark.text for mark in entry.marks] for entry in board.entries}
    assert texts["old"][0].startswith("scored by numbers/1, other runs here by numbers/2, numbers/1;")
    assert texts["mixed"][0].startswith("its rows were scored by different rules (numbers/1, numbers/2)")
    assert [difference.key for difference in board.config] == ["scorers"]
    assert "they differ in scorers." in said(board, "caution")[0]


def test_settings_that_matter_stand_apart_from_the_others(tmp_path: Path) -> None:
    place = {"cpu": "Other CPU", "cpus": 4, "machine": "x86_64", "packages": {"torch": "2.14"}}
    sandboxed = Session(started="", concurrency=8, environment=place, sandbox={"tier": "T2", "isolated": True})
    a = run_of(tmp_path / "a", flags(4, 4))
    b = run_of(
        tmp_path / "b",
        flags(2, 4),
        config={
            "sampling": {"temperature": 1.0},
            "model": {"name": "b", "weights": "b", "pixels": {"max": 1000}},
            "protocol": {"name": "metis", "system_prompt": "fedcba9876543210", "tools": ["python"]},
            "engine": "vllm",
        },
        sessions=[sandboxed],
    )
    board = board_of(b, a)
    values = {difference.key: difference.values for difference in board.config}
    assert [entry.run for entry in board.entries] == ["a", "b"]
    # in the order of the entries
    assert values == {
        "model.pixels.max": (None, 1000),
        "protocol.system_prompt": ("0123456789abcdef", "fedcba9876543210"),
        "sampling.temperature": (0.0, 1.0),
        "engine": ("scripted", "vllm"),
        "sandbox.tier": (None, "T2"),
    }
    rest = {difference.key for difference in board.config_rest}
    assert {"machine", "packages.torch", "model.name", "model.weights"} <= rest
    (caution,) = said(board, "caution")
    assert "model.pixels.max, protocol.system_prompt and sampling.temperature" in caution
    assert board.headlines[-1].runs == ("a", "b")


def test_rows_in_another_order_are_the_same_rows(tmp_path: Path) -> None:
    rows = [row(i) for i in range(3)]
    a = write_run(tmp_path / "a", rows, task={"fingerprint": "1"})
    b = write_run(tmp_path / "b", rows[::-1], task={"fingerprint": "2"})
    board = board_of(a, b)
    assert board.config == ()
    assert [difference.key for difference in board.config_rest] == ["task.fingerprint"]
    c = write_run(tmp_path / "c", [row(0, question="Another?")], task={"fingerprint": "3"})
    assert [difference.key for difference in board_of(a, c).config] == ["task.fingerprint"]


def test_fronts(tmp_path: Path) -> None:
    def made(name: str, right: int, calls: int, seconds: float | None = 1.0) -> Path:
        rows = [row(i, i < right, calls=calls, seconds=seconds) for i in range(10)]
        return write_run(tmp_path / name, rows, model=name)

    board = board_of(made("good", 9, 2), made("cheap", 7, 0), made("poor", 6, 1), made("slow", 9, 3, None))
    fronts = {front.cost: front for front in board.fronts}
    assert [point.name for point in fronts["calls"].best] == ["cheap", "good"]
    assert fronts["calls"].beaten == {"poor": "cheap", "slow": "good"}
    assert fronts["seconds"].left_out == {"slow": "the seconds of a row are not known"}
