"""A model as a judge, its cache, and what its word makes of an outcome."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from evalkit import Outcome, Sample, StopReason, Trajectory, Turn, Verdict
from evalkit.engines.base import Completion, Request
from evalkit.errors import EngineError, EvalkitError, InfrastructureError
from evalkit.records import RECORD_VERSION, Record, Usage
from evalkit.rulings import Ruling, Said
from evalkit.runs.judges import unjudged_rows
from evalkit.runs.judging import Bench, Desk
from evalkit.runs.outcome import outcome_of
from evalkit.runs.rescore import NOT_ASKED, changed, scored_again
from evalkit.runs.store import RunStore, latest_records
from evalkit.runs.writer import Writer
from evalkit.scoring.judge import Asked, FakeJudge, JudgeCache, ModelJudge, Question, identity_digest
from evalkit.scoring.judge.cache import _APPLICATION
from evalkit.scoring.judge.model import GIVE_UP_AFTER
from evalkit.task import DataSource, Task
from tests.judges import PROSE, WORDS, mathvista

QUESTION = Question(asked=Asked.EXTRACTION, question="How many?", response="There are seven of them.")
GOOD = json.dumps({"quote": "There are seven", "answer": "7"})


class Scripted:
    """An engine that says what it is given, or raises it."""

    def __init__(self, *replies: str | Exception, identity: str = "m") -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.identity = identity

    async def start(self) -> dict[str, Any]:
        return {"kind": "test", "identity": self.identity}

    async def generate(self, request: Request) -> Completion:
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return Completion(text=reply, usage=Usage(prompt_tokens=10, completion_tokens=3))

    async def close(self) -> None:
        pass


def ruled(engine: Scripted, cache: Path | None = None, questions: Iterable[Question] = (QUESTION,)) -> list[Ruling]:
    async def main() -> list[Ruling]:
        judge = ModelJudge(engine, JudgeCache(cache) if cache else None)
        await judge.start()
        try:
            return [await judge.rule(question) for question in questions]
        finally:
            await judge.close()

    return asyncio.run(main())


def test_a_ruling_says_what_it_cost_and_whose_it_is() -> None:
    engine = Scripted("hm", GOOD)
    (ruling,) = ruled(engine)
    assert (ruling.said, ruling.answer, ruling.tries) == (Said.EXTRACTED, "7", 2)
    assert (ruling.prompt_tokens, ruling.completion_tokens) == (20, 6)
    assert ruling.seconds is not None
    assert ruling.judge == ruled(Scripted(GOOD))[0].judge
    assert ruling.judge != ruled(Scripted(GOOD, identity="n"))[0].judge
    first, second = engine.requests
    assert second.messages[: len(first.messages)] == first.messages
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "user"]


def test_two_unreadable_replies_and_a_failure_are_no_verdict() -> None:
    (unread,) = ruled(Scripted("hm", "well"))
    assert unread.said is Said.UNPARSABLE
    assert "'well'" in unread.error
    (gone,) = ruled(Scripted(EngineError("no reply")))
    assert (gone.said, gone.error) == (Said.UNAVAILABLE, "no reply")
    (half,) = ruled(Scripted("hm", EngineError("no reply")))
    assert (half.said, half.tries) == (Said.UNAVAILABLE, 2)


def test_a_judge_that_is_gone_is_tried_by_one_question_at_a_time_and_comes_back() -> None:
    class Gone(Scripted):
        back = False

        async def generate(self, request: Request) -> Completion:
            self.requests.append(request)
            await asyncio.sleep(0)
            if not self.back:
                raise EngineError("down")
            return Completion(text=GOOD, usage=Usage())

    engine = Gone()

    async def main() -> None:
        judge = ModelJudge(engine)
        await judge.start()
        for _ in range(GIVE_UP_AFTER):
            await judge.rule(QUESTION)
        rulings = await asyncio.gather(*(judge.rule(QUESTION) for _ in range(10)))
        assert len(engine.requests) == GIVE_UP_AFTER + 1
        assert {ruling.said for ruling in rulings} == {Said.UNAVAILABLE}
        assert "was not asked: it had failed 32 times in a row" in rulings[-1].error
        engine.back = True
        assert (await judge.rule(QUESTION)).answer == "7"
        rulings = await asyncio.gather(*(judge.rule(QUESTION) for _ in range(10)))
        assert [ruling.answer for ruling in rulings] == ["7"] * 10

    asyncio.run(main())


def test_the_cache_keeps_verdicts_by_judge_and_content_and_no_failures(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "j.sqlite"
    first, again = ruled(Scripted(GOOD), file, [QUESTION, QUESTION])
    assert again == replace(first, cached=True)
    assert ruled(Scripted(), file)[0].cached
    assert not ruled(Scripted(GOOD, identity="other"), file)[0].cached
    other = replace(QUESTION, form="a number")
    assert not ruled(Scripted(GOOD), file, [other])[0].cached
    failing = replace(QUESTION, question="else?")
    assert ruled(Scripted("a", "b"), file, [failing])[0].said is Said.UNPARSABLE
    assert ruled(Scripted(EngineError("gone")), file, [failing])[0].said is Said.UNAVAILABLE
    assert ruled(Scripted(GOOD), file, [failing])[0].said is Said.EXTRACTED


def test_lone_surrogates_reach_the_judge_as_something_that_can_be_sent(tmp_path: Path) -> None:
    engine = Scripted(json.dumps({"quote": "seven", "answer": "7"}))
    (ruling,) = ruled(engine, tmp_path / "j", [replace(QUESTION, response="\ud800 seven")])
    assert ruling.said is Said.EXTRACTED
    "".join(message.text for message in engine.requests[0].messages).encode()


WRITER = """
import asyncio, sys
from pathlib import Path
from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge import JudgeCache

