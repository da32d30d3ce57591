"""Many words to lmms-eval in one: what is scored or written ahead is what would be asked for one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit import DataSource, Outcome, Sample, Task, Verdict
from evalkit.agents import Agent
from evalkit.agents.limits import Limits
from evalkit.agents.protocols import protocol
from evalkit.bridges.lmms.child import Child, Harness
from evalkit.bridges.lmms.guest import serve
from evalkit.bridges.lmms.install import Install
from evalkit.bridges.lmms.listing import Listed
from evalkit.engines.base import Sampling
from evalkit.engines.scripted import ScriptedEngine
from evalkit.errors import EvalkitError
from evalkit.records import Record
from evalkit.runs.agents import ArmAgents
from evalkit.runs.arms import Arms, Job
from evalkit.runs.runner import run_task
from evalkit.runs.scheduler import Stop
from evalkit.runs.store import RunStore

SCORED = {"items": {"acc": 1.0}, "metric": "acc", "value": 1.0, "guessed": False}


class _Task(Task):
    name = "heard"

    def __init__(self, fails: bool = False) -> None:
        super().__init__(DataSource(kind="generated"), Path())
        self.fails = fails
        self.heard: list[tuple[str, list[str]]] = []

    def samples(self) -> list[Sample]:
        return [Sample(id=str(i), question="?", images=(), answer=str(i)) for i in range(6)]

    def expect(self, answers: Sequence[tuple[Sample, str]]) -> None:
        self.heard.append(("expect", [sample.id for sample, _ in answers]))
        if self.fails:
            raise EvalkitError("not now")

    def score(self, sample: Sample, response: str) -> Outcome:
        self.heard.append(("score", [sample.id]))
        return Outcome(verdict=Verdict.CORRECT, scorer="heard/1")


@pytest.mark.parametrize("fails", [False, True])
async def test_a_task_hears_of_every_response_before_it_scores_it(tmp_path: Path, fails: bool) -> None:
    task = _Task(fails)
    engine = ScriptedEngine(["<answer>B</answer>"])
    agent = Agent(engine=engine, protocol=protocol("direct", ()), tools={}, sampling=Sampling(), limits=Limits())
    stored: list[Record] = []
    await engine.start()
    with RunStore(tmp_path) as store:
        await run_task(
            agents=ArmAgents(agent, Arms(), None),
            task=task,
            jobs=[Job(sample, "agent") for sample in task.samples()],
            store=store,
            stored=stored.append,
            concurrency=4,
            stop=Stop(),
        )
    assert [record.outcome.verdict for record in stored] == [Verdict.CORRECT] * 6
    expected: list[str] = []
    for kind, names in task.heard:
        if kind == "expect":
            assert expected == []
            expected = list(names)
        else:
            assert names == [expected.pop(0)]
    assert len([names for kind, names in task.heard if kind == "expect"]) < 6


class _Scoring:
    def score(self, index: int, text: str) -> dict[str, Any]:
        if text == "bad":
            raise KeyError("no such column")
        return {**SCORED, "items": {"row": index}}


class _Documents:
    def __init__(self) -> None:
        self.saved: list[int] = []

    def __len__(self) -> int:
        return 9

    def save(self, index: int, folder: str) -> None:
        if index == 5:
            raise OSError("no picture")
        self.saved.append(index)


@pytest.fixture
def server() -> serve.Server:
    made = object.__new__(serve.Server)
    made.tasks = {"t": (_Documents(), _Scoring())}
    return made


def test_one_that_fails_costs_no_other_of_its_batch(server: serve.Server) -> None:
    found = server.scores("t", [(0, "A"), (1, "bad"), (2, "C")])["scores"]
    assert found[0]["items"] == {"row": 0}
    assert found[1] == {"error": "'no such column'", "kind": "KeyError"}
    assert found[2]["items"] == {"row": 2}


def test_a_slow_scorer_gets_few_at_a_time(server: serve.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(i, "A") for i in range(4)]
    assert len(server.scores("t", rows)["scores"]) == 4
    monkeypatch.setattr(serve, "_LONG", -1.0)
    assert server.scores("t", rows)["scores"] == []


def test_images_of_the_next_documents_are_written_too(server: serve.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_AHEAD", 60.0)
    server.images("t", 2, "folder")
    # the sixth has none; that is said when it is asked for
    assert server.tasks["t"][0].saved == [2, 3, 4]
    with pytest.raises(OSError, match="no picture"):
        server.images("t", 5, "folder")


class _Process:
    """What a process would reply."""

    def __init__(self, *replies: dict[str, Any]) -> None:
        self.loaded = {"t/": None}
        self.asked: list[tuple[Any, ...]] = []
        self.replies = list(replies)

    def ask(self, question: tuple[Any, ...], seconds: float) -> dict[str, Any]:
        self.asked.append((question[0], *question[2:]))
        return self.replies.pop(0)

    def end(self) -> None:
        """It is no more."""


def _child(process: _Process, monkeypatch: pytest.MonkeyPatch) -> Child:
    monkeypatch.setattr(Harness, "running", lambda self: process)
    return Child(Install("python", "0.7.3", Path()), Listed(name="t", file="t.yaml"))


def test_expected_responses_are_scored_in_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    process = _Process({"scores": [SCORED, {"error": "KeyError", "kind": "KeyError"}]}, SCORED, SCORED)
    child = _child(process, monkeypatch)
    child.expect([(0, "A"), (1, "B"), (2, "C")])
    assert child.score(0, "A").value == 1
    with pytest.raises(EvalkitError, match="task lmms:t: KeyError"):
        child.score(1, "B")
    assert len(process.asked) == 1
    # there was no time for the third, and of the first another response was never expected
    child.score(2, "C")
    child.score(0, "B")
    assert process.asked[1:] == [("score", 2, "C"), ("score", 0, "B")]


def test_a_process_that_dies_of_a_batch_is_asked_again_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = {"error": "it died", "dead": True}
    process = _Process(dead, SCORED, dead, dead, SCORED)
    child = _child(process, monkeypatch)
    child.expect([(0, "A"), (1, "B")])
    assert child.score(0, "A").value == 1
    for _ in range(2):
        with pytest.raises(EvalkitError, match="it died"):
            child.score(1, "B")
    # the batch is no third death
    assert child.score(2, "C").value == 1


def test_a_single_response_is_asked_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    process = _Process(SCORED)
    child = _child(process, monkeypatch)
    child.expect([(0, "A")])
    child.score(0, "A")
    assert [name for name, *_ in process.asked] == ["score"]
