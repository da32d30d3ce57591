from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scoring import extract


@pytest.mark.parametrize(
    ("response", "answer", "reason"),
    [
        ("<answer>B</answer>", "B", "answer_tag"),
        ("<ANSWER> 42 </Answer>", "42", "answer_tag"),
        ("<answer>A</answer> no: <answer>B</answer>", "B", "answer_tag"),
        ("<answer>A</answer> and <answer>B", "A", "answer_tag"),
        ("<answer>A <answer>B</answer>", "B", "answer_tag"),
        ("<answer>\\boxed{\\frac{1}{2}}</answer>", "\\frac{1}{2}", "answer_tag"),
        ("<answer>The answer is B.</answer>", "B", "answer_tag"),
        ("<Answer>: B</Answer>", "B", "answer_tag"),
        ("\\boxed{C} <answer>B</answer>", "B", "answer_tag"),
        ("Answer: C <answer>B</answer>", "B", "answer_tag"),
        ("<answer>A</answer><answer> </answer>", None, "none"),
        ("<answer>B", None, "whole"),
        ("<think>so <answer>A</answer></think><answer>B</answer>", "B", "answer_tag"),
        ("<answer>B</answer><think>or <answer>A</answer></think>", "B", "answer_tag"),
        ("<answer>B</answer><think>or <answer>A</answer>", "B", "answer_tag"),
        ("<think>a <think> b</think><answer>B</answer>", "B", "answer_tag"),
        ("maybe <answer>A</answer></think><answer>B</answer>", "B", "answer_tag"),
        ("<Reasoning>A</Reasoning><reason>A</reason><thinking>A</thinking>B", "B", "whole"),
        ("<think>use <reason>x</reason> <answer>A</answer> y</think>B", "B", "whole"),
        ("<think>the answer is B", None, "none"),
        ("<reason>Answer: B</reason>", None, "none"),
        ("so \\boxed{A}, or rather \\boxed{B}.", "B", "boxed"),
        ("\\boxed{\\text{(B)}}", "\\text{(B)}", "boxed"),
        ("\\boxed{\\boxed{B}}", "B", "boxed"),
        ("\\boxed{B} and \\boxed{C", "B", "boxed"),
        ("{ \\boxed{x \\} y}", "x \\} y", "boxed"),
        ("Answer: C, that is \\boxed{B}", "B", "boxed"),
        ("<Thought process>: x <Answer>: B", "B", "cue"),
        ("<Answer>: <<B>>", "<<B>>", "cue"),
        ("**Answer:** (B)", "(B)", "cue"),
        ("**Answer**: B", "B", "cue"),
        ("**Answer: B**", "B", "cue"),
        ("ANSWER： 7", "7", "cue"),
        ("Answer:\n\nB", "B", "cue"),
        ("Answer: A\nOn reflection:\nFinal answer: B", "B", "cue"),
        ("Answer: B\nAnswer:", "B", "cue"),
        ("The answer is B. Therefore C is out.", "B", "cue"),
        ("the correct answer is: **(B)**", "(B)", "cue"),
        ("The correct option is B because it fits", "B", "cue"),
        ("so the answer would be 3.5 cm, since 7 / 2", "3.5 cm", "cue"),
        ("The answer is A or B", "A or B", "cue"),
        ("42", "42", "whole"),
        (" **B** \n", "B", "whole"),
        ("The correct option letter is C. 58.", "C", "cue"),
        ("the correct answer choice is B.", "B", "cue"),
        ("The answer to your question is 44.", "44", "cue"),
        ("The correct option is therefore (B).", "(B)", "cue"),
        ("The answer is B. The answer is found by counting.", "B", "cue"),
        ("Answer: B\nI don't think the answer is A.", "B", "cue"),
        ("Option C is correct because it fits.", "C", "cue"),
        ("B is wrong, so C is the correct answer.", "C", "cue"),
        ("(D) 12 cm is the correct answer.", "D", "cue"),
        ("I would choose D.", "D", "cue"),
        ("答案：B", "B", "cue"),
        ("因此，答案是B。其他选项不对。", "B", "cue"),
        ("故选：C．", "C．", "cue"),
        ("La respuesta correcta es B.", "B", "cue"),
        ("Ответ: 7", "7", "cue"),
        ("The answer is 7.\n\nQuestion: What now?\nAnswer: 8", "7", "cue"),
        ("Question: How many?\nAnswer: 8", "8", "cue"),
        ("Here is the answer:\n* two red ones\n* three blue ones", None, "none"),
        ('{"answer": "B"}', "B", "json"),
        ('{"Final Answer": 12}', "12", "json"),
        ('So:\n```json\n{"answer": [1, 2]}\n```', "[1, 2]", "json"),
        ('<answer>{"answer": "B"}</answer>', "B", "answer_tag"),
        ("I think.\nIt is B", None, "none"),
        ("x" * 400, None, "none"),
        ("", None, "none"),
        (" \n", None, "none"),
        ("\\boxed{}", "\\boxed{}", "whole"),
    ],
)
def test_cases(response: str, answer: str | None, reason: str) -> None:
    found = extract(response)
    assert found.reason == reason
    if answer is not None or reason == "none":
        assert found.answer == answer


def test_an_unclosed_tag_is_no_tag() -> None:
    assert extract("I say <answer>B\nand that is that").answer is None


@given(st.text())
def test_never_raises_and_reason_fits(text: str) -> None:
    found = extract(text)
    assert (found.answer is None) == (found.reason == "none")
    assert found.answer is None or found.answer.strip()


TOKENS = ["<think>", "</think>", "<reason>", "</reason>", "<answer>", "</answer>", "\\boxed{", "{", "}", "Answer:", "B"]


