"""What a gate says of runs whose figures are known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats

from evalkit import Record, Verdict, stats
from evalkit.errors import ExitCode, NothingEvaluatedError
from evalkit.gate import CheckResult, GateResult, Status, parse_rule, run_gate
from evalkit.records import DIRECT, ISOLATED, Prices, Rule
from evalkit.runs.folder import Session, read_info, write_info
from tests.run_folders import PLACE, row, write_run


def rows(n: int, wrong: Iterable[int] = (), calls: Iterable[int] = (), **more: Any) -> list[Record]:
    """n samples, some of them wrong, some with a call."""
    bad, called = set(wrong), set(calls)
    return [row(i, i not in bad, calls=int(i in called), **more) for i in range(n)]


def gate(tmp_path: Path, old: list[Record], new: list[Record], *texts: str, **options: Any) -> GateResult:
    about = {key: options.pop(key) for key in ("expected", "sessions") if key in options}
    write_run(tmp_path / "old", old, **{k: v for k, v in about.items() if k == "sessions"})
    write_run(tmp_path / "new", new, **about)
    rules = [parse_rule(text) for text in texts] or None
    return run_gate(tmp_path / "new", str(tmp_path / "old"), rules, **options)


def only(result: GateResult, metric: str) -> CheckResult:
    (found,) = [check for check in result.checks if check.metric == metric]
    return found


def test_no_change_on_many_samples_passes(tmp_path: Path) -> None:
    result = gate(tmp_path, rows(600, range(100)), rows(600, range(100)))
    assert [(check.rule, check.status, check.default) for check in result.checks] == [
        ("accuracy:noninferior:1pt", Status.PASS, True),
        ("tool_rate:max:+5pt", Status.PASS, True),
        ("errors:max:1%", Status.PASS, True),
    ]
    assert result.exit_code is ExitCode.OK
    assert (result.flips, result.overrides, result.notes) == ((), (), ())
    accuracy = only(result, "accuracy")
    interval = stats.tango(0, 0, 600)
    assert accuracy.difference is not None
    assert (accuracy.difference.low, accuracy.difference.high) == pytest.approx(tuple(interval))
    assert accuracy.limit == -0.01
    assert accuracy.baseline == accuracy.new


def test_a_run_that_is_held_against_itself_is_said_to_be(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "new", rows(600))
    result = run_gate(folder, str(folder) + "/")
    assert result.notes == ("the baseline is the new run itself: nothing can differ",)


def test_no_change_on_few_samples_is_not_told_and_says_how_many_are_enough(tmp_path: Path) -> None:
    result = gate(tmp_path, rows(20, range(3)), rows(20, range(3)))
    accuracy = only(result, "accuracy")
    assert (accuracy.status, result.exit_code) == (Status.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    assert accuracy.needed == stats.needed_n_non_inferiority(0.5 / 21, 0.01)
    assert f"about {accuracy.needed:,} samples would be enough" in accuracy.why


def test_a_drop_fails_and_p_is_holms_over_all_tests(tmp_path: Path) -> None:
    result = gate(tmp_path, rows(400, range(50)), rows(400, [*range(10, 90)]))
    accuracy = only(result, "accuracy")
    assert (accuracy.status, result.exit_code) == (Status.FAIL, ExitCode.REGRESSION)
    # 40 lost, 10 won: the lower tail of the binomial, with half of what was seen
    mid_p = scipy_stats.binom.cdf(10, 50, 0.5) - scipy_stats.binom.pmf(10, 50, 0.5) / 2
    assert accuracy.p == pytest.approx(mid_p)
    assert accuracy.p_adjusted == pytest.approx(2 * mid_p)
    assert "over 2 tests" in accuracy.why
    assert accuracy.needed is None
    assert accuracy.paired == 400
    assert sorted(flip.direction for flip in result.flips) == ["right -> wrong"] * 40 + ["wrong -> right"] * 10


def test_a_significant_loss_within_the_margin_passes(tmp_path: Path) -> None:
    result = gate(tmp_path, rows(2000), rows(2000, range(12)), "accuracy:noninferior:2pt")
    accuracy = only(result, "accuracy")
    assert accuracy.p is not None
    assert accuracy.p < 0.001
    assert accuracy.status is Status.PASS


def test_more_tests_need_a_smaller_p(tmp_path: Path) -> None:
    old, new = rows(300), rows(300, range(5))
    one = gate(tmp_path / "a", old, new, "accuracy:noninferior:1pt")
    assert (only(one, "accuracy").p, only(one, "accuracy").status) == (pytest.approx(0.5**6), Status.FAIL)
    four = gate(
        tmp_path / "b", old, new, *("accuracy:noninferior:1pt", "calls:max:+1", "calls:max:9", "tool_rate:max:90%")
    )
    assert only(four, "accuracy").p_adjusted == pytest.approx(4 * 0.5**6)
    assert (only(four, "accuracy").status, four.exit_code) == (Status.INCONCLUSIVE, ExitCode.INCONCLUSIVE)


def test_a_tool_rate_is_bounded_both_ways(tmp_path: Path) -> None:
    old, new = rows(500, calls=range(100)), rows(500, calls=range(200))
    rules = ("tool_rate:max:+5pt", "tool_rate_ok:min:+10pt", "tool_rate_ok:max:+150%", "tool_rate_ok:min:10%")
    result = gate(tmp_path, old, new, *rules)
    high, low, relative, value = result.checks[:4]
    assert [check.status for check in (high, low, relative, value)] == [
        Status.FAIL,
        Status.PASS,
        Status.PASS,
        Status.PASS,
    ]
    assert high.difference is not None
    assert high.difference.value == pytest.approx(0.2)
    assert relative.difference is not None
    assert relative.difference.value == pytest.approx(1.0)
    assert value.difference is None
    assert value.baseline is None
    assert result.exit_code is ExitCode.REGRESSION


def test_a_proven_regression_beside_an_open_question_is_a_regression(tmp_path: Path) -> None:
    result = gate(tmp_path, rows(60), rows(60, calls=range(60)))
    assert (only(result, "accuracy").status, only(result, "tool_rate").status) == (Status.INCONCLUSIVE, Status.FAIL)
    assert result.exit_code is ExitCode.REGRESSION


def test_errors_beyond_the_limit_are_the_gates_own_failure(tmp_path: Path) -> None:
    new = rows(600)
    new[:7] = [row(i, Verdict.JUDGE_ERROR) for i in range(7)]
    result = gate(tmp_path, rows(600), new)
    found = only(result, "errors")
    assert (found.status, found.new and found.new.value) == (Status.ERROR, pytest.approx(7 / 600))
    assert (found.p, result.exit_code) == (None, ExitCode.INFRASTRUCTURE)
    assert "7 failed" in found.why
    assert any("7 an error in the new run" in note for note in result.notes)
    allowed = run_gate(tmp_path / "new", str(tmp_path / "old"), [parse_rule("errors:max:2%")])
    assert allowed.exit_code is ExitCode.OK


def test_rows_that_are_missing_count_as_errors(tmp_path: Path) -> None:
    result = gate(tmp_path, rows(600), rows(590), expected=600)
    found = only(result, "errors")
    assert (found.status, result.exit_code) == (Status.ERROR, ExitCode.INFRASTRUCTURE)
    assert "10 missing, as the run is not finished" in found.why
    # a run that was to have fewer rows is not unfinished
    smaller = gate(tmp_path / "b", rows(600), rows(590))
    assert only(smaller, "errors").status is Status.PASS
    assert "590 samples are paired; left out: 10 only in the baseline" in smaller.notes


def test_all_errors_leave_nothing_to_compare(tmp_path: Path) -> None:
    result = gate(tmp_path, rows(30), [row(i, Verdict.ENGINE_ERROR) for i in range(30)])
    assert result.exit_code is ExitCode.INFRASTRUCTURE
    assert "no sample has a score in both runs" in only(result, "accuracy").why


def test_no_row_at_all_is_nothing_evaluated(tmp_path: Path) -> None:
    with pytest.raises(NothingEvaluatedError, match="nothing was evaluated") as caught:
        gate(tmp_path, rows(30), [row(1, arm=DIRECT)])
    assert caught.value.exit_code is ExitCode.NOTHING_EVALUATED


def test_repeats_are_means_per_sample(tmp_path: Path) -> None:
    old = [row(i, (i + r) % 3 > 0, repeat=r) for i in range(200) for r in range(3)]
    new = [row(i, (i + r) % 3 > 0 and i > 60, repeat=r) for i in range(200) for r in range(3)]
    result = gate(tmp_path, old, new, "accuracy:noninferior:1pt")
    found = only(result, "accuracy")
    assert found.paired == 200
    assert found.difference is not None
    assert found.difference.value == pytest.approx(-(2 / 3) * 61 / 200)
    assert found.difference.method == "t"
    steps = [-2 / 3 if i <= 60 else 0.0 for i in range(200)]
    assert found.p == pytest.approx(scipy_stats.ttest_1samp(steps, 0, alternative="less").pvalue)
    assert found.status is Status.FAIL


def test_repeats_without_any_change_have_no_interval_of_width_0(tmp_path: Path) -> None:
    old = [row(i, (i + r) % 3 > 0, repeat=r) for i in range(50) for r in range(3)]
    result = gate(tmp_path, old, old, "accuracy:noninferior:1pt", "tokens_out:noninferior:5%", "calls:max:+1")
    accuracy, tokens, calls = result.checks[:3]
    assert accuracy.difference is not None
    assert accuracy.difference.low == pytest.approx(-stats.tango(0, 0, 50).high)
    assert accuracy.status is Status.INCONCLUSIVE
    assert tokens.difference is not None
    assert tokens.difference.low is not None
    assert tokens.difference.low < 0
    # no call anywhere: nobody can have made more
    assert calls.status is Status.PASS


def test_one_sample_that_moved_is_no_proof(tmp_path: Path) -> None:
    old = [row(i, tokens=100) for i in range(40)]
    new = [row(i, tokens=100 if i else 5000) for i in range(40)]
    result = gate(tmp_path, old, new, "tokens_out:max:+10%")
    found = only(result, "tokens_out")
    assert found.status is Status.INCONCLUSIVE
    assert found.p is not None
    assert found.p > 0.1


def test_a_ratio_of_means_is_fiellers(tmp_path: Path) -> None:
    old = [row(i, tokens=100 + 7 * (i % 11)) for i in range(80)]
    new = [row(i, tokens=130 + 5 * (i % 13)) for i in range(80)]
    result = gate(tmp_path, old, new, "tokens_in:max:+10%", "tokens_out:noninferior:40%")
    found = result.checks[0]
    a, b = [130 + 5 * (i % 13) for i in range(80)], [100 + 7 * (i % 11) for i in range(80)]
    assert found.difference is not None
    assert found.difference.value == pytest.approx(sum(a) / sum(b) - 1)
    for end in (found.difference.low, found.difference.high):
        assert end is not None
        # at an end of the interval the test of that ratio has p = 5 %
        contrast = [x - (1 + end) * y for x, y in zip(a, b, strict=True)]
        assert scipy_stats.ttest_1samp(contrast, 0).pvalue == pytest.approx(0.05, rel=1e-3)
    assert [check.status for check in result.checks[:2]] == [Status.FAIL, Status.PASS]


def test_clusters_are_not_independent(tmp_path: Path) -> None:
    def clustered(wrong: set[int]) -> list[Record]:
        return [row(i, i // 4 not in wrong, cluster=f"board {i // 4}") for i in range(400)]

    result = gate(tmp_path, clustered(set()), clustered({1, 2, 3}), "accuracy:noninferior:1pt")
    alone = gate(tmp_path / "b", rows(400), rows(400, range(12)), "accuracy:noninferior:1pt")
    assert only(alone, "accuracy").status is Status.FAIL
    assert only(result, "accuracy").status is Status.INCONCLUSIVE
    # three boards moved one way: 1/8, half of what was seen
    assert only(result, "accuracy").p == pytest.approx(1 / 16)


def test_no_change_is_no_worse_news_than_a_few_in_clusters(tmp_path: Path) -> None:
    def clustered(wrong: set[int]) -> list[Record]:
        return [row(i, i not in wrong, cluster=f"c{i // 4}") for i in range(1000)]

    none = gate(tmp_path / "none", clustered({0, 40}), clustered({0, 40}))
    some = gate(tmp_path / "some", clustered({0, 40}), clustered({0, 80}))
    first, second = only(none, "accuracy"), only(some, "accuracy")
    assert first.status is Status.PASS
    assert first.difference is not None
    assert second.difference is not None
    assert second.difference.low is not None
    assert second.difference.low < (first.difference.low or 0)
    assert "1,000 samples in 250 clusters count as 400" in first.why
    assert "count as" not in second.why
    # a value of the new run alone says nothing of changes
    alone = gate(tmp_path / "alone", clustered(set()), clustered(set()), "unparsed:max:3%")
    assert "changed" not in only(alone, "unparsed").why


@pytest.mark.parametrize("rule", ["calls:max:+1", "calls:max:+100%", "calls:noninferior:1"])
def test_a_change_that_is_the_same_in_all_samples_has_an_interval_with_a_width(tmp_path: Path, rule: str) -> None:
    n = 40
    result = gate(tmp_path, rows(n, calls=range(n)), [row(i, calls=2) for i in range(n)], rule)
    calls = only(result, "calls")
    assert calls.difference is not None
    assert calls.difference.value == pytest.approx(1)
    assert (calls.difference.low or 0) < 1 < (calls.difference.high or 0)
    assert calls.status is (Status.FAIL if "noninferior" in rule else Status.INCONCLUSIVE)
    # 40 samples of 40, one-sided mid-p of the sign test; at the limit itself nothing speaks against it
    assert calls.p == pytest.approx(2.0**-41 if "noninferior" in rule else 0.5)


def test_a_category_has_checks_of_its_own(tmp_path: Path) -> None:
    def parted(wrong: Iterable[int]) -> list[Record]:
        bad = set(wrong)
        return [row(i, i not in bad, category="even" if i % 2 == 0 else "odd") for i in range(800)]

    write_run(tmp_path / "old", parted([]))
    write_run(tmp_path / "new", parted(range(0, 80, 2)))
    rules = [parse_rule("accuracy:noninferior:2pt", category=name) for name in ("even", "odd")]
    even, odd, _ = run_gate(tmp_path / "new", str(tmp_path / "old"), rules).checks
    assert [(check.category, check.status, check.paired) for check in (even, odd)] == [
        ("even", Status.FAIL, 400),
        ("odd", Status.PASS, 400),
    ]


def test_the_official_rule_is_a_metric_of_its_own(tmp_path: Path) -> None:
    old = [row(i, True, official=True) for i in range(300)]
    new = [row(i, True, official=i > 30) for i in range(300)]
    result = gate(tmp_path, old, new, "accuracy_official:noninferior:1pt", "accuracy:noninferior:2pt")
    assert [check.status for check in result.checks[:2]] == [Status.FAIL, Status.PASS]
    by_rule = run_gate(
        tmp_path / "new", str(tmp_path / "old"), [parse_rule("accuracy:noninferior:2pt")], rule=Rule.OFFICIAL
    )
    assert by_rule.checks[0].p == result.checks[0].p
    none = gate(tmp_path / "b", rows(30), rows(30), "accuracy_official:noninferior:1pt")
    assert only(none, "accuracy_official").status is Status.ERROR
    assert "no verdict under an official rule" in only(none, "accuracy_official").why


def test_unparsed_answers_are_counted(tmp_path: Path) -> None:
    new = [row(i, Verdict.UNPARSED if i < 60 else True) for i in range(300)]
    result = gate(tmp_path, rows(300), new, "unparsed:max:+5pt", "unparsed:max:5%")
    assert [check.status for check in result.checks[:2]] == [Status.FAIL, Status.FAIL]
    assert result.checks[1].new is not None
    assert result.checks[1].new.value == pytest.approx(0.2)


def test_efficiency_is_over_the_right_samples(tmp_path: Path) -> None:
    old, new = rows(200, range(50), calls=range(100)), rows(200, range(50), calls=range(200))
    found = only(gate(tmp_path, old, new, "efficiency:noninferior:5pt"), "efficiency")
    assert found.baseline is not None
    assert found.new is not None
    assert found.baseline.value == pytest.approx((50 * 0.5 + 100) / 150)
    assert found.new.value == pytest.approx(0.5)
    assert found.status is Status.FAIL


def test_cost_uses_one_price_for_both(tmp_path: Path) -> None:
    old, new = [row(i, tokens=100 + i) for i in range(60)], [row(i, tokens=150 + i) for i in range(60)]
    missing = gate(tmp_path, old, new, "cost:max:+10%")
    assert only(missing, "cost").status is Status.ERROR
    assert "no prices are recorded" in only(missing, "cost").why
    info = read_info(tmp_path / "new")
    info.prices = Prices(prompt=1.0, completion=3.0)
    write_info(tmp_path / "new", info)
    found = run_gate(tmp_path / "new", str(tmp_path / "old"), [parse_rule("cost:max:+10%")]).checks[0]
    assert found.status is Status.FAIL
    assert found.baseline is not None
    assert found.baseline.value == pytest.approx((100 + 29.5) * 4e-6)


def with_direct(n: int, called: range, right_without: range) -> list[Record]:
    agent = [row(i, True, calls=int(i in called)) for i in range(n)]
    direct = [row(i, i in right_without, arm=DIRECT) for i in range(n)]
    return agent + direct


def test_need_figures_are_gated_alone_and_against_the_baseline(tmp_path: Path) -> None:
    # 100 in need; the baseline calls for these alone, the new run for all
    old, new = with_direct(300, range(100), range(100, 300)), with_direct(300, range(300), range(100, 300))
    result = gate(
        tmp_path,
        old,
        new,
        *(
            "redundant_rate:max:10%",
            "redundant_rate:max:+5pt",
            "need_recall:min:0.8",
            "need_precision_raw:noninferior:5pt",
        ),
    )
    alone, against, recall, precision = result.checks[:4]
    assert [check.status for check in (alone, against, recall, precision)] == [
        Status.FAIL,
        Status.FAIL,
        Status.PASS,
        Status.FAIL,
    ]
    assert against.baseline is not None
    assert (against.baseline.value, against.new and against.new.value) == (pytest.approx(0.0), pytest.approx(2 / 3))
    assert "corrected for lucky guesses" in against.why
    assert "lucky guesses included" in precision.why


def test_need_without_answers_without_tools_is_not_to_be_had(tmp_path: Path) -> None:
    old, new = rows(30), with_direct(30, range(10), range(5))
    result = gate(tmp_path, old, new, "redundant_rate:max:+5pt", "need_recall:min:0.1")
    assert result.checks[0].status is Status.ERROR
    assert "the baseline has no answers without tools" in result.checks[0].why
    # the new run alone is enough for a value
    assert result.checks[1].status is not Status.ERROR


def timed(n: int, factor: float, alone: bool = False) -> list[Record]:
    found = [row(i, seconds=factor * (1 + i % 50 / 50)) for i in range(n)]
    more = [row(i, seconds=factor * (1 + i % 50 / 50) / 4, arm=ISOLATED) for i in range(n)] if alone else []
    return found + more


def test_latency_as_run_is_a_ratio_within_one_machine(tmp_path: Path) -> None:
    rules = ("latency_p50:max:+20%", "latency_p95:max:+20%", "latency_p95:max:30s")
    result = gate(tmp_path, timed(400, 1.0), timed(400, 1.5), *rules)
    assert [check.status for check in result.checks[:3]] == [Status.FAIL, Status.FAIL, Status.PASS]
    assert result.checks[1].difference is not None
    assert result.checks[1].difference.value == pytest.approx(0.5)
    assert all("under load" in check.why for check in result.checks[:3])


def test_latency_as_run_on_different_machines_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "old", timed(100, 1.0))
    other = Session(started="2026-01-01T00:00:00Z", concurrency=8, environment={**PLACE, "cpu": "Another CPU"})
    write_run(tmp_path / "new", timed(100, 1.5), sessions=[other])
    rules = [parse_rule("latency_p50:max:+20%"), parse_rule("latency_p50:max:9s")]
    against, value, _ = run_gate(tmp_path / "new", str(tmp_path / "old"), rules).checks
    assert (against.status, value.status) == (Status.ERROR, Status.PASS)
    assert "made on different machines" in against.why


def test_latency_alone_is_preferred_and_says_when_machines_differ(tmp_path: Path) -> None:
    write_run(tmp_path / "old", timed(200, 1.0, alone=True))
    other = Session(started="2026-01-01T00:00:00Z", concurrency=8, environment={**PLACE, "cpu": "Another CPU"})
    write_run(tmp_path / "new", timed(200, 1.02, alone=True), sessions=[other])
    (found, _) = run_gate(tmp_path / "new", str(tmp_path / "old"), [parse_rule("latency_p50:max:+50%")]).checks
    assert found.status is Status.PASS
    assert found.baseline is not None
    assert found.baseline.value == pytest.approx(1.49 / 4)
    assert "run one at a time; the runs were made on different machines" in found.why


def test_too_few_times_for_p95_say_how_many_are_enough(tmp_path: Path) -> None:
    result = gate(tmp_path, timed(30, 1.0), timed(30, 1.0), "latency_p95:max:+20%", "latency_p95:max:9s")
    for check in result.checks[:2]:
        assert (check.status, check.needed) == (Status.INCONCLUSIVE, stats.samples_for_quantile(0.95))


def test_calls_that_nobody_recorded_leave_the_default_rule_out_and_fail_an_own_one(tmp_path: Path) -> None:
    old = new = rows(600, partial=True)
    result = gate(tmp_path, old, new)
    assert [check.metric for check in result.checks] == ["accuracy", "errors"]
    assert any("tool_rate:max:+5pt is left out" in note for note in result.notes)
    own = run_gate(tmp_path / "new", str(tmp_path / "old"), [parse_rule("tool_rate:max:+5pt")])
    assert own.checks[0].status is Status.ERROR
    assert own.exit_code is ExitCode.INFRASTRUCTURE


def test_values_known_of_some_samples_are_said_to_be(tmp_path: Path) -> None:
    old = [row(i, tokens=None if i < 5 else 10 + i) for i in range(60)]
    new = [row(i, tokens=10 + i) for i in range(60)]
    found = only(gate(tmp_path, old, new, "tokens_out:max:+50%"), "tokens_out")
    assert found.paired == 55
    assert "known of 55 of 60 samples" in found.why


def test_another_confidence_moves_intervals_and_verdicts(tmp_path: Path) -> None:
    old, new = rows(300), rows(300, range(4))
    found = [
        only(gate(tmp_path / str(c), old, new, "accuracy:noninferior:1pt", confidence=c), "accuracy")
        for c in (0.9, 0.95, 0.99)
    ]
    # p is 1/32
    assert [check.status for check in found] == [Status.FAIL, Status.FAIL, Status.INCONCLUSIVE]
    widths = [check.difference.high - check.difference.low for check in found if check.difference]  # type: ignore[operator]
    assert widths == sorted(widths)
    assert all(math.isfinite(width) for width in widths)


def test_settings_that_differ_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "old", rows(20))
    write_run(tmp_path / "new", rows(20), config={"sampling": {"temperature": 1.5}})
    result = run_gate(tmp_path / "new", str(tmp_path / "old"))
    assert "settings that differ: sampling.temperature 0.0 -> 1.5" in result.notes
