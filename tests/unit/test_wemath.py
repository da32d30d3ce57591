from __future__ import annotations

import base64
import importlib.util
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.records import RECORD_VERSION, Outcome, Record, Sample, StopReason, Trajectory, Verdict
from evalkit.task import DataSource, HubDataset, Metric

FOLDER = Path(__file__).resolve().parents[2] / "tasks" / "wemath"
SAMPLE = FOLDER / "sample"


def load_module() -> Any:
    spec = importlib.util.spec_from_file_location("wemath_under_test", FOLDER / "task.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wemath = load_module()


def task(kind: str = "sample", **source: Any) -> Any:
    return wemath.WeMath(DataSource(kind=kind, **source), FOLDER)


def record(sample: Sample, outcome: Outcome, repeat: int = 0) -> Record:
    trajectory = Trajectory(prompt="", stop=StopReason.ENDED)
    return Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome, repeat=repeat)


def figures(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    assert len({metric.name for metric in metrics}) == len(metrics)
    return {metric.name: metric for metric in metrics}


def test_own_sample() -> None:
    samples = list(task().samples())
    assert len(samples) == task().expected_rows == 24
    assert len({sample.id for sample in samples}) == 24
    assert Counter(sample.category for sample in samples) == {"one-step": 17, "two-step": 4, "three-step": 3}
    assert len({sample.cluster for sample in samples}) == 7
    assert {sample.answer for sample in samples} == set("ABCDE")
    for sample in samples:
        assert sample.answer in sample.choices
        assert list(sample.choices) == sorted(sample.choices)
        assert sample.question.splitlines()[1:] == [f"{k}. {v}" for k, v in sample.choices.items()]
        (image,) = sample.images
        assert image.header.mime == "image/png"
        assert image.header.size < 10_000
        assert ("concept_category" in sample.metadata) == (sample.category == "one-step")


def test_the_sample_is_what_the_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("wemath_make_sample", FOLDER / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SAMPLE", tmp_path)
    module.main()
    for name in ("testmini.json", "knowledge_structure_nodes.json"):
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes()
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png")}
    assert names == {str(file.relative_to(SAMPLE)) for file in SAMPLE.rglob("*.png")}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("A. 1; B. 2;C. 3", {"A": "1", "B": "2", "C": "3"}),
        ("A. 10° B. 20° ;C. 30°; D. none", {"A": "10°", "B": "20°", "C": "30°", "D": "none"}),
        ("A. 1;B．2;C.3; F. none", {"A": "1", "B": "2", "C": "3", "F": "none"}),
        ("A. turn it about ;P.;B. move it to ;C.; C. no.; D. none",
         {"A": "turn it about ;P.", "B": "move it to ;C.", "C": "no.", "D": "none"}),
        ("A. one; two;B. two; three", {"A": "one; two", "B": "two; three"}),
        ("A. B; B. A; C. C", {"A": "B", "B": "A", "C": "C"}),
        ("A. it lies on D. B. it lies on E;C. no", {"A": "it lies on D.", "B": "it lies on E", "C": "no"}),
        ("", {}),
        ("; ;A.;", {}),
        ("no labels here", {}),
    ],
)  # fmt: skip
def test_options(text: str, options: dict[str, str]) -> None:
    assert wemath.parse_options(text) == options


@given(st.text() | st.text("AB. ;").map(lambda text: text * 20))
def test_options_of_any_text(text: str) -> None:
    options = wemath.parse_options(text)
    assert list(options) == sorted(options)
    assert all(value in text for value in options.values())


Change = Callable[[list[dict[str, Any]]], Any]


