"""What a judge changes on MathVista: the recorded responses, with what GPT-4 extracted from them as its word."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest

from evalkit import Outcome, StopReason, Trajectory, Turn, Verdict
from evalkit.content import find_tasks, open_task
from evalkit.rulings import Ruling, Said
from evalkit.runs.judging import Bench
from evalkit.scoring.judge import FakeJudge, Question
from tests.parity.mathvista_agreement import recorded, samples

EXPECTED = {
    # rows that a judge is asked about; right without and with it; still without an answer; right by the official rule
    "bard": (282, 303, 338, 94, 345),
    "gpt4_2shot_solution_use_ocr": (646, 184, 228, 535, 320),
    "idefics_9b_instruct": (177, 193, 202, 127, 206),
    "llavar": (529, 93, 231, 77, 252),
    "frequent_guess": (0, 263, 263, 0, 263),
}


def in_form(extraction: str, choices: dict[str, str]) -> str | None:
    """The recorded extraction as evalkit's judges must give it; None where it is no answer in that form."""
    text = extraction.strip()
    if not choices:
        return text or None
    if letter := re.fullmatch(r"\(?([A-Z])\)?[.:]?(?: .*)?", text, re.DOTALL):
        text = letter[1] if letter[1] in choices else text
    if text in choices:
        return text
    return next((letter for letter, choice in choices.items() if choice == text), None)


def ruling(question: Question, extraction: str) -> Ruling:
    answer = in_form(extraction, question.choices)
    said = Said.NO_ANSWER if answer is None else Said.EXTRACTED
    return Ruling(asked=question.asked.value, said=said, answer=answer)


async def judged(model: str) -> tuple[list[Outcome], list[Outcome], int]:
    task = open_task(find_tasks()["mathvista"], "sample")
    extraction = ""
    judge = FakeJudge(lambda question: ruling(question, extraction))
    bench = Bench(task, judge)
    rules, both = [], []
    try:
        for pid, row in recorded(model).items():
            extraction = row["extraction"]
            said = Trajectory(prompt="", stop=StopReason.ENDED, turns=(Turn(text=row["response"]),))
            rules.append(task.score(samples()[pid], row["response"]))
            both.append(await bench.outcome(samples()[pid], said))
    finally:
        bench.close()
    return rules, both, len(judge.asked)


@pytest.mark.parametrize("model", EXPECTED)
def test_what_a_judge_changes(model: str, shared_data: Path) -> None:
    rules, both, asked = asyncio.run(judged(model))
    changed = [(a, b) for a, b in zip(rules, both, strict=True) if a != b]
    # only what the rules could not read
    assert {a.verdict for a, _ in changed} <= {Verdict.UNPARSED}
    assert len(changed) == asked
    right = [sum(outcome.verdict is Verdict.CORRECT for outcome in part) for part in (rules, both)]
    unparsed = Counter(outcome.verdict for outcome in both)[Verdict.UNPARSED]
    official = sum(outcome.official is True for outcome in both)
    assert (asked, *right, unparsed, official) == EXPECTED[model]
