from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.records import Verdict
from evalkit.scoring import choose, score_choice

CHOICES = {"A": "red", "B": "dark blue", "C": "a dog", "D": "(3, 4)", "F": "$5^2$ cm", "H": "None of these"}


@pytest.mark.parametrize(
    "text",
    ["B", "(B)", "B.", "B)", "B:", "[B]", "{B}", "<B>", "<<B>>", "**B**", "*B*", "$B$", "`B`", "\\text{B}", "(B).",
     "$\\text{(B)}$", "\\mathrm{B}", "\\textbf{\\text{B}}", "\\(B\\)", "Option B", "option (B)", "Choice B:",
     "Answer B",
     "the correct option B", "Ｂ", "（Ｂ）", "B．", "B。", "B) dark blue", "B: dark blue", "B. dark blue",
     "(B) Dark  Blue.", "Option B: dark blue", "B dark blue", "B.dark blue", "B - dark blue", "B\nIt is dark.",
     "dark blue",
     "Dark Blue.", "**dark blue**", "\"dark\nblue\"", "B. the blue one", "(B) navy"],
)  # fmt: skip
def test_accepted_as_b(text: str) -> None:
    assert choose(text, CHOICES) == "B"


@pytest.mark.parametrize(
    ("text", "letter"),
    [("(3, 4)", "D"), ("5^2 cm", "F"), ("H", "H"), ("none of these.", "H"), ("a dog", "C"), ("A dog", "C"), ("A", "A")],
)
def test_accepted(text: str, letter: str) -> None:
    assert choose(text, CHOICES) == letter


@pytest.mark.parametrize(
    "text",
    ["", " ", "A or B", "A, B", "A and B", "A/B", "AB", "A B", "A; B", "A & B", "(A) or (B)", "(A), (B)", "(A)(B)",
     "A) red or B) dark blue", "A. red; B. dark blue", "B. C.", "B. or C", "B: C, D", "A cat", "A nice red",
     "Based on that",
     "Because", "E", "(E)", "G. None of these today", "E. something", "b", "(b)", "not B", "B?", "5", "52 cm", "dark",
     "A. dark blue", "(A) None of these", "E.g. blue", "A.M.", "Option", "the option", "B=5", "B-C", "I think B"],
)  # fmt: skip
def test_not_accepted(text: str) -> None:
    assert choose(text, CHOICES) is None


VALUES = {
    "A": "1/2",
    "B": "2π cm",
    "C": "97°",
    "D": "\\frac{\\sqrt{3}}{2}",
    "E": "12 cm",
    "F": "(3, -4)",
    "G": "AB",
    "H": "7",
}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("0.5", "A"), ("\\frac{1}{2}", "A"), ("½", "A"), ("2\\pi", "B"), ("$2\\pi$ cm", "B"), ("97", "C"),
        ("97^\\circ", "C"),
        ("97 degrees", "C"), ("\\sqrt{3}/2", "D"), ("12", "E"), ("12cm", "E"), ("x = 12", "E"), ("(3,-4)", "F"),
        ("AB", "G"),
        ("seven", "H"), ("7.0", "H"), ("A (0.5)", "A"), ("C (97°)", "C"), ("A. 0.5", "A"), ("A = 1/2", "A"),
    ],
)  # fmt: skip
def test_the_one_choice_of_that_value(text: str, letter: str) -> None:
    assert choose(text, VALUES) == letter


@pytest.mark.parametrize(
    "text",
    [
        "6.28",
        "12 m",
        "12 or 97",
        "BA",
        "A. 97",
        "A = 97",
        "C (1/2)",
        "0.866",
        "3-4",
        "-97",
        "97%",
        "> 97",
        "9^{9^{9^{9}}}",
        "8",
    ],
)
def test_no_choice_or_another_one_of_that_value(text: str) -> None:
    assert choose(text, VALUES) is None


def test_two_choices_of_one_value_are_none() -> None:
    assert choose("12", {"A": "12 cm", "B": "12 m"}) is None
    assert choose("0.50", {"A": "1/2", "B": "\\frac{2}{4}"}) is None
    assert choose("1/2", {"A": "1/2", "B": "\\frac{2}{4}"}) == "A"


def test_a_choice_and_its_explanation() -> None:
    choices = {"A": "Yes", "B": "No", "C": "None of the above"}
    assert choose("No, there are not fewer.", choices) == "B"
    assert choose("Yes. The left one is larger.", choices) == "A"
    assert choose("Yes, or no", choices) is None
    assert choose("Yes. Wait, no.", choices) is None
    assert choose("None of these", choices) == "C"


def test_what_a_sentence_states() -> None:
    assert score_choice("<answer>The car is dark blue.</answer>", CHOICES, "B", "t/1").answer == "B"
    outcome = score_choice("I look closer.\nTherefore, the car is red.", CHOICES, "A", "t/1")
    assert (outcome.verdict, outcome.reason) == (Verdict.CORRECT, "final_sentence")
    for response in ("The car is red. The bus is black.", "I don't think the car is red.", "The car is not red."):
        assert score_choice(response, CHOICES, "A", "t/1").verdict is Verdict.UNPARSED


def test_lower_case_letter_alone() -> None:
    for text in ("b", "(b)", "b.", "Option b", "b) dark blue"):
        assert choose(text, CHOICES, lower=True) == "B"
    assert choose("e", CHOICES, lower=True) is None
    assert choose("a cat", CHOICES, lower=True) is None
    assert choose("b", {"A": "b", "B": "a"}, lower=True) is None


