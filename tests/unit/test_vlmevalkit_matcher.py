"""VLMEvalKit's matcher as it is, its misreadings too; every case was checked against the original."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.scoring.vlmevalkit import handed_over, matched_option

CHOICES = {"A": "The cup is red.", "B": "The cup is blue.", "C": "The cup is black.", "D": "The cup is white."}
WORDS = {"A": "red", "B": "blue", "C": "a dog", "D": "none"}


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"), ("(B)", "B"), ("B.", "B"), ("**B**", "B"), ("[B]", "B"), ("#B#", "B"), ("\nB\n", "B"),
        ("I would say it is B", "B"), ("B it is, I say", None), ("It is B, as I said", "B"),
        ("B: because of the light", None), ("B: the cup is there", None), ("Answer: B, certainly", "B"),
        ("The cup is blue.", "B"), ("it says THE CUP IS BLUE. doesn't it", "B"),
        ("The cup is blue. The cup is red.", None),
        ("A or B", None), ("b", None), ("E", None), ("", None), ("<answer>B</answer>", None), ("B</answer>", None),
        ("\\boxed{B}", "B"), ("$\\text{B}$", "B"), ("$B$", None),
    ],
)  # fmt: skip
def test_letters_and_texts(response: str, letter: str | None) -> None:
    assert matched_option(response, CHOICES) == letter


@pytest.mark.parametrize(
    ("response", "choices", "letter"),
    [
        # the article is a letter if it is late enough, and hides a letter that is really meant
        ("It is a cup. A nice one", CHOICES, "A"),
        ("A cup that is blue, so (B)", CHOICES, None),
        # only the first occurrence counts for "late enough"
        ("B was my first thought and my last is B", CHOICES, None),
        # "answer is" takes the start of the next word, in either case, and the first one wins
        ("I looked for long; the answer is blue, I think so", WORDS, "B"),
        ("The answer is a matter of taste here, sorry for that", CHOICES, "A"),
        ("The correct answer is **C**. Here is why it is so", CHOICES, "C"),
        ("The answer is B? No, the final answer is C as one can see", CHOICES, "B"),
        ("the answer is e, which is not among them, is it", {**CHOICES, "E": "none"}, None),
        ("The answer is D", {"A": "x", "B": "y"}, None),
        # texts are found inside words, and of two none is taken
        ("bored", {"A": "red", "B": "blue"}, "A"),
        ("a hundred, no", {"A": "red", "B": "blue", "C": "no"}, None),
        ("no dog, a dog", WORDS, "C"),
        ("not at all", {"A": "", "B": "blue"}, None),
        ("not", {"A": "", "B": "blue"}, "A"),
        # longer than twice all texts
        ("it must be the red one of course" + "!" * 40, WORDS, None),
        ("it's the red one", WORDS, "A"),
        # the word Z stands for "none of them", and so do refusals
        ("Z", {"A": "z", "B": "blue"}, None),
        ("z", {"A": "z", "B": "blue"}, "A"),
        ("Cannot determine the answer B", CHOICES, None),
        ("Failed to obtain answer via API. The cup is red. B", CHOICES, "A"),
    ],
)
def test_its_own_readings(response: str, choices: dict[str, str], letter: str | None) -> None:
    assert matched_option(response, choices) == letter


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(["A", "B", " ", "answer is ", "red", "Z", ".", "**"])).map("".join))
def test_any_text_gives_an_option_or_none(text: str) -> None:
    before = dict(WORDS)
    assert matched_option(text, WORDS) in {None, *WORDS}
    assert before == WORDS


@pytest.mark.parametrize("piece", ["answer is ", "answer" + " " * 999, "answer is" + "*" * 999, "A ", "((", "Z\n"])
def test_a_very_long_response_is_read_too(piece: str) -> None:
    assert matched_option(piece * (4_000_000 // len(piece)), CHOICES) == ("A" if piece == "answer is " else None)


@pytest.mark.parametrize(
    ("response", "part"),
    [
        ("<think>A or B</think><answer> B. red </answer>", "B. red"),
        ("<answer>A</answer> no <answer>B</answer>", "A"),
        ("<answer><answer>A</answer>", "<answer>A"),
        ("<answer>A", "<answer>A"),
        ("A</answer>", "A</answer>"),
        ("It is A", "It is A"),
        ("", ""),
    ],
)
def test_what_an_agent_hands_over(response: str, part: str) -> None:
    assert handed_over(response) == part