def edited(tmp_path: Path, change: Change) -> Any:
    """The own sample set with its rows changed, opened as a sample so that its size is not checked."""
    shutil.copytree(SAMPLE, tmp_path / "sample")
    rows = json.loads((SAMPLE / "testmini.json").read_text(encoding="utf-8"))
    change(rows)
    (tmp_path / "sample" / "testmini.json").write_text(json.dumps(rows), encoding="utf-8")
    return wemath.WeMath(DataSource(kind="sample"), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[4].pop("option"), "wemath: testmini.json lacks column 'option' (row 5, ID 2steps_2)"),
        (lambda rows: rows[4].pop("image_path"),
         "wemath: testmini.json lacks column 'image_path' (row 5, ID 2steps_2)"),
        (lambda rows: rows.append(dict(rows[0])), "wemath: a second row for ID 2steps_1, key 2steps_1 (row 25)"),
        (lambda rows: rows.pop(1), "wemath: problem 2steps_1 lacks 2steps_2"),
        (lambda rows: rows.append(rows[0] | {"key": "3steps_1"}),
         "wemath: problem 2steps_1 has parts of two- and of three-step problems"),
        (lambda rows: rows[3].update(key="4steps_1"),
         "wemath: testmini.json: unknown key '4steps_1' (row 4, ID 2steps_2)"),
        (lambda rows: rows[3].update(option="%$§"),
         "wemath: testmini.json: cannot read the options '%$§' (row 4, ID 2steps_2)"),
        (lambda rows: rows[3].update(option="A. 1; B. 2", answer="C"),
         "wemath: testmini.json: answer 'C' is not among options A, B (row 4, ID 2steps_2)"),
        (lambda rows: rows[3].update(answer=""),
         "wemath: testmini.json: answer '' is not among options A, B, C, D (row 4, ID 2steps_2)"),
        (lambda rows: rows[3].update(question=" "),
         "wemath: testmini.json: empty ID or question (row 4, ID 2steps_2)"),
        (lambda rows: rows[3].update(image_path="../testmini.json"),
         "wemath: '../testmini.json' is no path inside the data's folder (row 4, ID 2steps_2)"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(tmp_path: Path, change: Change, message: str) -> None:
    with pytest.raises(DataError) as error:
        edited(tmp_path, change).samples()
    assert str(error.value) == message


def test_missing_image_is_named(tmp_path: Path) -> None:
    opened = edited(tmp_path, lambda rows: None)
    (tmp_path / "sample" / "2steps" / "image" / "1-2.png").unlink()
    with pytest.raises(DataError, match=r"^wemath: no file 2steps/image/1-2\.png in .* \(row 2, ID 2steps_1\)$"):
        opened.samples()


def test_missing_or_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^wemath: no testmini\.json in"):
        task("folder", path=tmp_path).samples()
    with pytest.raises(DataError, match=r"give --data DIR or --data sample$"):
        task("generated").samples()
    opened = edited(tmp_path, lambda rows: None)
    (tmp_path / "sample" / "knowledge_structure_nodes.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(DataError, match="is no list of nodes"):
        opened.samples()
    (tmp_path / "sample" / "knowledge_structure_nodes.json").unlink()
    assert all("concept_category" not in sample.metadata for sample in opened.samples())


def test_empty_set(tmp_path: Path) -> None:
    opened = edited(tmp_path, lambda rows: rows.clear())
    assert list(opened.samples()) == []
    assert opened.expected_rows == 0
    assert all(metric.value is None and metric.n == 0 for metric in opened.metrics([]))


def test_a_folder_must_be_complete() -> None:
    opened = task("folder", path=SAMPLE)
    assert opened.expected_rows == 1740
    with pytest.raises(DataError) as error:
        opened.samples()
    assert str(error.value) == ("wemath: 4 2-step problems, not 360 (24 rows, not 1740); the first missing is 2steps_5")


def full_set() -> list[dict[str, Any]]:
    return [
        {"ID": f"{steps}steps_{i}", "key": key, "question": "How long is it?", "option": "A. 1; B. 2", "answer": "B",
         "knowledge concept": "c", "question number": 1}
        for steps, count in ((2, 360), (3, 165))
        for i in range(1, count + 1)
        for key in wemath.PARTS[steps]
    ]  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[dict[str, Any]]], Any]:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    image = (SAMPLE / "2steps" / "image" / "1-1.png").read_bytes()

    def make(rows: list[dict[str, Any]]) -> Any:
        cell = {"bytes": image, "path": "1.png"}
        table = datasets.Dataset.from_list([row | {"image_path": cell} for row in rows])
        table = table.cast_column("image_path", datasets.Image())
        (tmp_path / "hub" / "data").mkdir(parents=True)
        table.to_parquet(str(tmp_path / "hub" / "data" / "testmini-00000-of-00001.parquet"))
        return task("hub", hub=HubDataset(id=str(tmp_path / "hub"), split="testmini"))

    return make


