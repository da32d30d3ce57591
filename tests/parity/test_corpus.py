"""Hard responses of our own making, with the verdict of a careful person: evalkit's rule meets every one.

The benchmarks' own rules are run beside it, and how often they err is pinned.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.records import Outcome, Verdict
from evalkit.scoring import read_number, read_quantity, score_choice, score_list, score_number
from evalkit.scoring.equivalence import twice_stated
from evalkit.scoring.judge.labels import HARD_RESPONSES
from evalkit.scoring.vlmevalkit import handed_over, matched_option

REPO = Path(__file__).resolve().parents[2]
CORPUS = yaml.safe_load(HARD_RESPONSES.read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = CORPUS["cases"]


def response(case: dict[str, Any]) -> str:
    text: str = case["response"]
    return text * int(case.get("repeat", 1))


def choices(case: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = CORPUS["choices"][case["choices"]]
    return found


def strict(case: dict[str, Any]) -> Outcome:
    if case["kind"] == "choice":
        return score_choice(response(case), choices(case), case["gold"], "corpus/1")
    if case["kind"] == "list":
        return score_list(response(case), case["gold"], "corpus/1")
    unit = case.get("unit", "")
    return score_number(response(case), case["gold"], "corpus/1", precision=case.get("precision"), unit=unit)


def test_the_corpus_is_well_formed() -> None:
    assert len(CASES) >= 150
    assert len({case["id"] for case in CASES}) == len(CASES)
    known = {
        "id",
        "kind",
        "choices",
        "gold",
        "precision",
        "unit",
        "response",
        "repeat",
        "verdict",
        "or",
        "answer",
        "why",
    }
    for case in CASES:
        assert set(case) <= known, case["id"]
        assert case["verdict"] in ("correct", "incorrect", "unparsed"), case["id"]
        assert case["why"], case["id"]
        assert (case["verdict"] == "unparsed") == ("answer" not in case) or case["kind"] == "list", case["id"]
        if case["kind"] == "choice":
            assert case["gold"] in choices(case), case["id"]
            if "answer" in case:
                assert (case["answer"] == case["gold"]) == (case["verdict"] == "correct"), case["id"]
    lenient = [case for case in CASES if "or" in case]
    assert all(case["or"] == "unparsed" != case["verdict"] for case in lenient)
    assert len(lenient) < len(CASES) / 10
    verdicts = [case["verdict"] for case in CASES]
    assert all(verdicts.count(verdict) >= 10 for verdict in ("correct", "incorrect", "unparsed"))


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_strict_rule_says_what_a_person_says(case: dict[str, Any]) -> None:
    outcome = strict(case)
    assert outcome.verdict in (case["verdict"], case.get("or")), outcome
    if outcome.verdict is Verdict.UNPARSED or "answer" not in case:
        return
    assert outcome.answer is not None
    if case["kind"] == "choice":
        assert outcome.answer == case["answer"]
    elif (value := read_number(case["answer"])) is not None:
        shown = read_quantity(outcome.answer, case.get("unit", "")) or twice_stated(outcome.answer)
        assert shown is not None
        assert shown.value == value
    else:
        assert outcome.answer == case["answer"]
        assert not isinstance(value, Fraction)


def module(task: str, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"corpus_{task}_{name}", REPO / "tasks" / task / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def wemath(case: dict[str, Any]) -> bool | None:
    if case["kind"] != "choice":
        return None
    return bool(WEMATH.official_answer(response(case)) == case["gold"])


def vlmevalkit(case: dict[str, Any]) -> bool | None:
    """The matcher that HR-Bench and V* are scored with, without its judge."""
    if case["kind"] != "choice":
        return None
    return matched_option(handed_over(response(case)), choices(case)) == case["gold"]


def mathvista(case: dict[str, Any]) -> bool | None:
    """The authors' scripts when their language model does not answer."""
    options = choices(case) if case["kind"] == "choice" else {}
    if list(options) != list("ABCDEFGH"[: len(options)]):
        return None
    kind = {"choice": "text", "list": "list"}.get(case["kind"], "float" if "precision" in case else "integer")
    gold = options[case["gold"]] if options else case["gold"]
    extraction = MATHVISTA.quick_extraction(response(case), kind, options) or ""
    return bool(MATHVISTA.normalise(extraction, kind, options, case.get("precision")) == gold)


WEMATH, MATHVISTA = module("wemath", "task"), module("mathvista", "official")


@pytest.mark.parametrize(
    ("rule", "asked", "credited", "missed"),
    [(wemath, 182, 11, 98), (vlmevalkit, 182, 14, 47), (mathvista, 327, 31, 177)],
    ids=["wemath", "vlmevalkit", "mathvista"],
)
def test_how_often_the_official_rules_err(
    rule: Callable[[dict[str, Any]], bool | None], asked: int, credited: int, missed: int
) -> None:
    """`credited`: called right though a person sees no right answer; `missed`: the other way round."""
    verdicts = [(case, right) for case in CASES if (right := rule(case)) is not None]
    wrongly = [case["id"] for case, right in verdicts if right and case["verdict"] != "correct"]
    lost = [case["id"] for case, right in verdicts if not right and case["verdict"] == "correct"]
    print(f"{rule.__name__}: {len(verdicts)} cases, credited {wrongly}, missed {lost}")
    assert (len(verdicts), len(wrongly), len(lost)) == (asked, credited, missed)
