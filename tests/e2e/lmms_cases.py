"""Recorded responses for both evalkit and lmms-eval's scorers, and how both are asked."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.bridges.deepeyes import read_recording
from evalkit.content import find_tasks, open_task, task_named
from evalkit.records import Outcome, Sample, Verdict
from evalkit.task import Task
from tests.conftest import ROOT, SHARED
from tests.parity import mathvista_agreement as mathvista

SCORERS = ROOT / "benchmarks/peers/lmms_scorers.py"
DATA = SHARED / "data"
LOGS = {
    "first": "ds4_bugfree/global_step_48/result_{}_tmp_acc.jsonl",
    "second": "deepeyes_7b_rerun/result_{}_deepeyes_acc.jsonl",
}
CATEGORIES = ("direct_attributes", "relative_position")


class Case(NamedTuple):
    """One response for both.

    Attributes:
        group: the table's row.
        task: the name of lmms-eval's scorer.
        doc: the row as lmms-eval's loader gives it.
        outcome: evalkit's verdict.
        judge: what lmms-eval's judge says; None where it cannot be reached.
    """

    group: str
    task: str
    id: str
    doc: dict[str, Any]
    response: str
    outcome: Outcome
    judge: str | None = None


class Pair(NamedTuple):
    """A case with lmms-eval's verdict: right, not right, or None where its scorer raised `error`."""

    case: Case
    right: bool | None
    answer: str | None
    error: str

    @property
    def ours(self) -> bool:
        """Whether evalkit says right."""
        return self.case.outcome.verdict is Verdict.CORRECT

    @property
    def differ(self) -> bool:
        """Whether exactly one says right."""
        return self.ours is not (self.right is True)


@cache
def opened(name: str) -> Task:
    """One of evalkit's tasks; its rows are not read."""
    return open_task(task_named(name, find_tasks()), "sample")


def vstar_cases() -> Iterator[Case]:
    """Both recorded runs, through both of lmms-eval's tasks, and once with Metis's tags of reasoning."""
    task = opened("vstar")
    for run, pattern in LOGS.items():
        files = [DATA / "vstar/deepeyes_logs" / pattern.format(category) for category in CATEGORIES]
        for record in read_recording(files, task).records:
            sample, response = record.sample, record.trajectory.response
            doc = {
                "text": sample.question,
                "label": sample.answer,
                "category": sample.category,
                "question_id": sample.id,
            }
            retagged = response.replace("<think>", "<reason>").replace("</think>", "</reason>")
            for group, scorer, text in (
                ("V*Bench", "vstar_bench", response),
                ("V*Bench, `<reason>` for `<think>`", "vstar_bench", retagged),
                ("V*Bench, reasoning task", "vstar_bench_reasoning", response),
            ):
                yield Case(group, scorer, f"{run} {sample.id}", doc, text, task.score(sample, text))


def hrbench_cases() -> Iterator[Case]:
    """The recorded run on the 4K set."""
    task = opened("hrbench_4k")
    log = DATA / "hrbench/deepeyes_logs/result_hr_bench_4k_deepeyes.jsonl"
    for index, record in enumerate(read_recording([log], task).records):
        sample, response = record.sample, record.trajectory.response
        doc = {
            "question": sample.question,
            **sample.choices,
            "answer": sample.answer,
            "category": sample.category,
            "cycle_category": str(index % 4),
            "index": index,
        }
        yield Case("HR-Bench 4K", "hrbench4k", sample.id, doc, response, task.score(sample, response))


def mathvista_cases() -> Iterator[Case]:
    """All recorded responses: without a judge, with the recorded extraction as the judge's word, and by tags."""
    task = opened("mathvista")
    for model in mathvista.MODELS:
        for pid, row in mathvista.recorded(model).items():
            sample, response = mathvista.samples()[pid], str(row["response"])
            outcome = task.score(sample, response)
            id = f"{model} {pid}"
            extraction = str(row["extraction"])
            doc = mathvista_doc(sample)
            common = (id, doc, response, outcome)
            yield Case("MathVista, no judge", "mathvista_testmini_format", *common)
            yield Case("MathVista, recorded judge", "mathvista_testmini_format", *common, extraction)
            yield Case("MathVista, reasoning task", "mathvista_testmini_cot_reasoning", *common)
            if row["answer_type"] == "float":
                # as the hub's data set has it: a column of float64
                hub = {**doc, "precision": float(row["precision"])}
                group = "MathVista, decimals as the hub has them"
                yield Case(group, "mathvista_testmini_format", id, hub, response, outcome, extraction)


def mathvista_doc(sample: Sample) -> dict[str, Any]:
    """A sample as lmms-eval's row, with the decimal places as a whole number."""
    return {
        "pid": sample.id,
        "question": sample.question,
        "query": sample.question,
        "choices": list(sample.choices.values()),
        "answer": sample.choices.get(sample.answer, sample.answer),
        "question_type": "multi_choice" if sample.choices else "free_form",
        "answer_type": sample.metadata["answer_type"],
        "precision": sample.metadata.get("precision"),
        "unit": sample.metadata.get("unit"),
        "metadata": {},
    }


def wemath_doc(answer: str, options: str = "") -> dict[str, Any]:
    """A row of lmms-eval's We-Math of which the scorer needs no more than the answer."""
    names = ("ID", "split", "knowledge concept", "question", "key", "question number", "knowledge concept description")
    return dict.fromkeys(names, "") | {"option": options, "answer": answer}


def wemath_cases() -> Iterator[Case]:
    """We-Math's own answer format: every response right, and every response "A"."""
    task = opened("wemath")
    golden = DATA / "wemath/golden"
    options = {letter: f"option {letter}" for letter in "ABCDEFG"}
    for name in ("all_correct", "all_A"):
        for row in json.loads((golden / f"{name}.input.json").read_text(encoding="utf-8")):
            sample = Sample(id=f"{row['ID']}-{row['key']}", question="", choices=options, answer=row["answer"])
            outcome = task.score(sample, row["response"])
            doc = wemath_doc(row["answer"])
            group = "We-Math, its own format"
            yield Case(group, "wemath_testmini_reasoning", f"{name} {sample.id}", doc, row["response"], outcome)


def run(cases: list[Case], python: str | Path) -> list[Pair]:
    """lmms-eval's verdicts on the cases, from a Python that has lmms-eval."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "cases.jsonl"), Path(folder, "verdicts.jsonl")
        with given.open("w", encoding="utf-8") as out:
            for case in cases:
                line = {"task": case.task, "id": case.id, "doc": case.doc, "response": case.response}
                print(json.dumps(line | ({} if case.judge is None else {"judge": case.judge})), file=out)
        subprocess.run([str(python), str(SCORERS), str(given), str(found)], check=True, cwd=folder)
        version, *verdicts = map(json.loads, found.read_text(encoding="utf-8").splitlines())
    assert version == {"lmms_eval": "0.7.3"}, version
    pairs = []
    for case, verdict in zip(cases, verdicts, strict=True):
        assert (case.task, case.id) == (verdict["task"], verdict["id"])
        pairs.append(Pair(case, verdict["right"], verdict["answer"], verdict["error"]))
    return pairs


def recorded_cases() -> list[Case]:
    """Every recorded response."""
    return [*vstar_cases(), *hrbench_cases(), *mathvista_cases(), *wemath_cases()]
