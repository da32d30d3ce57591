"""Recorded texts against real ones: what honest executions may differ in, and nothing more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.curation.texts import reads_clock, same_text

SAME = [
    ("42", "42\n"),
    ("a  b\n\n c", "a b c"),
    ("<X object at 0x7f00aa>", "<X object at 0x55d1c3b2e8f0>"),
    ("mean 0.30000000000000004", "mean 0.3"),
    ("-1.5e-07", "-1.50000001e-07"),
    ("[1, 2.5]", "[1, 2.5]"),
]
DIFFERENT = [
    ("42", "43"),
    ("42", "42.1"),
    ("0.3", "0.3001"),
    ("red", "Red"),
    ("yes", "yes yes"),
    ("", "1"),
    ("-3", "3"),
    ("0x7f00aa", "0x7f00ab"),
    ("3.2 s", "3.4 s"),
    ("2024-01-02", "2024-01-03"),
    ("a, b", "b, a"),
    ("nan", "0.0"),
]


@pytest.mark.parametrize(("recorded", "real"), SAME)
def test_what_may_differ(recorded: str, real: str) -> None:
    assert same_text(recorded, [real])


@pytest.mark.parametrize(("recorded", "real"), DIFFERENT)
def test_what_may_not(recorded: str, real: str) -> None:
    assert not same_text(recorded, [real])
    assert not same_text(recorded, [real, real])


@pytest.mark.parametrize(
    ("recorded", "real"),
    [
        ("took 3.21 s", "took 0.01 s"),
        ("took 12 ms", "took 900 ms"),
        ("12:30:01 start", "01:15:59 start"),
        ("2024-01-02 10:00:00", "2026-11-26 02:00:00"),
    ],
)
def test_times_are_free_only_where_a_clock_is_read(recorded: str, real: str) -> None:
    assert not same_text(recorded, [real])
    assert same_text(recorded, [real], clock=True)
    assert not same_text(f"{recorded} and 5 apples", [f"{real} and 6 apples"], clock=True)


def test_a_clock_in_code() -> None:
    assert reads_clock("import time; print(time.time())")
    assert reads_clock("from datetime import datetime")
    assert not reads_clock("print(runtime, timely)")


@pytest.mark.parametrize(
    ("recorded", "runs", "same"),
    [
        ("drew 7", ["drew 1", "drew 2"], True),
        ("drew seven", ["drew 1", "drew 2"], False),
        ("drew red", ["drew red", "drew blue"], True),
        ("drew green", ["drew red", "drew blue"], False),
        ("lost 7", ["drew 1", "drew 2"], False),
        ("total 9 of 5", ["total 9 of 1", "total 9 of 2"], True),
        ("total 8 of 5", ["total 9 of 1", "total 9 of 2"], False),
        ("{a, c, b}", ["{a, b, c}", "{c, b, a}"], True),
        ("{a, c, d}", ["{a, b, c}", "{c, b, a}"], False),
        ("tmp_4f9a", ["tmp_11aa", "tmp_92bc"], True),
        ("drew 1 2", ["drew 1", "drew 1 2 3"], False),
    ],
)
def test_where_two_executions_differ(recorded: str, runs: list[str], same: bool) -> None:
    assert same_text(recorded, runs) is same


@given(st.text(max_size=200))
def test_a_text_is_itself(text: str) -> None:
    assert same_text(text, [text])
    assert same_text(text, [text], clock=True)


@given(st.text(max_size=80), st.text(max_size=80))
def test_it_does_not_matter_which_is_the_recorded_one(a: str, b: str) -> None:
    assert same_text(a, [b]) is same_text(b, [a])


@given(st.integers(), st.integers())
def test_whole_numbers_are_equal_or_not(a: int, b: int) -> None:
    assert same_text(f"n = {a}", [f"n = {b}"]) is (a == b)


@given(st.text(max_size=60), st.lists(st.text(max_size=60), min_size=1, max_size=2))
def test_no_text_is_too_odd(recorded: str, runs: list[str]) -> None:
    assert same_text(recorded, runs) in (True, False)


@pytest.mark.parametrize("text", ["1" * 100_000, "1" * 99_999 + "x", "1.1" * 33_000, "0x" * 50_000, "12:" * 33_000])
def test_a_long_text_takes_no_long_time(text: str) -> None:
    assert same_text(text, [text], clock=True)
