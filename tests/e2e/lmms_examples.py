"""Made-up responses: some that show why evalkit and lmms-eval differ, and the corpus of hard ones."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from evalkit.records import Sample
from evalkit.scoring import score_choice, score_list, score_number
from evalkit.scoring.judge.labels import HARD_RESPONSES
from tests.e2e.lmms_cases import Case, mathvista_doc, opened, wemath_doc


class Example(NamedTuple):
    """One response.

    Attributes:
        task: the name of lmms-eval's scorer.
        response: the model's text.
        gold: the right letter, or the number.
        choices: from A on; none where a number is asked for.
        kind: MathVista's type of answer.
        precision: decimal places, as lmms-eval's loader gives them.
        judge: what lmms-eval's judge says; None where it cannot be reached.
    """

    task: str
    response: str
    gold: str
    choices: tuple[str, ...] = ()
    kind: str = "text"
    precision: float | None = None
    judge: str | None = None


V, VR = "vstar_bench", "vstar_bench_reasoning"
H = "hrbench4k"
M, MR = "mathvista_testmini_format", "mathvista_testmini_cot_reasoning"
W = "wemath_testmini_reasoning"

EXAMPLES = (
    Example(V, "<reason>The mug is red.</reason><answer>B</answer>", "B", ("blue", "red", "green", "white")),
    Example(V, "<answer>B</answer>", "B", ("blue", "red", "green", "white")),
    Example(V, "Based on the picture the answer is C.", "B", ("blue", "red", "green", "white")),
    Example(V, "The answer is: blue", "B", ("blue", "red")),
    Example(V, "It is a truck.", "A", ("left", "right")),
    Example(V, "<answer>A. right</answer>", "A", ("left", "right")),
    Example(VR, "<answer>a Dalmatian</answer>", "A", ("a Dalmatian", "a terrier")),
    Example(VR, "<answer>A</answer> No, that is wrong. <answer>B</answer>", "B", ("left", "right")),
    Example(H, "<answer>B. A mug</answer>", "B", ("A lamp", "A mug", "A vase", "A plate")),
    Example(H, "<answer>B</answer>", "B", ("A lamp", "A mug", "A vase", "A plate")),
    Example(H, "<answer>B</answer>", "B", ("A lamp", "A mug", "A vase", "A plate"), judge="I cannot tell."),
    Example(H, "The man looks bored.", "C", ("blue", "green", "red", "white")),
    Example(M, "", "B", ("sixteen", "two", "three")),
    Example(M, "I cannot see the picture.", "B", ("sixteen", "two", "three")),
    Example(M, "(C) three", "C", ("sixteen", "two", "three")),
    Example(M, "It is 3.9.", "3", kind="integer", judge="3.9"),
    Example(M, "1.2", "1.2", kind="float", precision=1.0),
    Example(MR, "<answer>12.0</answer>", "12", kind="integer"),
    Example(MR, "The bridge was built in 1998", "1998", kind="integer"),
    Example(W, "<Answer>: B", "B", ("2", "4", "6")),
)

OURS = {"vstar": "vstar", "hrbench_4k": "hrbench", "mathvista": "mathvista", "wemath": "wemath"}
"""evalkit's task to how lmms-eval's names for it begin."""


def example_cases() -> list[Case]:
    """The made-up responses, in order."""
    return [_example(number, example) for number, example in enumerate(EXAMPLES, 1)]


def _example(number: int, example: Example) -> Case:
    choices = dict(zip(string.ascii_uppercase, example.choices, strict=False))
    name = next(ours for ours, prefix in OURS.items() if example.task.startswith(prefix))
    kind: dict[str, Any] = {"answer_type": example.kind}
    kind |= {} if example.precision is None else {"precision": int(example.precision)}
    sample = Sample(id=str(number), question="", choices=choices, answer=example.gold, metadata=kind)
    common = {"label": example.gold, "text": "", "question_id": "", "category": "single"}
    docs: dict[str, dict[str, Any]] = {
        "vstar": common,
        "hrbench_4k": {"question": "", **choices, "answer": example.gold, "index": 0, "cycle_category": "0"} | common,
        "mathvista": mathvista_doc(sample) | {"precision": example.precision},
        "wemath": wemath_doc(example.gold),
    }
    outcome = opened(name).score(sample, example.response)
    return Case("example", example.task, sample.id, docs[name], example.response, outcome, example.judge)


def corpus_cases() -> list[Case]:
    """The hard responses, each through every scorer that can be asked for its kind."""
    corpus = yaml.safe_load(HARD_RESPONSES.read_text(encoding="utf-8"))
    return [case for entry in corpus["cases"] for case in _hard(entry, corpus["choices"])]


def _hard(entry: dict[str, Any], choice_sets: dict[str, dict[str, str]]) -> Iterator[Case]:
    kind, gold = entry["kind"], entry["gold"]
    response = entry["response"] * entry.get("repeat", 1)
    id = json.dumps({name: entry.get(name) for name in ("id", "verdict", "answer", "or")})
    if kind != "choice":
        precision = entry.get("precision")
        outcome = (
            score_list(response, gold, "corpus")
            if kind == "list"
            else score_number(response, gold, "corpus", precision=precision, unit=entry.get("unit", ""))
        )
        # its prompt knows 1 and 2 decimal places, and its rule none
        places: dict[str, Any] = {} if precision is None else {"precision": min(precision, 2)}
        metadata = {"answer_type": "list" if kind == "list" else "float" if places else "integer"} | places
        doc = mathvista_doc(Sample(id="", question="", answer=gold, metadata=metadata))
        yield Case("numbers and lists", "mathvista_testmini_cot_reasoning", id, doc, response, outcome)
        return
    choices = choice_sets[entry["choices"]]
    outcome = score_choice(response, choices, gold, "corpus")
    common = {"label": gold, "text": "", "question_id": "", "category": "single"}
    docs: dict[str, dict[str, Any]] = {
        "hrbench4k": {"question": "", **choices, "answer": gold, "index": 0, "cycle_category": "0"} | common,
        "wemath_testmini_reasoning": wemath_doc(gold),
    }
    if list(choices) == list("ABCD"[: len(choices)]):
        docs["vstar_bench"] = common
    for task, doc in docs.items():
        yield Case("choices", task, id, doc, response, outcome)
