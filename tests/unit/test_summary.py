"""Figures from records: both denominators, errors never wrong answers, nothing divided by zero."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
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
from evalkit.analysis import Summary, summarise
from evalkit.analysis.summary import spread
from evalkit.records import Prices
from evalkit.reporting import figure_rows, run_markdown
from evalkit.runs.folder import RunInfo, Session
from evalkit.stats import wilson


class Plain(Task):
    """A task without figures of its own."""

    name = "plain"

    def samples(self) -> Iterable[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Outcome:
        return Outcome(verdict=Verdict.UNPARSED)


TASK = Plain(DataSource(kind="sample"), Path())


def row(id: int, verdict: Verdict, *calls: CallStatus, tool: str = "python", seconds: float = 1.0) -> Record:
    made = tuple(ToolCall(tool=tool, raw="", status=status) for status in calls)
    turn = Turn(text="", calls=made, usage=Usage(prompt_tokens=10, completion_tokens=2), timing=Timing(generate_s=0.5))
    return Record(
        version=1,
        sample=Sample(id=str(id), question="", category="even" if id % 2 == 0 else "odd"),
        trajectory=Trajectory(prompt="", stop=StopReason.ANSWERED, turns=(turn,), total_s=seconds),
        outcome=Outcome(verdict=verdict, error="down <b>" if verdict.is_error else ""),
    )


def summary(records: Sequence[Record], expected: int | None = None) -> Summary:
    return summarise(TASK, "m", len(records) if expected is None else expected, records)


def test_errors_leave_the_scored_rows_and_count_as_not_right_in_all() -> None:
    s = summary([row(0, Verdict.CORRECT), row(1, Verdict.INCORRECT), row(2, Verdict.ENGINE_ERROR)], expected=4)
    assert (s.accuracy.count, s.accuracy.n) == (1, 2)
    assert (s.accuracy_expected.count, s.accuracy_expected.n) == (1, 4)
    assert s.errors == {"down <b>": 1}


def test_unparsed_answers_and_limits_are_scored_and_not_right() -> None:
    s = summary([row(0, Verdict.UNPARSED), row(1, Verdict.LIMIT_TURNS), row(2, Verdict.CORRECT)])
    assert s.accuracy.value == pytest.approx(1 / 3)


def test_tool_figures_count_dispatched_calls() -> None:
    s = summary(
        [
            row(0, Verdict.CORRECT),
            row(1, Verdict.CORRECT, CallStatus.OK),
            row(2, Verdict.INCORRECT, CallStatus.FAILED, CallStatus.TIMEOUT),
            row(3, Verdict.CORRECT, CallStatus.MALFORMED, CallStatus.NOT_RUN, CallStatus.BLOCKED),
        ]
    )
    assert s.tools.tool_rate.count == 2
    assert s.tools.tool_rate_ok.count == 1
    assert s.tools.calls_mean == pytest.approx(3 / 4)
    assert s.tools.efficiency == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert s.tools.calls == {"ok": 1, "failed": 1, "timeout": 1, "malformed": 1, "not_run": 1, "blocked": 1}


@pytest.mark.parametrize("records", [[], [row(0, Verdict.ENGINE_ERROR)], [row(0, Verdict.INCORRECT)]])
def test_figures_that_cannot_be_had_are_said_so(records: list[Record]) -> None:
    s = summary(records, expected=10)
    text = " ".join(cell for line in figure_rows(s) for cell in line)
    assert "nan" not in text
    assert s.tools.efficiency is None
    if not s.accuracy.n:
        assert "not available" in text


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_agree_with_numpy(values: list[float]) -> None:
    import numpy as np

    s = spread(values)
    expected = np.percentile(values, [50, 95, 99])
    assert [s.p50, s.p95, s.p99] == pytest.approx(list(expected), rel=1e-9, abs=1e-9)


def test_unknown_times_are_left_out_of_the_distribution() -> None:
    assert spread([None, 1.0, float("nan"), 3.0]).n == 2


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # statsmodels.stats.proportion.proportion_confint(k, n, method="wilson")
    [(174, 191, 0.862096, 0.943687), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0), (1, 2, 0.094531, 0.905469)],
)
def test_wilson_agrees_with_statsmodels(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=2e-6)


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2), (0, 0)])
def test_wilson_refuses_nonsense(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="sample"):
        wilson(k, n)


def test_hostile_text_is_neutral_in_the_report() -> None:
    s = summary([row(0, Verdict.ENGINE_ERROR)])
    info = RunInfo(
        evalkit="0", created="now", config={"a": "x | y <script>"}, config_hash="h", expected_rows=1,
        sessions=[Session(started="now", concurrency=1)],
    )  # fmt: skip
    text = run_markdown(info, s)
    assert "<script>" not in text.replace("\\<", "")
    assert "down \\<b\\>" in text
    assert "x \\| y" in text


def test_cost_follows_from_tokens_and_prices_and_is_not_made_up() -> None:
    prices = Prices(prompt=2.0, completion=10.0)
    known = Usage(prompt_tokens=1_000_000, completion_tokens=500_000)
    assert prices.of(known) == 7.0
    assert prices.of(known + known) == 14.0
    assert prices.of(Usage(prompt_tokens=5)) is None
