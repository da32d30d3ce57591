"""The tables of a run: equal to the end-of-run summary, right or "not available, because" on every odd run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import (
    CallStatus,
    DataSource,
    Outcome,
    Record,
    Sample,
    StopReason,
    Task,
    Timing,
    ToolCall,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from evalkit.analysis import summarise
from evalkit.analysis.frames import RunFrames, frames_of
from evalkit.analysis.measure import COLUMNS
from evalkit.analysis.readers import run_names
from evalkit.analysis.tables import Tables, analyse, tables_of
from evalkit.errors import DataError
from evalkit.records import AGAIN, DIRECT, ISOLATED, Rule, Shown, answer_arm
from evalkit.runs.imported import IMPORTED
from evalkit.stats import cluster_wilson, wilson
from tests.run_folders import row, write_run


class Plain(Task):
    """A task with two rules and no figures of its own."""

    name = "plain"
    official = True

    def samples(self) -> Iterable[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Outcome:
        return Outcome(verdict=Verdict.UNPARSED)


TASK = Plain(DataSource(kind="sample"), Path())


def frames(records: Sequence[Record], expected: int | None = None, **about: Any) -> RunFrames:
    return frames_of(records, run="run", task="t", model="m", expected=expected, **about)


def one(table: pd.DataFrame, **keys: str) -> dict[str, Any]:
    """The only row with these keys; keys that are not given are "" where the table has them as texts."""
    defaults = {"arm": "agent", "category": "", "tool": ""}
    for key, value in {**{k: v for k, v in defaults.items() if k in table}, **keys}.items():
        table = table[table[key] == value]
    assert len(table) == 1, table
    return {str(key): value for key, value in table.iloc[0].items()}


def share(table: pd.DataFrame, **keys: str) -> tuple[float, float, int]:
    """Numerator, value and denominator."""
    found = one(table, **keys)
    return found["count"], found["value"], found["n"]


statuses = st.sampled_from(list(CallStatus))
times = st.one_of(st.none(), st.floats(0, 1e4))


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    made = []
    for index in range(draw(st.integers(0, 25))):
        calls = draw(st.lists(st.tuples(st.sampled_from(["python", "zoom"]), statuses), max_size=3))
        verdict = draw(st.sampled_from(list(Verdict)))
        turn = Turn(
            text="",
            calls=tuple(ToolCall(tool=tool, raw="", status=status) for tool, status in calls),
            usage=Usage(prompt_tokens=draw(st.one_of(st.none(), st.integers(0, 9))), completion_tokens=index),
            timing=Timing(generate_s=draw(times), queue_s=draw(times), tool_s=draw(times)),
            shown=(Shown(origin="sample", width=2000, height=1000, shown_width=draw(st.sampled_from([None, 1000])),
                         shown_height=500, tokens=5),),
        )  # fmt: skip
        turns = (turn,) * draw(st.integers(0, 2))
        made.append(
            Record(
                version=1,
                sample=Sample(
                    id=str(index),
                    question="",
                    category=draw(st.sampled_from(["", "even", "odd"])),
                    cluster=draw(st.sampled_from(["", "p", "q", "r"])),
                ),
                trajectory=Trajectory(
                    prompt="",
                    stop=StopReason.ANSWERED,
                    turns=turns,
                    total_s=draw(times),
                    partial=draw(st.sampled_from([False, False, True])),
                ),
                outcome=Outcome(
                    verdict=verdict,
                    official=None if verdict.is_error else draw(st.booleans()),
                    recorded=draw(st.sampled_from([None, True, False])),
                    error="down" if verdict.is_error else "",
                ),
                arm=draw(st.sampled_from(["agent", "agent", "agent", DIRECT])),
                repeat=draw(st.sampled_from([0, 0, 1])),
            )
        )
    return made


@given(records(), st.integers(0, 5), st.sampled_from(Rule))
@settings(deadline=None, max_examples=40)
def test_tables_and_summary_are_two_ways_to_the_same_figures(made: list[Record], absent: int, rule: Rule) -> None:
    expected = sum((r.arm, r.repeat) == ("agent", 0) for r in made) + absent
    summary = summarise(TASK, "m", expected, made, rule)
    tables = tables_of([frames(made, expected)], rule)

    def same(measure: dict[str, Any], share: Any) -> None:
        assert measure["n"] == share.n
        if share.value is None:
            assert math.isnan(measure["value"])
            assert measure["why"]
            return
        assert (measure["count"], measure["value"]) == (share.count, pytest.approx(share.value))
        low, high = (math.nan if end is None else end for end in (share.low, share.high))
        assert [measure["low"], measure["high"]] == pytest.approx([low, high], nan_ok=True)
        assert measure["clusters"] == pytest.approx(share.clusters or math.nan, nan_ok=True) or share.low is None

    if any(r.outcome.official is not None for r in made if (r.arm, r.repeat) == ("agent", 0)) or rule is Rule.STRICT:
        same(one(tables.accuracy, rule=str(rule), rows="scored"), summary.accuracy)
        same(one(tables.accuracy, rule=str(rule), rows="all"), summary.accuracy_expected)
        for category, value in summary.by_category.items():
            same(one(tables.accuracy, rule=str(rule), rows="scored", category=category), value)
    same(one(tables.tool_use, figure="tool_rate"), summary.tools.tool_rate)
    same(one(tables.tool_use, figure="tool_rate_ok"), summary.tools.tool_rate_ok)
    for tool, value in summary.tools.by_tool.items():
        same(one(tables.tool_use, figure="tool_rate", tool=tool), value)
    mean = one(tables.tool_use, figure="calls_mean")["value"]
    assert mean == pytest.approx(
        math.nan if summary.tools.calls_mean is None else summary.tools.calls_mean, nan_ok=True
    )
    calls = tables.tool_calls[tables.tool_calls["arm"] == "agent"].groupby("status")["calls"].sum()
    assert calls.to_dict() == summary.tools.calls
    if summary.tools.tool_rate.n and summary.tools.efficiency is not None:
        assert one(tables.tool_use, figure="efficiency")["value"] == pytest.approx(summary.tools.efficiency)
    outcomes = tables.outcomes[(tables.outcomes["arm"] == "agent") & (tables.outcomes["outcome"] != "missing")]
    assert dict(zip(outcomes["outcome"], outcomes["rows"], strict=True)) == summary.outcomes


@given(records(), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_every_measure_has_a_value_with_an_interval_or_a_reason(made: list[Record], absent: int) -> None:
    check(tables_of([frames(made, len(made) + absent)]))


def check(tables: Tables) -> None:
    """No measure without a value or a reason, no interval that leaves its value out, no share beyond 0..1."""
    for field in fields(Tables):
        table = getattr(tables, field.name)
        if "why" not in table:
            assert not table.drop(columns="expected", errors="ignore").isna().any().any(), field.name
            continue
        assert [str(table[name].dtype) for name in COLUMNS] == [dtype for dtype, _ in COLUMNS.values()], field.name
        bare = table["value"].isna() | table["low"].isna()
        assert (table["why"] != "").equals(bare), (field.name, table[(table["why"] != "") != bare])
        assert (table["method"] == "").equals(bare), field.name
        whole = table[~bare]
        assert ((whole["low"] <= whole["value"]) & (whole["value"] <= whole["high"])).all(), field.name
        counted = table[table["count"].notna() & table["value"].notna() & (table["method"] != "")]
        assert ((counted["value"] - counted["count"] / counted["n"]).abs() < 1e-12).all(), field.name
        assert (counted["low"] >= 0).all(), field.name
        assert (counted["high"] <= 1).all(), field.name


def many(n: int, **same: Any) -> list[Record]:
    return [row(index, **same) for index in range(n)]


ODD_RUNS: dict[str, tuple[list[Record], int | None]] = {
    "no record": ([], 10),
    "no record, nothing expected": ([], 0),
    "nothing says how many": ([row(1)], None),
    "one sample": ([row(1, calls=1)], 1),
    "one error": ([row(1, Verdict.ENGINE_ERROR)], 1),
    "all errors": (many(8, right=Verdict.SANDBOX_ERROR), 8),
    "all right": (many(80, right=True), 80),
    "all wrong": (many(80, right=False, calls=2), 80),
    "all right in one cluster": (many(8, right=True, cluster="q", category="c"), 8),
    "no call": (many(30), 30),
    "times unknown": (many(30, seconds=None, tokens=None), 30),
    "times not finite": ([*many(10, seconds=float("nan")), row(99, seconds=float("inf"))], 11),
    "times beyond reason": (many(10, seconds=1e300), 10),
    "more rows than expected": (many(5), 3),
    "half missing": (many(40, calls=1, category="c"), 80),
    "only last responses": (many(9, partial=True), 9),
    "an arm half finished": (many(20) + many(7, arm=DIRECT, right=False), 20),
    "arms without the agent": (many(5, arm=DIRECT) + many(2, arm=answer_arm(1)), 5),
    "repeats alone": (many(5, repeat=1), 5),
    "asked again and one at a time": (many(9) + many(3, arm=AGAIN) + many(3, arm=ISOLATED), 9),
}


@pytest.mark.parametrize("name", ODD_RUNS)
def test_odd_runs_give_right_figures_or_reasons_and_no_warning(tmp_path: Path, name: str) -> None:
    made, expected = ODD_RUNS[name]
    check(tables_of([frames(made, expected)]))
    for rule in Rule:
        check(tables_of([frames(made, expected, engine=IMPORTED)], rule))
    check(analyse([write_run(tmp_path / "run", made, expected=expected)]))


def test_reasons_say_why(tmp_path: Path) -> None:
    tables = tables_of([frames([row(1, Verdict.ENGINE_ERROR)], 2)])
    assert one(tables.accuracy, rule="strict", rows="scored")["why"] == "no row has a score"
    assert share(tables.accuracy, rule="strict", rows="all")[1:] == (0.0, 2)
    assert one(tables.tool_use, figure="tool_rate")["why"] == "no row has a score"
    tables = tables_of([frames(many(3, partial=True), 3)])
    assert one(tables.tool_use, figure="tool_rate")["why"] == "only last responses are known, not what tools did"
    tables = tables_of([frames(many(3, right=False, seconds=None), 3)])
    assert one(tables.tool_use, figure="efficiency")["why"] == "no row is right"
    assert one(tables.tool_use, figure="error_rate")["why"] == "no call ran"
    total = one(tables.latency, per="sample", part="total", figure="p95")
    assert (total["why"], total["unknown"]) == ("nobody measured it", 3)
    assert one(tables.latency, per="sample", part="judge", figure="mean")["why"] == "no judge was asked"
    assert one(tables.accuracy, rule="official", rows="scored")["why"].startswith("the benchmark has no official rule")
    half = tables_of([frames([row(1, category="a"), row(2, category="b")], 3)])
    assert "of which category" in one(half.accuracy, rule="strict", rows="all", category="a")["why"]
    answers = tables_of([frames([row(1), row(1, arm=answer_arm(0))], 1)])
    assert one(answers.accuracy, arm="answer@0", rule="strict", rows="all")["why"] == (
        "nothing says how many rows there should be"
    )


def test_intervals_count_questions_and_not_rows() -> None:
    right = [index % 40 < 28 for index in range(80)]
    made = [row(index, value, cluster=f"q{index % 40}") for index, value in enumerate(right)]
    found = one(tables_of([frames(made, 80)]).accuracy, rule="strict", rows="scored")
    assert (found["n"], found["clusters"], found["method"]) == (80, 40, "cluster_wilson")
    expected = cluster_wilson(right, [f"q{index % 40}" for index in range(80)]).interval
    assert (found["low"], found["high"]) == pytest.approx(expected)
    # every question is answered alike, so 80 rows tell as much as 40
    assert found["high"] - found["low"] > wilson(28, 40).high - wilson(28, 40).low - 0.01
    assert found["high"] - found["low"] > 1.3 * (wilson(56, 80).high - wilson(56, 80).low)


def test_both_rules_and_the_recording_have_their_own_figures() -> None:
    made = [row(1, True, official=False), row(2, False, official=True), row(3, False, official=True)]
    made.append(row(4, Verdict.JUDGE_ERROR))
    table = tables_of([frames(made, 5)]).accuracy
    assert share(table, rule="strict", rows="scored") == (1, pytest.approx(1 / 3), 3)
    assert share(table, rule="strict", rows="all") == (1, pytest.approx(1 / 5), 5)
    assert share(table, rule="official", rows="scored") == (2, pytest.approx(2 / 3), 3)
    assert share(table, rule="official", rows="all") == (2, pytest.approx(2 / 5), 5)
    assert "recorded" not in set(table["rule"])


def test_arms_never_mix() -> None:
    made = [row(1, seconds=1.0), row(2, seconds=3.0), row(1, seconds=0.5, arm=ISOLATED), row(1, False, arm=DIRECT)]
    tables = tables_of([frames(made, 2)])
    for arm, regime, mean in (("agent", "loaded", 2.0), ("isolated", "isolated", 0.5), ("direct", "loaded", 1.0)):
        found = one(tables.latency, arm=arm, per="sample", part="total", figure="mean")
        assert (found["regime"], found["value"]) == (regime, mean)
    assert share(tables.accuracy, arm="direct", rule="strict", rows="scored") == (0, 0.0, 1)
    assert share(tables.accuracy, rule="strict", rows="scored") == (2, 1.0, 2)


def test_several_runs_are_analysed_in_order_and_told_apart(tmp_path: Path) -> None:
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "other"]
    for index, folder in enumerate(runs):
        write_run(folder, many(4, right=index == 1), model=f"m{index}")
    found = analyse(runs)
    names = [str(runs[0]), str(runs[1]), "other"]
    assert run_names(runs) == names == [run.run for run in found.runs]
    scored = found.accuracy[(found.accuracy["rule"] == "strict") & (found.accuracy["rows"] == "scored")]
    assert list(zip(scored["run"], scored["model"], scored["value"], strict=True)) == [
        (names[0], "m0", 0.0),
        (names[1], "m1", 1.0),
        ("other", "m2", 0.0),
    ]
    assert found.samples()["run"].astype(str).value_counts().to_dict() == dict.fromkeys(names, 4)
    assert len(analyse([]).accuracy) == 0
    with pytest.raises(DataError, match="is not a run folder"):
        analyse([tmp_path])


def test_readers_in_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.analysis.readers._WORTH_A_PROCESS", 0)
    runs = [write_run(tmp_path / f"run{index}", many(9, right=index % 2 == 0, calls=index)) for index in range(3)]
    apart, here = analyse(runs, processes=2), analyse(runs)
    for field in fields(Tables):
        pd.testing.assert_frame_equal(getattr(apart, field.name), getattr(here, field.name))
    (runs[1] / "samples.jsonl").write_bytes(b"no record\n")
    with pytest.raises(DataError, match=r"run1/samples\.jsonl line 1 is corrupt"):
        analyse(runs, processes=2)
