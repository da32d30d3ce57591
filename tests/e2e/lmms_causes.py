"""Why evalkit and one of lmms-eval's scorers differ on a response."""

from __future__ import annotations

import re
import string
from typing import NamedTuple

from evalkit.records import Verdict
from tests.e2e.lmms_cases import Pair

NO_JUDGE = "the scorer raises, since its judge cannot be reached"
ARTICLE = "it takes the article A for option A"
BARE_TAG = "it reads no letter from the tag alone"
WORD_END = "it takes the last letter of a word before a full stop"
OUTSIDE = "it takes a letter from outside the answer"
BY_TEXT = "it does not look for an option's text"
NO_TAG = "it reads nothing but a number without its tag or box"
NO_EXTRACTION = "it extracts nothing without a judge"
DECIMALS = "it cannot round to 1.0 decimal places"
OTHER_EXTRACTION = "its judge did not extract what the response says"
TWO_OPTIONS = "the letter is one option's, the text another's; evalkit reads neither"
SHORTEST = "it takes the shortest choice where nothing was extracted"
NEAREST = "it takes the choice nearest to an extraction that is none"
PROGRAM = "its judge says what a program would print"
PROSE = "its judge extracts an answer where evalkit reads none"
LAST_NUMBER = "it takes the number that ends a line, where evalkit reads none"
PROGRAM_LINE = "it takes the number that ends a line of a program"
TRUNCATED = "it cuts the decimals of a number where a whole one is asked for"
TWO_ANSWERS = "the response gives two answers; evalkit takes the last that is marked as one"
OTHER = "other"
BY_HAND = dict.fromkeys(("bard 549", "bard 897", "llavar 771"), TWO_ANSWERS)
"""MathVista rows that only a reader can tell apart."""


class Shown(NamedTuple):
    """A response that shows who is right: its row, and in our words what it says."""

    right: str
    group: str
    id: str
    text: str


_V, _VR, _H = "V*Bench", "V*Bench, reasoning task", "HR-Bench 4K"
_J, _N, _R = "MathVista, recorded judge", "MathVista, no judge", "MathVista, reasoning task"
_OURS = "evalkit"

SHOWN = {
    NO_JUDGE: Shown(_OURS, _H, "142", "the answer tag holds the letter C and C's text"),
    ARTICLE: Shown(_OURS, _H, "313", "the answer tag holds the letter B and B's text, which begins with an article"),
    BARE_TAG: Shown(
        _OURS, _V, "first direct_attributes/sa_59482", "the answer tag holds the letter A and nothing else"
    ),
    WORD_END: Shown(
        _OURS,
        _V,
        "second direct_attributes/sa_9877",
        "the answer tag holds A's sentence, whose last word is red: read as D",
    ),
    OUTSIDE: Shown(
        _OURS,
        "V*Bench, `<reason>` for `<think>`",
        "second direct_attributes/sa_55722",
        "the answer says that the thing cannot be seen; the reasoning lists the options, from A",
    ),
    BY_TEXT: Shown(
        _OURS, _V, "second relative_position/sa_64142", "the answer tag holds A's sentence without its letter"
    ),
    TWO_OPTIONS: Shown(
        _OURS,
        _V,
        "first relative_position/sa_3796",
        "the letter is A, the sentence B's; the reasoning says the same as the sentence, and so in all five",
    ),
    NO_TAG: Shown(
        "evalkit; but that task asks for tags, and these models were not asked for any",
        _R,
        "frequent_guess 7",
        "the response is the right letter alone",
    ),
    NO_EXTRACTION: Shown(_OURS, _N, "frequent_guess 7", "the response is the right letter alone"),
    DECIMALS: Shown(
        _OURS, "MathVista, decimals as the hub has them", "frequent_guess 1", "the response is the right number"
    ),
    OTHER_EXTRACTION: Shown(
        _OURS,
        _J,
        "idefics_9b_instruct 150",
        "the response names A and A's text; C was extracted",
    ),
    SHORTEST: Shown(_OURS, _J, "instruct_blip2_vicuna_13b 20", "the response is empty"),
    NEAREST: Shown(
        _OURS, _J, "gpt4_2shot_solution_use_ocr 825", "the response says that the question cannot be answered"
    ),
    PROGRAM: Shown(
        "neither can tell: nothing runs the program",
        _J,
        "chatgpt_2shot_code_use_ocr 295",
        "the response is a program that prints a number",
    ),
    PROSE: Shown(
        "lmms-eval's judge in 27 of 40 drawn at random, which say it in a sentence; 11 only list options or refuse",
        _J,
        "llavar 396",
        "the one sentence says what will happen, with a choice's word as its verb",
    ),
    TRUNCATED: Shown(_OURS, _J, "llavar 917", "the response says 1.5; right is 1"),
    TWO_ANSWERS: Shown(
        "nobody can tell", _J, "bard 549", "the first line names option B, the last one works out C's value"
    ),
    LAST_NUMBER: Shown(
        "mostly lmms-eval; not in bard 37, where -3 was taken for 3",
        _R,
        "gpt4_2shot_solution_use_ocr 739",
        "the last sentence says what sum somebody needs",
    ),
    PROGRAM_LINE: Shown(
        "evalkit: the number is an input, and right by luck",
        _R,
        "chatgpt_2shot_code_use_ocr 295",
        "a line that sets a variable ends with it",
    ),
}
"""For each cause a row that has it."""


