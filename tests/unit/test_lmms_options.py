"""Which options a question has, and what of a response lmms-eval's scorers are given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.bridges.lmms.answers import handed_over
from evalkit.bridges.lmms.options import options_of


@pytest.mark.parametrize(
    ("text", "answer", "options"),
    [
        ("What?\nA. red\nB. blue\nC. green\nAnswer with the letter.", "B", {"A": "red", "B": "blue", "C": "green"}),
        ("What? (A) red (B) a blue one", "A", {"A": "red", "B": "a blue one"}),
        ("What?\nOptions: A: red, B: blue, C: none\nAnswer", "C", {"A": "red", "B": "blue", "C": "none"}),
        ("Is it so?", "Yes", {"yes": "yes", "no": "no"}),
        ("Which vitamin is it?", "A", {}),
        ("A. red\nB. blue", "C", {}),
        ("A. red\nB. blue", "red", {}),
        ("How many?", "12", {}),
    ],
)
def test_options_in_the_text(text: str, answer: str, options: dict[str, str]) -> None:
    assert options_of(text, answer) == options


def test_the_tasks_own_options_come_first() -> None:
    assert options_of("A. red\nB. blue", "B", ("one", "two", "three")) == {"A": "one", "B": "two", "C": "three"}


@given(st.text(max_size=200), st.text(max_size=5))
def test_any_text_has_options_or_none(text: str, answer: str) -> None:
    found = options_of(text, answer)
    assert found == {} or len(found) >= 2


@pytest.mark.parametrize(
    ("response", "question", "given_text"),
    [
        ("<reason>A or B</reason><answer>B</answer>", "Which?", "B"),
        ("<answer>A</answer> no: <answer> **B** </answer>", "Which?", "B"),
        ("The answer is B.", "Which?", "The answer is B."),
        ("<think>x</think><answer>B</answer>", "Put it between <answer> and </answer>.",
         "<think>x</think><answer>B</answer>"),
        ("<answer>B", "Which?", "<answer>B"),
        ("", "Which?", ""),
    ],
)  # fmt: skip
def test_what_is_handed_over(response: str, question: str, given_text: str) -> None:
    assert handed_over(response, question)[0] == given_text


@given(st.text(max_size=300))
def test_a_response_without_a_tag_is_handed_over_as_it_is(text: str) -> None:
    assert handed_over(text.replace("<", "("), "Which?")[0] == text.replace("<", "(")