def test_hub_schema(hub: Callable[[list[dict[str, Any]]], Any]) -> None:
    opened = hub(full_set())
    samples = list(opened.samples())
    assert len(samples) == opened.expected_rows == 1740
    first = samples[0]
    assert (first.id, first.answer, first.cluster) == ("2steps_1-2steps_1", "B", "2steps_1")
    assert first.question == "How long is it?\nA. 1\nB. 2"
    assert first.images[0].read() == (SAMPLE / "2steps" / "image" / "1-1.png").read_bytes()


def test_hub_set_must_be_complete(hub: Callable[[list[dict[str, Any]]], Any]) -> None:
    with pytest.raises(DataError, match=r"^wemath: 359 2-step problems, not 360 \(1737 rows, not 1740\).* 2steps_7$"):
        hub([row for row in full_set() if row["ID"] != "2steps_7"]).samples()


def test_hub_column_missing(hub: Callable[[list[dict[str, Any]]], Any]) -> None:
    with pytest.raises(DataError, match=r"lacks column 'option'$"):
        hub([{k: v for k, v in row.items() if k != "option"} for row in full_set()]).samples()


def test_vlmevalkits_table(tmp_path: Path) -> None:
    """The image stands in the first row as base64, and the others name that row."""
    image = (SAMPLE / "2steps" / "image" / "1-1.png").read_bytes()
    rows = [
        {"index": i, "image": "0" if i else base64.b64encode(image).decode(), "hint": None, **row}
        for i, row in enumerate(full_set())
    ]
    file = tmp_path / "WeMath.tsv"
    pd.DataFrame(rows).to_csv(file, sep="\t", index=False)
    samples = list(task("tsv", path=file).samples())
    assert len(samples) == 1740
    assert samples[0].question == "How long is it?\nA. 1\nB. 2"
    assert samples[1739].images[0].read() == image
    del rows[2]
    pd.DataFrame(rows).to_csv(file, sep="\t", index=False)
    with pytest.raises(DataError, match=r"^wemath: problem 2steps_1 lacks 2steps_multi$"):
        task("tsv", path=file).samples()


def test_both_rules() -> None:
    sample = next(iter(task().samples()))
    tagged = task().score(sample, "<answer>B</answer>")
    assert (tagged.verdict, tagged.answer, tagged.official, tagged.official_answer) == (
        Verdict.CORRECT, "B", False, None,
    )  # fmt: skip
    prose = task().score(sample, "Because it is so")
    assert (prose.verdict, prose.official, prose.official_answer) == (Verdict.UNPARSED, True, "B")
    assert tagged.scorer == "wemath/1"


@settings(deadline=None)
@given(st.text())
def test_scoring_never_raises(text: str) -> None:
    sample = Sample(id="x", question="", answer="A", choices={"A": "1", "B": "2"})
    assert not task().score(sample, text).verdict.is_error


def run(right: Callable[[Sample], bool], repeat: int = 0) -> list[Record]:
    """Records of the own sample set, answered in a form that both rules read."""
    opened = task()
    found = []
    for sample in opened.samples():
        letter = sample.answer if right(sample) else next(c for c in sample.choices if c != sample.answer)
        found.append(record(sample, opened.score(sample, f"<Answer>: {letter}"), repeat))
    return found