def cause(pair: Pair) -> str:
    """Why the two differ, from what they read and from the response."""
    case, text = pair.case, pair.case.response
    if pair.error:
        return NO_JUDGE
    if case.task == "mathvista_testmini_format":
        return _of_judge(pair)
    if case.task == "mathvista_testmini_cot_reasoning":
        if "<answer>" in text or "\\boxed" in text:
            return BY_TEXT if pair.ours else OTHER
        return NO_TAG if pair.ours else PROGRAM_LINE if "_code_" in case.id else LAST_NUMBER
    if case.task == "wemath_testmini_reasoning":
        return NO_TAG if pair.ours else OTHER
    if case.task == "hrbench4k":
        return ARTICLE if pair.answer == "A" and re.search(r"\bA [a-z]", text) else OTHER
    if pair.answer is None:
        return BARE_TAG if re.search(r"<answer>[A-D]</answer>", text) else BY_TEXT
    if case.outcome.reason == "no_choice" and (case.outcome.answer or "").startswith(f"{pair.answer}. "):
        return TWO_OPTIONS
    if case.task == "vstar_bench" and re.search(rf"[a-z]{pair.answer}\s{{0,3}}\.", text, re.IGNORECASE):
        return WORD_END
    if case.task == "vstar_bench":
        return ARTICLE if pair.answer == "A" and "<reason>" not in text and re.search(r"\ba\b", text) else OUTSIDE
    return OTHER


def _of_judge(pair: Pair) -> str:
    """MathVista: why a verdict on what a judge extracted is not evalkit's."""
    case, choices = pair.case, pair.case.doc["choices"]
    if pair.ours:
        if isinstance(case.doc["precision"], float):
            return DECIMALS
        return NO_EXTRACTION if case.judge is None else OTHER_EXTRACTION
    extraction = (case.judge or "").strip() if case.response.strip() else ""
    if choices and not extraction:
        return OTHER if case.response.strip() in choices else SHORTEST
    letters = string.ascii_uppercase[: len(choices)]
    named = extraction in letters or extraction in choices or any(f"({letter})" in extraction for letter in letters)
    if "_code_" in case.id:
        return PROGRAM
    if choices and not named:
        return NEAREST
    if case.outcome.verdict is Verdict.UNPARSED:
        return PROSE
    if case.doc["answer_type"] == "integer" and not extraction.isdecimal():
        return TRUNCATED
    return BY_HAND.get(case.id, OTHER_EXTRACTION)