async def main():
    cache = JudgeCache(Path(sys.argv[1]))
    await cache.open()
    for n in range(100):
        await cache.put(n.to_bytes(4, "big"), Ruling(asked="extraction", said=Said.EXTRACTED, answer=str(n)))
        assert (await cache.get(n.to_bytes(4, "big"))).answer == str(n)
    await cache.close()

asyncio.run(main())
"""


def test_several_processes_write_one_cache(tmp_path: Path) -> None:
    file = tmp_path / "j.sqlite"
    started = [subprocess.Popen([sys.executable, "-c", WRITER, str(file)]) for _ in range(4)]
    assert [process.wait(120) for process in started] == [0, 0, 0, 0]
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM rulings").fetchone() == (100,)
    database.close()


def test_what_is_no_cache_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    text = tmp_path / "text"
    text.write_text("no database" * 200)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as database:
        database.execute(f"PRAGMA application_id = {_APPLICATION}")
        database.execute("CREATE TABLE rulings (id INTEGER PRIMARY KEY, said TEXT, judge TEXT)")
    database.close()
    for file in (other, text, newer, tmp_path):
        with pytest.raises(EvalkitError, match="cannot use the judge's cache"):
            asyncio.run(JudgeCache(file).open())
    assert text.read_text() == "no database" * 200


def test_a_damaged_row_is_said(tmp_path: Path) -> None:
    file = tmp_path / "j.sqlite"
    ruled(Scripted(GOOD), file)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE rulings SET ruling = 'x'")
    database.close()
    with pytest.raises(InfrastructureError, match="delete it"):
        ruled(Scripted(GOOD), file)


def trajectory(text: str, stop: StopReason = StopReason.ENDED) -> Trajectory:
    return Trajectory(prompt="?", stop=stop, turns=(Turn(text=text),))


def outcome(task: Task, judge: FakeJudge, sample: Sample, said: Trajectory) -> Outcome:
    async def main() -> Outcome:
        bench = Bench(task, judge)
        try:
            return await bench.outcome(sample, said)
        finally:
            bench.close()

    return asyncio.run(main())


def judge_of(said: Said, answer: str | None = None) -> FakeJudge:
    return FakeJudge(lambda question: Ruling(asked=question.asked.value, said=said, answer=answer, error="why"))


def samples() -> dict[str, Sample]:
    return {sample.id: sample for sample in mathvista().samples()}


def test_the_rules_go_first_and_what_only_reasons_gives_no_answer() -> None:
    task, rows = mathvista(), samples()
    judge = judge_of(Said.EXTRACTED, "20")
    for said in (
        trajectory("<answer>20</answer>"),
        trajectory("<answer>21</answer>"),
        trajectory(""),
        trajectory(f"<think>{PROSE['1']}"),
        trajectory(PROSE["1"], StopReason.LIMIT_TURNS),
        trajectory(PROSE["1"], StopReason.GAVE_UP),
    ):
        outcome(task, judge, rows["1"], said)
    assert not judge.asked
    found = outcome(task, judge, rows["1"], trajectory(f"<think>secret</think>{PROSE['1']}"))
    assert (found.verdict, found.reason, found.answer) == (Verdict.CORRECT, "judge", "20")
    assert judge.asked[0].response == PROSE["1"]
    assert judge.asked[0].form == "a whole number in digits"


def test_the_task_s_rule_scores_what_was_extracted() -> None:
    task, rows = mathvista(), samples()

    def found(id: str, said: Said, answer: str | None = None) -> Outcome:
        return outcome(task, judge_of(said, answer), rows[id], trajectory(PROSE.get(id, PROSE["1"])))

    assert found("1", Said.EXTRACTED, "21").verdict is Verdict.INCORRECT
    assert found("1", Said.EXTRACTED, "some").reason == "no_number"
    assert found("8", Said.EXTRACTED, "60%").reason == "percent"
    assert found("14", Said.EXTRACTED, WORDS["14"][1]).official_answer == "4:30"
    none = found("14", Said.NO_ANSWER)
    assert (none.verdict, none.reason) == (Verdict.UNPARSED, "judge_none")
    for said in (Said.UNPARSABLE, Said.UNAVAILABLE):
        failed = found("14", said)
        assert (failed.verdict, failed.error, failed.official) == (Verdict.JUDGE_ERROR, "why", None)


class Essay(Task):
    """A task whose answers only a judge can compare."""

    name = "essay"
    judge_for = Asked.EQUIVALENCE

    def samples(self) -> Iterable[Sample]:
        return (Sample(id="1", question="What is shown?", answer="a red mug"),)

    def score(self, sample: Sample, response: str) -> Outcome:
        verdict = Verdict.CORRECT if response == sample.answer else Verdict.INCORRECT
        return Outcome(verdict=verdict, answer=response, reason="whole", scorer="essay/1")


def test_equivalence_is_asked_where_the_rule_does_not_say_correct(tmp_path: Path) -> None:
    task = Essay(DataSource(kind="sample"), tmp_path)
    (sample,) = task.samples()
    judge = judge_of(Said.CORRECT)
    assert outcome(task, judge, sample, trajectory("a red mug")).ruling is None
    assert outcome(task, judge, sample, trajectory("a crimson cup")).verdict is Verdict.CORRECT
    assert [question.reference for question in judge.asked] == ["a red mug"]
    assert outcome(task, judge_of(Said.INCORRECT), sample, trajectory("a dog")).verdict is Verdict.INCORRECT
    assert outcome(task, judge_of(Said.NO_ANSWER), sample, trajectory("a dog")).verdict is Verdict.UNPARSED


def test_a_judge_or_a_task_that_raises_costs_one_row(tmp_path: Path) -> None:
    def broken(question: Question) -> Ruling:
        raise ZeroDivisionError("oh")

    found = outcome(mathvista(), FakeJudge(broken), samples()["1"], trajectory(PROSE["1"]))
    assert found.verdict is Verdict.JUDGE_ERROR
    assert "ZeroDivisionError: oh" in found.error

    class Bad(Essay):
        def after_judge(self, *_: Any) -> Outcome:
            raise KeyError("x")

    found = outcome(
        Bad(DataSource(kind="sample"), tmp_path), judge_of(Said.CORRECT), Sample(id="1", question="?"), trajectory("a")
    )
    assert found.verdict is Verdict.JUDGE_ERROR
    assert "task essay cannot score" in found.error


def test_scored_again_without_a_judge_its_stored_word_counts() -> None:
    task, rows = mathvista(), samples()
    judge = judge_of(Said.EXTRACTED, "20")
    said = trajectory(PROSE["1"])
    stored = Record(
        version=RECORD_VERSION, sample=rows["1"], trajectory=said, outcome=outcome(task, judge, rows["1"], said)
    )
    digest = identity_digest(judge.identity)
    assert scored_again(task, [stored], digest) == []
    for record, by in ((stored, "another"), (replace(stored, outcome=replace(stored.outcome, ruling=None)), digest)):
        (change,) = scored_again(task, [record], by)
        assert (change.new.outcome.verdict, change.new.outcome.error) == (Verdict.JUDGE_ERROR, NOT_ASKED)
    ruling = stored.outcome.ruling
    assert ruling is not None
    assert changed(stored, replace(stored.outcome, ruling=replace(ruling, seconds=9.0, cached=True))) is None


def test_rows_that_a_stopped_scoring_left_to_the_judge_still_wait_for_it() -> None:
    task, rows = mathvista(), samples()
    judge = judge_of(Said.EXTRACTED, "20")
    digest = identity_digest(judge.identity)

    def record(id: str, text: str, by: FakeJudge | None) -> Record:
        said = trajectory(text)
        found = outcome(task, by, rows[id], said) if by else outcome_of(task, rows[id], said)
        return Record(version=RECORD_VERSION, sample=rows[id], trajectory=said, outcome=found)

    judged, left, read = (
        record("1", PROSE["1"], judge),
        record("2", PROSE["2"], None),
        record("3", "<answer>A</answer>", None),
    )
    failed = record("14", PROSE["14"], judge_of(Said.UNAVAILABLE))
    assert unjudged_rows((judged, left, read, failed), task, digest) == [left, failed]
    assert unjudged_rows((judged, left, read, failed), task, "another") == [judged, left, failed]
    assert unjudged_rows((judged, left, read, failed), task) == [failed]


@pytest.mark.parametrize(
    "why", ["the cache breaks", "stopped at once", "stopped at once while it waits", "stopped again and again"]
)
def test_trajectories_that_wait_for_a_judge_are_kept_whatever_ends_the_run(tmp_path: Path, why: str) -> None:
    task = mathvista()
    (sample,) = [sample for sample in task.samples() if sample.id == "1"]

    class Slow(FakeJudge):
        async def rule(self, question: Question) -> Ruling:
            if why == "the cache breaks":
                raise InfrastructureError("disk full")
            await asyncio.sleep(600)
            raise AssertionError

    def record(outcome: Outcome) -> Record:
        said = trajectory(PROSE["1"])
        return Record(version=RECORD_VERSION, sample=sample, trajectory=said, outcome=outcome)

    def stop(task: asyncio.Task[object], times: int) -> None:
        task.cancel()
        if times > 1:
            asyncio.get_running_loop().call_soon(stop, task, times - 1)

    async def main(store: RunStore) -> None:
        bench = Bench(task, Slow(lambda question: Ruling(asked="extraction", said=Said.NO_ANSWER)))
        try:
            async with Writer(store, 4, lambda record: None) as writer, Desk(bench, writer, 4) as desk:
                await desk.put(sample, trajectory(PROSE["1"]), record)
                this, loop = asyncio.current_task(), asyncio.get_running_loop()
                assert this is not None
                if why == "stopped again and again":
                    stop(this, 5)
                    await asyncio.sleep(600)
                if why == "stopped at once":
                    raise asyncio.CancelledError
                if why == "stopped at once while it waits":
                    loop.call_later(0.1, this.cancel)
        finally:
            bench.close()

    with RunStore(tmp_path) as store, pytest.raises((InfrastructureError, asyncio.CancelledError)):
        asyncio.run(main(store))
    (kept,) = latest_records(tmp_path).values()
    assert kept.outcome.verdict is Verdict.JUDGE_ERROR
    assert "the same command asks it" in kept.outcome.error
    assert unjudged_rows([kept], task) == [kept]


def test_a_trajectory_that_comes_after_the_cache_broke_is_kept_too(tmp_path: Path) -> None:
    task = mathvista()
    samples = [sample for sample in task.samples() if sample.id in ("1", "2")]

    class Broken(FakeJudge):
        async def rule(self, question: Question) -> Ruling:
            raise InfrastructureError("disk full")

    def record(sample: Sample, outcome: Outcome) -> Record:
        said = trajectory(PROSE[sample.id])
        return Record(version=RECORD_VERSION, sample=sample, trajectory=said, outcome=outcome)

    async def main(store: RunStore) -> None:
        bench = Bench(task, Broken(lambda question: Ruling(asked="extraction", said=Said.NO_ANSWER)))
        try:
            async with Writer(store, 4, lambda record: None) as writer, Desk(bench, writer, 4) as desk:
                for sample in samples:
                    await desk.put(sample, trajectory(PROSE[sample.id]), partial(record, sample))
                    await desk.idle()
        finally:
            bench.close()

    with RunStore(tmp_path) as store, pytest.raises(InfrastructureError, match="disk full"):
        asyncio.run(main(store))
    assert [kept.outcome.verdict for kept in latest_records(tmp_path).values()] == [Verdict.JUDGE_ERROR] * 2