def test_all_right_and_all_wrong() -> None:
    good = figures(task().metrics(run(lambda sample: True)))
    for prefix in ("", "official."):
        for name in ("plain_accuracy", "s1", "s2", "s3", "score_strict", "score_loose", "cm_strict", "cm_loose"):
            assert good[prefix + name].value == 1
        for name in ("ik", "ig", "rm_strict", "rm_loose"):
            assert good[prefix + name].value == 0
    assert (good["s1"].n, good["s2"].n, good["s3"].n, good["ik"].n) == (17, 4, 3, 7)
    bad = figures(task().metrics(run(lambda sample: False)))
    assert bad["ik"].count == 7
    assert bad["score_strict"].value == 0
    assert (bad["rm_strict"].value, bad["rm_strict"].n, bad["rm_strict"].count) == (None, 0, 0)
    assert "0/0" in bad["rm_loose"].note


def test_the_four_kinds() -> None:
    def right(sample: Sample) -> bool:
        key = str(sample.metadata["key"])
        return {
            "2steps_1": True,  # CM
            "2steps_2": key != "2steps_multi",  # IG
            "2steps_3": key == "2steps_1",  # IK
            "2steps_4": key != "2steps_1",  # RM strict, CM loose
            "3steps_1": key == "3steps_multi",  # RM strict and loose
            "3steps_2": key != "3steps_3",  # RM strict, CM loose
            "3steps_3": False,  # IK
        }[sample.cluster]

    found = figures(task().metrics(run(right)))
    counts = {name: found[name].count for name in found if found[name].unit == "share" and "." not in name}
    assert counts == {
        "plain_accuracy": 3 + 2 + 1 + 2 + 1 + 3, "s1": 2 + 2 + 1 + 1 + 2, "s2": 2, "s3": 2, "ik": 2, "ig": 1,
        "cm_strict": 1, "cm_loose": 3, "rm_strict": 3, "rm_loose": 1, "score_strict": 1.5, "score_loose": 3.5,
    }  # fmt: skip
    assert (found["rm_strict"].n, found["rm_strict"].value) == (4, 0.75)
    assert found["score_loose"].value == 0.5
    for name, metric in found.items():
        if not name.startswith("official."):
            assert found[f"official.{name}"] == Metric(
                **{field: getattr(metric, field) for field in metric.__struct_fields__} | {"name": f"official.{name}"}
            )


def test_errors_and_missing_rows_make_a_problem_incomplete() -> None:
    records = run(lambda sample: True)
    broken = record(records[0].sample, Outcome(verdict=Verdict.ENGINE_ERROR))
    limited = record(records[3].sample, Outcome(verdict=Verdict.LIMIT_TOKENS))
    found = figures(task().metrics([broken, *records[1:3], limited, *records[4:-1]]))
    for prefix in ("", "official."):
        assert found[prefix + "cm_strict"].n == 5
        assert found[prefix + "cm_strict"].count == 4
        assert found[prefix + "rm_strict"].count == 1
        assert found[prefix + "score_strict"].note == "2 of 7 problems incomplete"
        assert (found[prefix + "s1"].n, found[prefix + "s1"].count) == (16, 15)
        assert found[prefix + "s1"].note == "1 of 17 rows missing or without a score"
        assert (found[prefix + "s3"].n, found[prefix + "s3"].value) == (2, 1)
        assert (found[prefix + "plain_accuracy"].n, found[prefix + "plain_accuracy"].count) == (22, 21)


def test_repeats_count_each() -> None:
    found = figures(task().metrics(run(lambda sample: True) + run(lambda sample: False, repeat=1)))
    assert (found["score_strict"].n, found["score_strict"].value) == (14, 0.5)
    assert found["score_strict"].note == ""


def test_a_later_record_supersedes() -> None:
    records = run(lambda sample: False) + run(lambda sample: True)
    assert figures(task().metrics(records))["score_strict"].value == 1


def test_categories_are_means_over_concepts() -> None:
    found = figures(task().metrics(run(lambda sample: sample.metadata["concept"] != "Third angle of a triangle")))
    angles = found["category.Angles in figures"]
    assert (angles.value, angles.n, angles.note) == (pytest.approx(2 / 3), 5, "unweighted mean over 3 concepts")
    assert found["official.category.Cubes"].value == 1
