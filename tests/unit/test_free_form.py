from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.records import Verdict
from evalkit.scoring import read_list, score_list, score_number
from evalkit.scoring.units import known_unit, same_unit
from tests.unit.pathological import RESPONSES

RIGHT, WRONG, UNREAD = Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNPARSED


def number(response: str, gold: str, precision: int | None = None, unit: str = "") -> tuple[Verdict, str]:
    outcome = score_number(response, gold, "t/1", precision=precision, unit=unit)
    assert outcome.scorer == "t/1"
    return outcome.verdict, outcome.reason


def listed(response: str, gold: str) -> tuple[Verdict, str]:
    outcome = score_list(response, gold, "t/1")
    return outcome.verdict, outcome.reason


def test_without_a_precision_values_are_equal_or_not() -> None:
    assert number("14.0", "14") == (RIGHT, "whole")
    assert number("3.9", "3") == (WRONG, "whole")
    assert number("3.0000001", "3") == (WRONG, "whole")
    assert number("\\boxed{\\frac{28}{2}}", "14") == (RIGHT, "boxed")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("1.15", RIGHT), ("1.1499", WRONG), ("1.2", RIGHT), ("1.25", RIGHT), ("1.2500001", WRONG), ("1.2e0", RIGHT)],
)
def test_with_a_precision_the_answer_must_round_to_the_gold_both_ends_included(answer: str, verdict: Verdict) -> None:
    assert number(f"<answer>{answer}</answer>", "1.2", 1) == (verdict, "answer_tag")


def test_a_half_is_right_for_both_neighbours_and_a_coarse_answer_for_none() -> None:
    assert number("1.25", "1.3", 1)[0] is RIGHT
    assert number("1.3", "1.25", 2)[0] is WRONG


def test_another_scale_of_the_unit_is_another_quantity() -> None:
    assert number("5 cm", "5", unit="cm") == (RIGHT, "whole")
    assert number("5 centimetres", "5", unit="cm") == (RIGHT, "whole")
    assert number("5 m", "5", unit="cm") == (WRONG, "other_unit")
    assert number("500 cm", "5", unit="m") == (WRONG, "other_unit")
    assert number("24 months", "2", unit="years") == (WRONG, "other_unit")
    assert number("12 years old", "12", unit="years") == (RIGHT, "whole")
    assert number("5 apples", "5", unit="cm") == (RIGHT, "whole")


def test_what_only_the_question_could_tell_is_unparsed() -> None:
    assert number("50%", "50") == (RIGHT, "whole")
    assert number("50%", "0.5", 1) == (UNREAD, "percent")
    assert number("0.5", "50", unit="%") == (UNREAD, "percent")
    assert number("40%", "0.5", 1) == (WRONG, "whole")
    assert number("5 million", "5000000") == (RIGHT, "whole")
    assert number("5 million", "5") == (UNREAD, "scale")
    assert number("4 million", "5") == (WRONG, "whole")


def test_formulas_are_worked_out() -> None:
    assert number("\\boxed{\\sqrt{16}}", "4") == (RIGHT, "boxed")
    assert number("\\boxed{(\\sqrt{2}+1)(\\sqrt{2}-1)}", "1") == (RIGHT, "boxed")
    assert number("\\boxed{2\\pi}", "6.28", 2) == (RIGHT, "boxed")
    assert number("\\boxed{2\\pi}", "6.3", 2) == (WRONG, "boxed")
    assert number("\\boxed{2\\pi}", "2\\pi") == (RIGHT, "boxed")
    assert number("\\boxed{2x}", "4") == (UNREAD, "no_number")
    assert number("\\boxed{9^{9^{9^{9}}}}", "4") == (UNREAD, "no_number")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("", "none"),
        ("I cannot see the image.", "none"),
        ("Answer: red", "no_number"),
        ("Answer: 3 or 4", "no_number"),
        ("<answer>between 3 and 5</answer>", "no_number"),
    ],
)
def test_unread_responses_say_why(response: str, reason: str) -> None:
    assert number(response, "3") == (UNREAD, reason)


