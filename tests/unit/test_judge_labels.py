"""Labelled responses: read whole, or refused with the case that is at fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import DataError
from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge import Asked
from evalkit.scoring.judge.labels import HARD_RESPONSES, Case, read_labels

RIGHT = {"id": "a", "kind": "number", "gold": "7", "response": "seven it is", "verdict": "correct"}
OTHER = {"id": "b", "kind": "text", "gold": "a dog", "response": "a cat", "verdict": "incorrect"}
CHOICES = {"A": "red", "B": "blue"}


def lines(file: Path, *cases: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(case) + "\n" for case in cases), encoding="utf-8")
    return file


def test_the_shipped_ones_are_those_that_the_rules_meet() -> None:
    found = read_labels(HARD_RESPONSES)
    assert len(found.cases) + found.about.left_out == found.about.rows >= 300
    assert {case.verdict for case in found.cases} == {"correct", "incorrect", "unparsed"}
    for case in found.cases:
        assert case.score(case.whole).verdict == case.verdict


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    choice = {
        "id": "c",
        "kind": "choice",
        "choices": CHOICES,
        "gold": "B",
        "response": "blue-ish",
        "verdict": "correct",
    }
    reasoned = {**RIGHT, "id": "d", "response": "<think>7</think>", "verdict": "unparsed"}
    either = {**RIGHT, "id": "e", "or": "unparsed"}
    found = read_labels(lines(tmp_path / "own.jsonl", RIGHT, OTHER, choice, reasoned, either))
    assert [case.id for case in found.cases] == ["a", "b", "c"]
    assert (found.about.rows, found.about.left_out, found.about.name) == (5, 2, "own.jsonl")
    question = found.cases[2].asked(Asked.EQUIVALENCE)
    assert question is not None
    assert (question.choices, question.reference) == (CHOICES, "B")


def test_the_extracting_judge_sees_no_right_answer_and_no_free_text(tmp_path: Path) -> None:
    number, text = read_labels(lines(tmp_path / "own.jsonl", RIGHT, OTHER)).cases
    question = number.asked(Asked.EXTRACTION)
    assert question is not None
    assert question.reference == ""
    assert "7" not in question.question + question.form
    assert text.asked(Asked.EXTRACTION) is None
    assert text.asked(Asked.EQUIVALENCE) is not None


@pytest.mark.parametrize(
    ("ruling", "word"),
    [
        (Ruling(asked="extraction", said=Said.EXTRACTED, answer="7"), "correct"),
        (Ruling(asked="extraction", said=Said.EXTRACTED, answer="8"), "incorrect"),
        (Ruling(asked="extraction", said=Said.EXTRACTED, answer="7 or 8"), "unparsed"),
        (Ruling(asked="extraction", said=Said.NO_ANSWER), "unparsed"),
        (Ruling(asked="equivalence", said=Said.CORRECT), "correct"),
        (Ruling(asked="equivalence", said=Said.INCORRECT), "incorrect"),
        (Ruling(asked="equivalence", said=Said.UNPARSABLE), "unparsable"),
        (Ruling(asked="equivalence", said=Said.UNAVAILABLE), "unavailable"),
    ],
)
def test_what_a_judges_word_comes_to(ruling: Ruling, word: str) -> None:
    case = Case(id="a", kind="number", gold="7", response="seven", verdict="correct")
    assert case.judged(ruling) == word


@pytest.mark.parametrize(
    ("cases", "why"),
    [
        ([], "label some of both"),
        ([RIGHT], "label some of both"),
        ([RIGHT, OTHER, OTHER], "case 'b' is there twice"),
        ([RIGHT, {**OTHER, "verdict": "wrong"}], "Invalid enum value 'wrong'"),
        ([RIGHT, {**OTHER, "gold": 7}], "Expected `str`, got `int`"),
        ([RIGHT, {**OTHER, "label": "x"}], "unknown field `label`"),
        ([RIGHT, {**OTHER, "kind": "choice"}], "the right answer of case 'b' is none of its choices"),
        ([RIGHT, {**OTHER, "choices": "colours"}], "names the choices 'colours', which are not in the file"),
        ([RIGHT, {**OTHER, "repeat": 0}], "repeat must be at least 1"),
    ],
)
def test_a_bad_case_is_named(tmp_path: Path, cases: list[dict[str, Any]], why: str) -> None:
    file = lines(tmp_path / "own.jsonl", *cases)
    with pytest.raises(DataError) as error:
        read_labels(file)
    assert why in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["cases: [", "- 1", "cases: !!python/object/apply:os.system [true]", "{{}}", "\x00"])
def test_a_broken_yaml_file_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot read the labels") as error:
        read_labels(file)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_labels(tmp_path / "none.yaml")