@given(st.lists(st.sampled_from([*TOKENS, " the answer is ", "\n", "**", "A", " because "]), max_size=30).map("".join))
def test_never_raises_on_broken_structure(text: str) -> None:
    found = extract(text)
    assert (found.answer is None) == (found.reason == "none")


PLAIN = st.text().filter(lambda text: "<" not in text)


@given(PLAIN, st.sampled_from("ABCDEFGH"), st.sampled_from(["think", "thinking", "reason", "reasoning"]))
def test_tag_after_any_reasoning(reasoning: str, letter: str, tag: str) -> None:
    for response in (
        f"<{tag}>{reasoning}</{tag}><answer>{letter}</answer>",
        f"{reasoning}<answer>{letter}</answer>",
        f"{reasoning}</{tag}>\n<answer>{letter}</answer>{reasoning}",
    ):
        assert extract(response) == extract(f"<answer>{letter}</answer>")


@given(st.text())
def test_unclosed_reasoning_has_no_answer(text: str) -> None:
    if "</" not in text:
        assert extract("<think>" + text).answer is None


@pytest.mark.parametrize(
    "unit",
    ["<think>", "</think>", "<answer>", "</answer>", "<answer", "\\boxed{", "\\boxed{}", "{", "}", "\\", "Answer:",
     "answer is ", "Answer: A\n", "final ", " ", "\n", "*", " because", "answer>", "\ud800"],
)  # fmt: skip
@pytest.mark.parametrize("frame", ["{}", "<answer>{}</answer>", "Answer: {}", "\\boxed{{{}}}"])
def test_a_megabyte_takes_linear_time(unit: str, frame: str) -> None:
    def seconds(size: int) -> float:
        text = frame.format(unit * (size // len(unit)))
        start = time.process_time()
        extract(text)
        return time.process_time() - start

    assert seconds(1_000_000) < 1.0


@pytest.mark.parametrize(
    "response",
    [
        "I don't believe option C is correct.", "If option C is correct, then red.", "If so, C is correct.",
        "Whether option C is correct is unclear.", "I'm not sure option C is correct.",
        "Neither option A nor option C is correct.", "Either option B or option C is correct.",
        "Only one of option B and option C is correct.", "Not option C is correct", "Both (B) and (C) is correct",
        "I doubt that option C is correct.", "It's unlikely that option C is correct.",
        "It is false that option C is correct.", "It is not true that option C is correct.",
        "The incorrect answer is B.", "Wrong answer: B", "The least likely answer is C.", "Other answer: C",
        "It is unlikely the answer is C.",
    ],
)  # fmt: skip
def test_what_is_denied_doubted_or_one_of_two_is_not_announced(response: str) -> None:
    assert extract(response).reason == "whole"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: B\nI doubt that option C is correct.", "B"),
        ("The correct answer is A. A common wrong answer is B.", "A"),
        ("Option A is wrong and option C is correct.", "C"),
        ("So, B is correct.", "B"), ("Thus, B is correct.", "B"), ("Hence, B is the correct answer.", "B"),
        ("So B is correct.", "B"), ("Therefore, B is correct.", "B"),
        ("The answer is:\n1. 15", "15"), ("The answer is:\n12. That is all.", "12"),
        ("The correct answer is:\n- B. blue", "B"), ("Answer:\n- B) blue", "B) blue"), ("Answer:\n- 5", "- 5"),
        ("The answer is approx. 12.", "approx. 12"),
        ("### Answer\n\nB", "B"), ("### Final Answer\n**B. blue**", "B. blue"), ("**Final Answer**\n\nB", "B"),
        ("I count.\n\nFinal Answer\r\n\n7", "7"),
        ("The correct answer appears to be B.", "B"), ("The correct answer seems to be B", "B"),
        ("The answer is B<|im_end|>\n</s>", "B"), ("<Reason>: so it is. <Answer>: C", "C"),
    ],
)  # fmt: skip
def test_more_ways_to_announce_an_answer(response: str, answer: str) -> None:
    assert (extract(response).answer, extract(response).reason) == (answer, "cue")


def test_a_long_line_under_a_heading_is_no_answer() -> None:
    assert extract("Answer: B\n\n### Answer\n\n" + "The light falls from the left. " * 4).answer == "B"


def test_an_answer_tag_that_ends_unclosed_reasoning_counts_only_where_nothing_else_is_left() -> None:
    assert extract("<reason>The mug <answer>A</answer> or <answer>B</answer>\n").answer == "B"
    assert extract("<think>so <answer>B</answer> or not").answer is None
    assert extract("A <think>so <answer>B</answer>").answer == "A"


def test_tokens_of_a_box_are_a_box() -> None:
    assert extract("Red.\n<|begin_of_box|>B<|end_of_box|>").reason == "boxed"
    assert extract("<answer><|begin_of_box|>B<|end_of_box|></answer>").answer == "B"


def test_a_next_question_behind_a_tag_or_box_does_not_count() -> None:
    assert extract("<answer>B</answer>\nQuestion: and now?\n<answer>C</answer>").answer == "B"
    assert extract("\\boxed{B}\nQuestion: and now?\n\\boxed{C}").answer == "B"
    assert extract("Question: and now?\n\\boxed{C}").answer == "C"


def test_a_fenced_list_is_an_answer_and_a_program_is_none() -> None:
    assert (extract("So:\n```json\n[1, 2]\n```").answer, extract("```\n[1, 2]\n```").reason) == ("[1, 2]", "json")
    assert extract("So:\n```\n[x for x in y]\n```").answer is None


@pytest.mark.parametrize("unit", ["answer\n", "# answer\n", "<|im_end|>", "<|begin_of_box|>", "option C is correct. "])
def test_headings_and_tokens_take_linear_time(unit: str) -> None:
    start = time.process_time()
    extract(unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 1.0