@pytest.mark.parametrize(
    "response",
    [
        "The difference is 7 days.",
        "I add them up.\nTherefore, the total is 7.",
        "The left one has 3.\n\nSo there are 7 cubes left.\n\nI hope this helps! Let me know if you have questions.",
        "After subtracting 2 cubes, there are a total of 7 objects left, all of them small.",
        "I add both.\nThus, AC = AD + DC = 3.0 + 4.0 = 7.0 cm.",
        "Hence the time is approximately 7 minutes when r = 3.",
        "There are seven houses.",
    ],
)
def test_the_sentence_that_concludes(response: str) -> None:
    assert number(response, "7") == (RIGHT, "final_sentence")


@pytest.mark.parametrize(
    "response",
    [
        "There are 7 bars. The values are 58, 59 and 63.",
        "The first costs $15, and the second is $7.",
        "The first is 15, and the second is 7.",
        "The range is from 6 to 10, except for Friday, which is 7.",
        "If the radius is 7.",
        "Given that the radius is 7.",
        "Is it 7?",
        "So it cannot be 7.",
        "Therefore, it is not 7.",
        "So the number is less than 7.",
        "I don't think the number is 7.",
        "The sum is 7. Its first term is 3.",
        "Therefore, the number of cars is 7 or 8.",
        "First line\nTherefore, the total is 7",
        "a = 3\nb = 4\nprint(a + b)",
    ],
)
def test_sentences_that_conclude_nothing(response: str) -> None:
    assert number(response, "7")[0] is UNREAD


def test_a_gold_that_is_no_number_is_the_tasks_error() -> None:
    with pytest.raises(ValueError, match="gold 'red' is no number"):
        score_number("1", "red", "t/1")
    with pytest.raises(ValueError, match="gold 'red' is no list"):
        score_list("[1]", "red", "t/1")


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("[0, 2, 0]", [0, 2, 0]), ("0,2,0", [0, 2, 0]), ("(1; 2)", [1, 2]), ("{1, 2}", [1, 2]), ("[1,]", [1]),
        ("[5]", [5]),
        ("$[1, \\frac{1}{2}]$", [1, Fraction(1, 2)]), ("['a', \"B  c\"]", ["a", "b c"]), ("**[1, 2]**.", [1, 2]),
        ("[１，２]", [1, 2]), ("['1', 2]", ["1", 2]),
    ],
)  # fmt: skip
def test_lists(text: str, elements: list[Fraction | str]) -> None:
    assert read_list(text) == elements


@pytest.mark.parametrize(
    "text",
    ["", "5", "red", "[]", "[1, 2", "1, 2]", "[1, , 2]", "[red, blue]", "[[1], [2]]", "[1, [2]]", "[x for x in y]",
     "1 2 3",
     "['a' + 'b']", "[1, 'a]", "['a', \"b']", "__import__('os')", "[1]" * 2000, "[" * 4000, "1," * 3000, "(1, 2] "],
)  # fmt: skip
def test_no_lists(text: str) -> None:
    assert read_list(text) is None


def test_lists_are_compared_element_by_element() -> None:
    assert listed("[0, 2.0, 0]", "[0, 2, 0]") == (RIGHT, "whole")
    assert listed("The answer is [0, 2, 0].", "[0, 2, 0]") == (RIGHT, "cue")
    assert listed("['Red', '1']", "['red', 1]") == (RIGHT, "whole")
    assert listed("[0, 2]", "[0, 2, 0]") == (WRONG, "whole")
    assert listed("[2, 0, 0]", "[0, 2, 0]") == (WRONG, "whole")
    assert listed("\\boxed{1, 2}", "[1, 3]") == (WRONG, "boxed")
    assert listed("", "[1]") == (UNREAD, "none")
    assert listed("<answer>all of them</answer>", "[1]") == (UNREAD, "no_list")


def test_units() -> None:
    assert same_unit("cm", "centimeters") is True
    assert same_unit("years old", "years") is True
    assert same_unit("square cm", "cm^2") is True
    assert same_unit("cm", "m") is False
    assert same_unit("cm²", "m²") is False
    assert same_unit("cm", "cm^2") is None
    assert same_unit("cm", "kg") is None
    assert same_unit("m/s", "m") is None
    assert same_unit("apples", "Apples") is True
    assert same_unit("apples", "pears") is None
    assert known_unit("Kg")
    assert not known_unit("apples")


