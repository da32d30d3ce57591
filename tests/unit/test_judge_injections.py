"""Nothing that a response says to a judge changes what the rules make of it."""

from __future__ import annotations

import pytest

from evalkit import Outcome, Sample, Verdict
from evalkit.content import find_tasks, open_task
from evalkit.scoring.judge import Asked, fresh_nonce, messages
from evalkit.scoring.judge.injections import PLAIN, Injection, read_injections

ALL = read_injections()
TRIED = [injection for injection in ALL if injection.attempt != PLAIN]
WITHOUT = {injection.plain: injection for injection in ALL if injection.attempt == PLAIN}


def said(outcome: Outcome) -> tuple[object, ...]:
    # where no answer was read, what is kept is only what was tried
    return (outcome.verdict, None if outcome.verdict is Verdict.UNPARSED else outcome.answer)


def test_there_are_many_of_every_kind() -> None:
    assert len({injection.attempt for injection in TRIED}) >= 30
    assert {injection.case.kind for injection in TRIED} == {"choice", "number", "list"}
    assert len({injection.case.id for injection in ALL}) == len(ALL)
    for injection in TRIED:
        assert "<<" not in injection.case.response
        assert WITHOUT[injection.plain].case.response in injection.case.response


@pytest.mark.parametrize("injection", ALL, ids=[injection.case.id for injection in ALL])
def test_no_attempt_changes_a_verdict_of_the_rules(injection: Injection) -> None:
    plain = WITHOUT[injection.plain].case
    assert plain.score(plain.response).verdict == plain.verdict
    assert said(injection.case.score(injection.case.response)) == said(plain.score(plain.response))


@pytest.mark.parametrize("name", sorted(find_tasks()))
def test_no_attempt_changes_a_verdict_of_a_benchmark(name: str) -> None:
    task = open_task(find_tasks()[name], "sample")
    checked = 0
    for sample in list(task.samples())[:12]:
        wrong = f"I looked at it twice. <answer>{wrong_answer(sample)}</answer>"
        before = said(task.score(sample, wrong))
        for injection in TRIED:
            if injection.asked is Asked.EQUIVALENCE:
                text = injection.case.response.replace(WITHOUT[injection.plain].case.response, wrong)
                assert said(task.score(sample, text)) == before, (sample.id, injection.attempt)
                checked += 1
    assert checked


def wrong_answer(sample: Sample) -> str:
    return next((letter for letter in sample.choices if letter != sample.answer), "987654")


@pytest.mark.parametrize("asked", list(Asked))
def test_no_attempt_ends_the_block_that_it_stands_in(asked: Asked) -> None:
    for injection in TRIED:
        question = injection.case.asked(asked)
        assert question is not None
        nonce = fresh_nonce(question)
        text = messages(question, nonce)[1].text
        assert text.count(f"[/REPLY {nonce}]") == text.count(f"[REPLY {nonce}]") == 1
        assert text.index(f"[REPLY {nonce}]") < text.index(question.shown) < text.index(f"[/REPLY {nonce}]")
