"""The official scripts' figures on the real data set; skipped where that is not at hand."""

from __future__ import annotations

import importlib.util
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from evalkit.records import RECORD_VERSION, Record, Sample, StopReason, Trajectory, Verdict
from evalkit.task import DataSource

REPO = Path(__file__).resolve().parents[2]
DATA = REPO.parent / "shared" / "data" / "wemath"

pytestmark = pytest.mark.skipif(
    not (DATA / "testmini.json").is_file(), reason="the We-Math data set is not in ../shared/data/wemath"
)


def load_module() -> Any:
    spec = importlib.util.spec_from_file_location("wemath_golden", REPO / "tasks" / "wemath" / "task.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wemath = load_module()


def golden(name: str) -> Any:
    return json.loads((DATA / "golden" / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def task() -> Any:
    return wemath.WeMath(DataSource(kind="folder", path=DATA), REPO / "tasks" / "wemath")


@pytest.fixture(scope="module")
def samples(task: Any) -> list[Sample]:
    return list(task.samples())


def test_every_row_reads(task: Any, samples: list[Sample]) -> None:
    raw = json.loads((DATA / "testmini.json").read_text(encoding="utf-8"))
    assert len(samples) == task.expected_rows == len(raw) == 1740
    assert len({sample.id for sample in samples}) == 1740
    assert len({sample.cluster for sample in samples}) == 525
    for sample, row in zip(samples, raw, strict=True):
        letters = list(sample.choices)
        assert sample.answer in letters
        assert letters == sorted(letters)
        assert letters[:3] == ["A", "B", "C"]
        assert all(sample.choices.values())
        shown = "".join(f"{letter}.{text}" for letter, text in sample.choices.items())
        # Nothing of the official string is lost or added, except the semicolons and spaces between options.
        assert re.sub(r"[\s;]", "", shown) == re.sub(r"[\s;]", "", row["option"]).replace("．", ".")


def test_rows_open_fast_and_images_are_not_read(task: Any) -> None:
    best = min(_seconds(task) for _ in range(3))
    assert best < 0.3


def _seconds(task: Any) -> float:
    start = time.process_time()
    assert len(list(task.samples())) == 1740
    return time.process_time() - start


def test_misnamed_images_have_their_true_type(samples: list[Sample]) -> None:
    types = [sample.images[0].header.mime for sample in samples]
    assert types.count("image/jpeg") == 238
    assert types.count("image/png") == 1740 - 238


def test_official_parse_of_every_recorded_case() -> None:
    cases = golden("answer_parsing_cases.json")
    assert len(cases) == 36
    for case in cases:
        assert wemath.official_answer(case["response"]) == case["processed_answer"], case


@pytest.mark.parametrize("name", ["all_correct", "all_A"])
def test_every_figure(task: Any, samples: list[Sample], name: str) -> None:
    by_place = {(sample.metadata["ID"], sample.metadata["key"]): sample for sample in samples}
    records = []
    for row in golden(f"{name}.input.json"):
        sample = by_place[row["ID"], row["key"]]
        outcome = task.score(sample, row["response"])
        trajectory = Trajectory(prompt="", stop=StopReason.ENDED)
        records.append(Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome))
    expected = golden(f"{name}.expected.json")
    assert sum(record.outcome.official_answer is None for record in records) == expected["processed_answer_none"]
    assert sum(record.outcome.verdict is Verdict.CORRECT for record in records) == expected["row_correct"]

    for steps in (2, 3):
        part = [record for record in records if record.sample.cluster.startswith(str(steps))]
        kinds = {metric.name: metric for metric in task.metrics(part)}
        assert kinds["ik"].n == expected[f"n_problems_{steps}step"]
        names = {"1_loose": "rm_loose", "1_strict": "rm_strict", "2": "ig", "3": "ik"}
        names |= {"4_loose": "cm_loose", "4_strict": "cm_strict"}
        for rows, kind in names.items():
            assert kinds[kind].count == expected["filtered_counts"][f"steps{steps}_filtered_rows_{rows}"]

    found = {metric.name: metric for metric in task.metrics(records)}
    assert not any("incomplete" in metric.note for metric in found.values())
    counts = expected["total_counts"]
    # These responses have an answer that both rules read alike.
    for prefix in ("", "official."):

        def check(name: str, text: str, prefix: str = prefix) -> None:
            metric = found[prefix + name]
            assert metric.value is not None
            share = f"{metric.value:.2%}"
            assert text == (share if "(" not in text else f"{share} ({metric.count:g})"), name

        assert found[prefix + "plain_accuracy"].value == expected["row_accuracy"]
        assert found[prefix + "plain_accuracy"].n == expected["n_rows"]
        for step, key in (("s1", "one_step"), ("s2", "two_step"), ("s3", "three_step")):
            assert (found[prefix + step].count, found[prefix + step].n) == tuple(expected[key].values())
        for mode in ("strict", "loose"):
            assert found[f"{prefix}score_{mode}"].value == pytest.approx(expected[f"score_{mode}_exact"], abs=1e-12)
            kinds = ("ik", "ig", f"cm_{mode}", f"rm_{mode}")
            assert sum(found[prefix + kind].count or 0 for kind in kinds) == expected[f"{mode}_sum_check"] == 525
            assert found[f"{prefix}cm_{mode}"].count == counts[f"CompleteMastery_{mode}"]
            assert found[f"{prefix}rm_{mode}"].count == counts[f"RoteMemorization_{mode}"]
            check(f"cm_{mode}", expected["rates"][f"CompleteMastery_{mode}_rate"])
            check(f"rm_{mode}", expected["rates"][f"RoteMemorization_{mode}_rate"])
        assert found[prefix + "ik"].count == counts["InsufficientKnowledge"]
        assert found[prefix + "ig"].count == counts["InadequateGeneralization"]

        dimensions = {"Score": "score", "CompleteMastery": "cm", "RoteMemorization": "rm"}
        for column, text in expected["four_dimensional_csv"].items():
            if column == "Model":
                continue
            kind, mode = column.removesuffix(")").lower().split(" (")
            kind = {"insufficientknowledge": "ik", "inadequategeneralization": "ig"}.get(kind, kind)
            kind = {key.lower(): f"{value}_{mode}" for key, value in dimensions.items()}.get(kind, kind)
            check(kind, text)
        steps = {"One-step(S1)": "s1", "Two-step(S2)": "s2", "Three-step(S3)": "s3"}
        categories = 0
        for column, text in expected["accuracy_csv"].items():
            if column != "Model":
                check(steps.get(column, f"category.{column}"), text)
                categories += column not in steps
        assert categories == sum(name.startswith(f"{prefix}category.") for name in found) == 12