def test_letters_as_choice_texts() -> None:
    choices = {"A": "F", "B": "D", "C": "B", "D": "I"}
    assert choose("B", choices) == "B"
    assert choose("F", choices) == "A"
    assert choose("C. B", choices) == "C"
    assert choose("A. B", choices) is None


def test_equal_texts_need_the_letter() -> None:
    choices = {"A": "x > y", "B": "x = y", "C": "x = y"}
    assert choose("x = y", choices) is None
    assert choose("C. x = y", choices) == "C"


@pytest.mark.parametrize(
    ("response", "verdict", "answer", "reason"),
    [
        ("<think>A</think><answer>(B)</answer>", Verdict.CORRECT, "B", "answer_tag"),
        ("<answer>b</answer>", Verdict.CORRECT, "B", "answer_tag"),
        ("It is \\boxed{A}", Verdict.INCORRECT, "A", "boxed"),
        ("Answer: dark blue", Verdict.CORRECT, "B", "cue"),
        ("The answer is b", Verdict.UNPARSED, "b", "no_choice"),
        ("<answer>blue-ish</answer>", Verdict.UNPARSED, "blue-ish", "no_choice"),
        ("B", Verdict.CORRECT, "B", "whole"),
        ("A cat sits on a mat", Verdict.UNPARSED, None, "none"),
        ("", Verdict.UNPARSED, None, "none"),
    ],
)
def test_score(response: str, verdict: Verdict, answer: str | None, reason: str) -> None:
    outcome = score_choice(response, CHOICES, "B", "t/1")
    assert (outcome.verdict, outcome.answer, outcome.reason, outcome.scorer) == (verdict, answer, reason, "t/1")


FORMS = ["{}", "({})", "{}.", "{})", "**{}**", "${}$", "\\text{{{}}}", "Option {}", "[{}]"]


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.text(), min_size=1), st.data())
def test_an_offered_letter_is_itself(choices: dict[str, str], data: st.DataObject) -> None:
    letter = data.draw(st.sampled_from(sorted(choices)))
    form = data.draw(st.sampled_from(FORMS))
    assert choose(form.format(letter), choices) == letter


@given(st.text(), st.dictionaries(st.sampled_from("ABCDEFGH"), st.text()), st.booleans())
def test_never_raises_and_never_leaves_the_choices(text: str, choices: dict[str, str], lower: bool) -> None:
    letter = choose(text, choices, lower=lower)
    assert letter is None or letter in choices


@given(st.text(), st.sampled_from("AB"))
def test_verdict_follows_the_letter(text: str, gold: str) -> None:
    outcome = score_choice(text, {"A": "x", "B": "y"}, gold, "t/1")
    assert outcome.verdict in (Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNPARSED)
    if outcome.verdict is not Verdict.UNPARSED:
        assert (outcome.verdict is Verdict.CORRECT) == (outcome.answer == gold)


@given(st.text().filter(lambda text: "<" not in text), st.sampled_from("ABCD"))
def test_tagged_letter_after_any_reasoning(text: str, letter: str) -> None:
    choices = dict.fromkeys("ABCD", "same")
    assert (
        score_choice(f"<think>{text}</think><answer>{letter}</answer>", choices, letter, "t/1").verdict
        is Verdict.CORRECT
    )


@pytest.mark.parametrize(
    "unit", ["A. ", "(A) or ", "A or ", ", A", "\\text{", "\\text{a}", "$", "[", " ", "A\n", "A - "]
)
@pytest.mark.parametrize("size", [9_000, 1_000_000])
def test_long_answers_take_linear_time(unit: str, size: int) -> None:
    for text in (unit * (size // len(unit)), "A. " + unit * (size // len(unit))):
        start = time.process_time()
        score_choice(f"<answer>{text}</answer>", CHOICES, "B", "t/1")
        assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    "text",
    ["dark blue (B)", "dark blue [B]", "Dark blue (B).", "B, dark blue", "B; dark blue", "letter B", "B, not A",
     "B rather than C", "B and not (A)", "B. dark blue, not red"],
)  # fmt: skip
def test_letter_and_text_that_agree(text: str) -> None:
    assert choose(text, CHOICES) == "B"


@pytest.mark.parametrize(
    "text",
    ["red (B)", "dark blue (A)", "B, red", "B, C", "dark blue (B), red (A)", "B) is wrong", "B. is incorrect",
     "B. not dark blue", "B. It is not dark blue", "B. No, it isn't dark blue",
     "B. It is incorrect that it is dark blue, so C", "B) cannot be seen"],
)  # fmt: skip
def test_letter_and_text_that_do_not_agree(text: str) -> None:
    assert choose(text, CHOICES) is None


def test_a_label_with_a_text_that_denies_something_is_that_text() -> None:
    choices = {"A": "Not visible", "B": "Visible"}
    assert choose("A. Not visible, since it is dark", choices) == "A"


def test_a_value_with_another_letter_behind_it_is_none() -> None:
    assert choose("12 cm (A)", {"A": "6 cm", "B": "12 cm"}) is None
    assert choose("36 (6^2)", {"A": "36", "B": "1296"}) == "A"


def test_an_enumeration_chooses_nothing() -> None:
    for response in ("The colours are red, dark blue and black.", "So the car is red, or blue."):
        assert score_choice(response, CHOICES, "A", "t/1").verdict is Verdict.UNPARSED
