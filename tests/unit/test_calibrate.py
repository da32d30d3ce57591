"""A judge on labelled responses: counted, written, and held against the judge of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from evalkit.analysis.calibrated import judge_figures
from evalkit.calibration import Calibration
from evalkit.errors import DataError, EvalkitError
from evalkit.rulings import Ruling, Said
from evalkit.runs.calibrate import calibrate, check_judge, read_calibration, write_calibration
from evalkit.runs.scheduler import Stop
from evalkit.scoring.judge import Asked, FakeJudge, Question, identity_digest
from evalkit.scoring.judge.injections import read_injections
from evalkit.scoring.judge.labels import HARD_RESPONSES, read_labels

LABELLED = read_labels(HARD_RESPONSES)
INJECTIONS = read_injections()
# the extracting judge is asked the same about the same response, whatever is right: the last of them is a right one
CASES = {
    str(case.asked(asked)): case
    for case in sorted(LABELLED.cases, key=lambda case: case.verdict == "correct")
    for asked in Asked
}


def careful(question: Question) -> Ruling:
    """What the labels say."""
    case = CASES.get(str(question))
    if case is None or case.verdict == "unparsed":
        return Ruling(asked=question.asked.value, said=Said.NO_ANSWER)
    if question.asked is Asked.EQUIVALENCE:
        return Ruling(asked="equivalence", said=Said(case.verdict))
    answer = (case.answer or case.gold) if case.verdict == "correct" else "99999"
    return Ruling(asked="extraction", said=Said.EXTRACTED, answer=answer)


def credulous(question: Question) -> Ruling:
    """Like `careful`, but does as it is told."""
    if question.asked is Asked.EQUIVALENCE and "say CORRECT" in question.response:
        return Ruling(asked="equivalence", said=Said.CORRECT)
    return careful(question)


def broken(question: Question) -> Ruling:
    said = Said.UNAVAILABLE if question.asked is Asked.EXTRACTION else Said.UNPARSABLE
    return Ruling(asked=question.asked.value, said=said, error="no")


async def measured(answer: Callable[[Question], Ruling]) -> Calibration:
    found = await calibrate(FakeJudge(answer), LABELLED, INJECTIONS, 8, Stop())
    assert found is not None
    return found


async def test_a_judge_that_says_what_the_labels_say_makes_no_error() -> None:
    found = await measured(careful)
    for asked in Asked:
        figures = judge_figures(found.measured[asked], found.injected[asked])
        assert figures.n == len(LABELLED.cases)
        assert figures.agreement.value == 1
        assert figures.kappa.value == 1
        assert (figures.false_right.count, figures.false_wrong.count) == (0, 0)
        assert figures.injected is not None
        assert figures.injected.count == 0
        assert figures.injected.n >= 90


async def test_attempts_that_work_are_counted_and_named() -> None:
    found = await measured(credulous)
    figures = judge_figures(found.measured["equivalence"], found.injected["equivalence"])
    assert figures.fooling == {"say-correct": 3, "say-correct-first": 3}
    assert figures.injected is not None
    assert figures.injected.count == 6
    assert figures.injected.clusters == len(found.injected["equivalence"].outcomes)
    assert figures.injected.low is not None
    assert figures.injected.low > 0


async def test_a_judge_that_is_always_for_it_is_not_talked_round() -> None:
    yes = await measured(lambda question: Ruling(asked=question.asked.value, said=Said.CORRECT))
    figures = judge_figures(yes.measured["equivalence"], yes.injected["equivalence"])
    assert figures.false_right.value == 1
    assert figures.fooling == {}
    assert figures.kappa.value == 0


async def test_failures_are_counted_apart_and_none_is_lost() -> None:
    found = await measured(broken)
    out, unread = (judge_figures(found.measured[asked], found.injected[asked]) for asked in Asked)
    assert out.unavailable == out.n == len(LABELLED.cases) == unread.unparsable == unread.n
    for figures in (out, unread):
        assert figures.agreement.value is None
        assert figures.kappa.why == "there is no sample"
    assert unread.injected_unread == 3 * len(found.injected["equivalence"].outcomes)


async def test_stopped_it_gives_nothing() -> None:
    stop = Stop()
    stop.gently = True
    assert await calibrate(FakeJudge(careful), LABELLED, INJECTIONS, 8, stop) is None


async def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    found = await measured(credulous)
    write_calibration(tmp_path / "c.json", found)
    assert read_calibration(tmp_path / "c.json") == found


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"identity": 1}', "\xff"])
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="evalkit judge calibrate makes one") as error:
        read_calibration(file)
    assert "\n" not in str(error.value)


async def test_a_file_that_was_edited_is_refused(tmp_path: Path) -> None:
    found = await measured(careful)
    write_calibration(tmp_path / "c.json", msgspec.structs.replace(found, identity={"model": "another"}))
    with pytest.raises(DataError, match="does not fit its own identity"):
        read_calibration(tmp_path / "c.json")
    one = msgspec.structs.replace(found.measured["extraction"], counts={"correct": {"correct": -1}})
    write_calibration(tmp_path / "c.json", msgspec.structs.replace(found, measured={"extraction": one}))
    with pytest.raises(DataError, match="negative"):
        read_calibration(tmp_path / "c.json")


async def test_it_is_refused_for_another_judge() -> None:
    found = await measured(careful)
    check_judge(found, {"model": "fake"})
    with pytest.raises(EvalkitError, match=r"another judge \(fake\) than the run's \(other\): model differ"):
        check_judge(found, {"model": "other"})
    with pytest.raises(EvalkitError, match="the run has no judge"):
        check_judge(found, None)
    assert found.digest == identity_digest({"model": "fake"})
