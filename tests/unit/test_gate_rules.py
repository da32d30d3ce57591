"""The grammar of a gate's rules, and which of them hold together."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.errors import EvalkitError
from evalkit.gate.metrics import METRICS, Unit
from evalkit.gate.rules import DEFAULTS, GateRule, Kind, check_rules, default_rules, parse_rule, rules_for


def parsed(text: str) -> tuple[GateRule | None, str]:
    """The rule, or what is said against it."""
    try:
        return parse_rule(text), ""
    except EvalkitError as error:
        return None, str(error)


NUMBERS = st.decimals(min_value=0, max_value=99, places=3, allow_nan=False, allow_infinity=False)


@given(
    metric=st.sampled_from(sorted(METRICS)),
    kind=st.sampled_from(list(Kind)),
    sign=st.sampled_from(["", "+", "-"]),
    number=NUMBERS,
    unit=st.sampled_from(["", "pt", "%", "s"]),
)
def test_what_is_accepted_means_what_it_says(metric: str, kind: Kind, sign: str, number: Decimal, unit: str) -> None:
    text = f"{metric}:{kind}:{sign}{number:f}{unit}"
    rule, said = parsed(text)
    if rule is None:
        assert said.isprintable()
        return
    size = float(number) / (100 if unit in ("pt", "%") else 1)
    assert rule.limit == pytest.approx(-size if sign == "-" else size)
    assert (rule.metric, rule.kind, rule.text) == (metric, kind, text)
    assert rule.against == (bool(sign) or kind is Kind.NONINFERIOR)
    assert rule.relative == (rule.against and unit == "%")
    assert unit != "pt" or METRICS[metric].unit is Unit.SHARE
    assert unit != "s" or METRICS[metric].unit is Unit.SECONDS
    # an absolute share never lies outside 0..1, and a margin is never 0
    if METRICS[metric].unit is Unit.SHARE and not rule.relative:
        assert -1 <= rule.limit <= 1
    if kind is Kind.NONINFERIOR:
        assert rule.limit > 0
    assert parse_rule(rule.text) == rule


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_one_line_that_says_why_not(text: str) -> None:
    rule, said = parsed(text)
    assert said.isprintable()
    assert rule is None or parse_rule(rule.text) == rule


@given(st.text(max_size=12))
def test_no_limit_but_a_plain_number_with_its_unit(limit: str) -> None:
    assume(":" not in limit)
    if parsed(f"calls:max:{limit}")[0] is None:
        return
    assert limit.strip().isascii()
    assert limit.strip().lstrip("+-").rstrip("%").replace(".", "", 1).isdecimal()


@pytest.mark.parametrize(
    ("text", "limit", "against", "relative"),
    [
        ("accuracy:noninferior:1pt", 0.01, True, False),
        ("accuracy:noninferior:0.01", 0.01, True, False),
        ("accuracy:min:-2pt", -0.02, True, False),
        ("tool_rate:max:+5pt", 0.05, True, False),
        ("tool_rate:max:+0pt", 0.0, True, False),
        ("redundant_rate:max:10%", 0.1, False, False),
        ("latency_p95:max:+20%", 0.2, True, True),
        ("latency_p95:max:30s", 30.0, False, False),
        ("latency_p50:max:+.5s", 0.5, True, False),
        ("errors:max:1%", 0.01, False, False),
        ("need_recall:min:0.8", 0.8, False, False),
        ("tokens_out:noninferior:10%", 0.1, True, True),
        ("calls:max:+0.25", 0.25, True, False),
        (" calls : max : 3 ", 3.0, False, False),
    ],
)
def test_examples(text: str, limit: float, against: bool, relative: bool) -> None:
    rule = parse_rule(text)
    assert (rule.limit, rule.against, rule.relative) == (pytest.approx(limit), against, relative)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy", "a rule is metric:kind:limit"),
        ("acuracy:noninferior:1pt", "unknown metric 'acuracy'; nearest: accuracy"),
        ("tool_rates:max:+5pt", "nearest: tool_rate"),
        ("accuracy:non-inferior:1pt", "unknown kind of rule 'non-inferior'; nearest: noninferior"),
        ("accuracy:noninferior:1points", "is no number with a unit"),
        ("accuracy:noninferior:", "is no number with a unit"),
        ("accuracy:noninferior:1e-2", "is no number with a unit"),
        ("accuracy:noninferior:nan", "is no number with a unit"),
        ("accuracy:noninferior:１pt", "is no number with a unit"),
        ("accuracy:noninferior:1%", "write 1pt"),
        ("accuracy:noninferior:+1pt", "a margin has no sign"),
        ("accuracy:noninferior:0pt", "can never be shown"),
        ("accuracy:noninferior:1", "at most 100 %"),
        ("accuracy:min:120%", "at most 100 %"),
        ("tool_rate:max:5pt", "write +5pt"),
        ("tool_rate_ok:noninferior:5pt", "neither more nor less"),
        ("calls:max:+1pt", "has no points"),
        ("calls:max:5s", "not measured in seconds"),
        ("latency_p95:max:20%", "write +20%"),
        ("latency_p95:min:-100%", "cannot fall by 100 %"),
        ("errors:min:1%", "errors:max:1%"),
        ("errors:max:+1%", "errors:max:1%"),
    ],
)
def test_what_is_wrong_is_said_with_how_to_mend_it(text: str, said: str) -> None:
    with pytest.raises(EvalkitError) as caught:
        parse_rule(text)
    assert said in str(caught.value)


def rules(*texts: str, task: str = "", category: str = "") -> list[GateRule]:
    return [parse_rule(text, task=task, category=category) for text in texts]


@pytest.mark.parametrize(
    "texts",
    [
        ("accuracy:noninferior:1pt", "accuracy:noninferior:2pt"),
        ("tool_rate:max:+5pt", "tool_rate:max:+20%"),
        ("need_recall:min:0.8", "need_recall:max:0.7"),
        ("calls:min:+1", "calls:max:-1"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(texts: tuple[str, str]) -> None:
    with pytest.raises(EvalkitError, match="contradict each other") as caught:
        check_rules(rules(*texts))
    assert all(text in str(caught.value) for text in texts)
    # not so in different parts, or for different benchmarks
    check_rules(rules(texts[0]) + rules(texts[1], category="x"))
    check_rules(rules(texts[0], task="a") + rules(texts[1], task="b"))


@pytest.mark.parametrize(
    "texts",
    [
        ("accuracy:noninferior:1pt", "accuracy:noninferior:1.0pt"),
        ("latency_p95:max:+20%", "latency_p95:max:30s"),
        ("calls:min:1", "calls:max:1"),
        ("calls:min:+10%", "calls:max:+0.01"),
        ("accuracy:noninferior:1pt", "accuracy:min:-2pt"),
    ],
)
def test_rules_that_can_hold_together_are_kept(texts: tuple[str, str]) -> None:
    check_rules(rules(*texts))


def test_the_default_rules_are_marked() -> None:
    assert tuple(rule.text for rule in default_rules()) == DEFAULTS
    assert all(rule.default for rule in default_rules())


def test_a_rule_for_the_benchmark_stands_in_for_the_general_one() -> None:
    general = rules("accuracy:noninferior:1pt", "tool_rate:max:+5pt")
    own = rules("accuracy:noninferior:2pt", task="vstar")
    part = rules("accuracy:noninferior:3pt", task="vstar", category="direct_attributes")
    other = rules("calls:max:3", task="hrbench_4k")
    found = rules_for([*general, *own, *part, *other], "vstar")
    assert [(rule.text, rule.category) for rule in found] == [
        ("tool_rate:max:+5pt", ""),
        ("accuracy:noninferior:2pt", ""),
        ("accuracy:noninferior:3pt", "direct_attributes"),
        ("errors:max:1%", ""),
    ]
    assert found[-1].default
    assert rules_for([*general, *own], "wemath")[0].text == "accuracy:noninferior:1pt"


def test_errors_are_looked_at_unless_a_rule_says_how() -> None:
    assert [r.text for r in rules_for(rules("calls:max:3"), "t")] == ["calls:max:3", "errors:max:1%"]
    assert [r.text for r in rules_for(rules("calls:max:3", "errors:max:5%"), "t")] == ["calls:max:3", "errors:max:5%"]


def test_a_least_value_above_the_greatest_is_found_across_scopes() -> None:
    with pytest.raises(EvalkitError, match="contradict"):
        rules_for([*rules("calls:max:2"), *rules("calls:min:3", task="t")], "t")


def test_rules_for_other_benchmarks_only_are_no_rules() -> None:
    with pytest.raises(EvalkitError, match=r"no rule is for task vstar \(there are rules for: hrbench_4k\)"):
        rules_for(rules("calls:max:3", task="hrbench_4k"), "vstar")
    with pytest.raises(EvalkitError, match="no rule is for task vstar"):
        rules_for([], "vstar")