@given(st.text(), st.integers(0, 3) | st.none(), st.sampled_from(["", "cm", "years", "%"]))
def test_no_text_raises_and_the_verdict_is_always_the_same(text: str, precision: int | None, unit: str) -> None:
    first = score_number(text, "5", "t/1", precision=precision, unit=unit)
    assert first == score_number(text, "5", "t/1", precision=precision, unit=unit)
    assert score_list(text, "[1, 2]", "t/1") == score_list(text, "[1, 2]", "t/1")


WORDS = [
    "Therefore, ", "it is ", "5", "5.0", " cm", ".", ",", "=", "\\boxed{", "}", "<answer>", "</answer>",
    "The answer is ", "or ", "\\frac{10}{2}", "\\sqrt{25}", "50%", "[", "]", "\n", "not ", "five", "²", " million",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=12).map("".join), st.sampled_from(["5", "2.5", "\\sqrt{2}"]))
def test_no_broken_prose_raises(text: str, gold: str) -> None:
    assert score_number(text, gold, "t/1", precision=1).verdict in (RIGHT, WRONG, UNREAD)
    assert score_list(text, "[1, 2]", "t/1").verdict in (RIGHT, WRONG, UNREAD)


@given(st.decimals(-1000, 1000, places=4), st.integers(0, 3))
def test_a_rounded_gold_is_always_met(value: object, precision: int) -> None:
    gold = f"{value:.{precision}f}"
    assert number(f"<answer>{value}</answer>", gold, precision) == (RIGHT, "answer_tag")


@pytest.mark.parametrize("name", [*RESPONSES])
def test_hopeless_responses_are_never_right(name: str) -> None:
    assert number(RESPONSES[name], "3.7", 1)[0] is not RIGHT
    assert listed(RESPONSES[name], "[3.7, 4]")[0] is not RIGHT


@pytest.mark.parametrize(
    "response",
    [
        "<answer>x=12, y=7</answer>", "x=12, y=7.", "Width = 5, Height = 7", "Width = 5 and height = 7.",
        "There are 7 red, 8 blue and 3 green cubes.", "There are seven cubes, two cylinders and four spheres.",
        "So the sum is 7, or 8.", "The values are x=7, y=3.", "<answer>7 is wrong</answer>", "5 (7.0)",
    ],
)  # fmt: skip
def test_two_numbers_are_no_number(response: str) -> None:
    assert number(response, "7")[0] is UNREAD


@pytest.mark.parametrize(
    "response",
    ["So the difference is 7, not 15.", "So the difference is 7, since 10 - 3 = 7.", "3 + 4 = 7.",
     "So the total is 7: 3 and 4.", "The gap is 7 years, with the older man being 26."],
)  # fmt: skip
def test_a_reason_is_no_second_number(response: str) -> None:
    assert number(response, "7") == (RIGHT, "whole" if response == "3 + 4 = 7." else "final_sentence")


def test_a_bracket_behind_a_number_is_a_remark_and_no_factor() -> None:
    for text in ("36 (6^2)", "36 (\\sqrt{1296})", "36 (3.6e1)", "Thirty-six (36)"):
        assert number(f"<answer>{text}</answer>", "36") == (RIGHT, "answer_tag")
        assert number(f"<answer>{text}</answer>", "1296") == (WRONG, "answer_tag")
    assert number("<answer>36 (6^3)</answer>", "36") == (UNREAD, "no_number")
    assert number("\\boxed{5\\sqrt{3} (8.66)}", "75") == (UNREAD, "no_number")
    assert number("\\boxed{2\\left(\\sqrt{9}+1\\right)}", "8") == (RIGHT, "boxed")


def test_lists_in_latex_and_in_a_fence() -> None:
    assert listed("\\boxed{\\left[1, 2\\right]}", "[1, 2]") == (RIGHT, "boxed")
    assert listed("```json\n[1, 2]\n```", "[1, 2]") == (RIGHT, "json")
