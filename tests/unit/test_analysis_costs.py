"""Tokens, money and pixels; a total is known only where every part of it is."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from evalkit import EvalkitError, Outcome, Record, Sample, StopReason, Trajectory, Turn, Usage, Verdict
from evalkit.analysis.costs import cost, pixels, tokens
from evalkit.analysis.frames import RunFrames, frames_of
from evalkit.analysis.latency import latency
from evalkit.analysis.outcomes import errors, outcomes, reasons
from evalkit.records import CallStatus, Shown, Timing, ToolCall


def record(id: int, usage: Usage, *shown: Shown, verdict: Verdict = Verdict.CORRECT, **more: Any) -> Record:
    return Record(
        version=1,
        sample=Sample(id=str(id), question="?"),
        trajectory=Trajectory(
            prompt="", stop=StopReason.ANSWERED, turns=(Turn(text="", usage=usage, shown=shown, **more),), total_s=1.0
        ),
        outcome=Outcome(verdict=verdict, reason="letter", error="down" if verdict.is_error else ""),
    )


def frames(*records: Record, expected: int | None = None) -> RunFrames:
    return frames_of(records, run="r", task="t", model="m", expected=expected)


def one(table: pd.DataFrame, part: str, figure: str, **keys: str) -> Any:
    for key, wanted in {"part": part, "figure": figure, **keys}.items():
        table = table[table[key] == wanted]
    assert len(table) == 1
    return table.iloc[0]


def used(prompt: int | None, out: int | None) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=out, image_tokens=None)


def test_tokens_of_errors_count_too() -> None:
    run = frames(record(1, used(100, 10)), record(2, used(300, 30), verdict=Verdict.JUDGE_ERROR))
    table = tokens([run])
    assert one(table, "in", "mean").value == 200
    assert one(table, "in", "total").value == 400
    assert one(table, "out", "total").value == 40
    assert one(table, "image", "mean").why == "nobody measured it"


def test_a_total_with_an_unknown_part_is_not_available() -> None:
    table = tokens([frames(record(1, used(100, 10)), record(2, used(None, 30)))])
    total = one(table, "in", "total")
    assert math.isnan(total.value)
    assert (total.why, total.unknown) == ("it is unknown of 1 of 2 rows", 1)
    assert (one(table, "in", "mean").value, one(table, "in", "mean").unknown) == (100, 1)
    assert one(table, "out", "total").value == 40


def test_cost_is_tokens_times_their_price() -> None:
    table = cost([frames(record(1, used(1_000_000, 500_000)), record(2, used(0, 1_500_000)))], 2.0, 10.0)
    assert one(table, "in", "total").value == pytest.approx(2.0)
    assert one(table, "out", "total").value == pytest.approx(20.0)
    assert one(table, "all", "total").value == pytest.approx(22.0)
    assert one(table, "all", "mean").value == pytest.approx(11.0)


@pytest.mark.parametrize("price", [-1.0, math.nan, math.inf])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(EvalkitError, match="price per million tokens out"):
        cost([], 1.0, price)


def test_pixels_kept_are_counted_over_images_of_known_size() -> None:
    whole = Shown(origin="sample", width=2000, height=1000, shown_width=2000, shown_height=1000, tokens=10)
    shrunk = Shown(origin="zoom", width=2000, height=1000, shown_width=1000, shown_height=500, tokens=5)
    unknown = Shown(origin="zoom", width=2000, height=1000)
    run = frames(record(1, Usage(), whole, shrunk), record(2, Usage(), unknown))
    table = pixels([run])
    assert one(table, "kept", "mean").value == pytest.approx((1 + 1 / 4) / 2)
    assert (one(table, "original", "mean").n, one(table, "original", "mean").unknown) == (2, 1)
    assert one(table, "shown", "p50").value == pytest.approx(1.25)
    assert (one(table, "tokens", "mean").value, one(table, "tokens", "mean").unknown) == (15, 1)
    bare = pixels([frames(record(1, Usage()))])
    assert set(bare["why"]) == {"the record has no image of it"}


def test_latency_per_turn_and_per_sample() -> None:
    timing = Timing(queue_s=1.0, ttft_s=0.5, decode_s=2.0, generate_s=4.0, tool_s=None)
    turns = Turn(text="", timing=timing), Turn(text="", timing=Timing(queue_s=3.0, generate_s=6.0))
    sample = record(1, Usage())
    trajectory = Trajectory(prompt="", stop=StopReason.ANSWERED, turns=turns, total_s=12.0)
    run = frames(Record(version=1, sample=sample.sample, trajectory=trajectory, outcome=sample.outcome))
    table = latency([run])
    assert one(table, "queue", "mean", per="sample").value == 4
    assert one(table, "queue", "p50", per="turn").value == 2
    assert one(table, "model", "p95", per="turn").value == pytest.approx(5.9)
    assert (one(table, "first token", "mean", per="turn").n, one(table, "first token", "mean", per="turn").unknown) == (
        1,
        1,
    )
    assert one(table, "first token", "mean", per="sample").why == "nobody measured it"
    # both turns are of one sample: there is a median, but nothing to tell how sure it is
    assert one(table, "queue", "p50", per="turn").why == "all samples belong to one cluster"


def test_outcomes_reasons_and_errors_are_counted() -> None:
    failed = ToolCall(tool="python", raw="", status=CallStatus.FAILED, error="NameError: x")
    run = frames(
        record(1, Usage(), calls=(failed, failed)),
        record(2, Usage(), calls=(failed,)),
        record(3, Usage(), verdict=Verdict.ENGINE_ERROR),
        expected=5,
    )
    table = outcomes([run])
    assert dict(zip(table["outcome"], table["rows"], strict=True)) == {"correct": 2, "engine_error": 1, "missing": 2}
    assert set(table["expected"]) == {5.0}
    table = errors([run])
    assert table.iloc[:, 4:].to_numpy().tolist() == [
        ["row", "engine_error", "down", 1, 1],
        ["call", "failed python", "NameError: x", 3, 2],
    ]
    table = reasons([run])
    assert table.iloc[:, 4:].to_numpy().tolist() == [["correct", "letter", 2]]
