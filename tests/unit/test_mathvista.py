from __future__ import annotations

import base64
import csv
import importlib
import importlib.util
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.content import find_tasks, open_task, task_named
from evalkit.errors import DataError
from evalkit.records import RECORD_VERSION, Outcome, Record, Sample, StopReason, Trajectory, Verdict
from evalkit.task import DataSource, HubDataset, Metric, Task

FOLDER = Path(__file__).resolve().parents[2] / "tasks" / "mathvista"
SAMPLE = FOLDER / "sample"
KIND: Any = find_tasks()["mathvista"].kind
query, official, rows_of = (
    importlib.import_module(f"{KIND.__module__}.{name}") for name in ("query", "official", "rows")
)

Row = dict[str, Any]
Change = Callable[[dict[str, Row]], Any]


def task(kind: str = "sample", **source: Any) -> Any:
    return KIND(DataSource(kind=kind, **source), FOLDER)


@pytest.fixture(scope="module")
def own() -> dict[str, Sample]:
    return {sample.id: sample for sample in task().samples()}


def of_kind(own: dict[str, Sample], answer_type: str, precision: int | None = None) -> Sample:
    return next(
        sample
        for sample in own.values()
        if (sample.metadata["answer_type"], sample.metadata.get("precision")) == (answer_type, precision)
    )


def test_own_sample(own: dict[str, Sample]) -> None:
    assert len(own) == task().expected_rows == 30
    kinds = Counter((s.metadata["answer_type"], s.metadata.get("precision")) for s in own.values())
    assert kinds == {("text", None): 11, ("integer", None): 10, ("float", 1): 4, ("float", 2): 3, ("list", None): 2}
    assert {len(sample.choices) for sample in own.values()} == {0, 2, 3, 4, 5, 8}
    assert {sample.metadata.get("unit") for sample in own.values()} == {None, "$", "minutes", "years", "°C"}
    assert len({sample.category for sample in own.values()}) == 5
    for sample in own.values():
        assert sample.question.startswith("Hint: Please answer the question")
        (image,) = sample.images
        assert image.header.mime == "image/png"
        assert image.header.size < 10_000


def test_the_sample_is_what_the_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("mathvista_make_sample", FOLDER / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SAMPLE", tmp_path)
    module.main()
    assert (tmp_path / "testmini.json").read_bytes() == (SAMPLE / "testmini.json").read_bytes()
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png")}
    assert names == {str(file.relative_to(SAMPLE)) for file in SAMPLE.rglob("*.png")}


@pytest.mark.parametrize("name", ["MathVista_MINI", "mathvista_testmini", "mathvista_testmini_format"])
def test_other_harnesses_names(name: str) -> None:
    assert task_named(name, find_tasks()).name == "mathvista"


def test_prompts() -> None:
    text = query.query(("text", None), "Which is larger? ", "", {"A": "the left", "B": "the right "})
    assert text == (
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\n"
        "Question: Which is larger? \nChoices:\n(A) the left\n(B) the right"
    )
    text = query.query(("float", 2), "How long is it?", "cm", {})
    assert text.endswith("with two decimal places and provide the final value, e.g., 1.23, 1.34, 1.45, at the end."
                         "\nQuestion: How long is it? (Unit: cm)")  # fmt: skip
    for kind in query.HINTS:
        assert query.kind_of(query.query(kind, "?", "", {})) == kind
    assert query.kind_of("Question: ?") is None


CHOICES = {"A": "50°", "B": "60°", "C": "70°", "D": "7°"}


@pytest.mark.parametrize(
    ("extraction", "answer_type", "precision", "compared"),
    [
        ("B", "text", None, "60°"),
        ("  B ", "text", None, "60°"),
        ("(c) 70", "text", None, "70°"),
        ("(A) or (B)", "text", None, "50°"),
        ("70°", "text", None, "70°"),
        ("b", "text", None, "7°"),
        ("B.", "text", None, "7°"),
        ("(E)", "text", None, "7°"),
        ("none of them", "text", None, "50°"),
        ("", "text", None, "7°"),
        ("18", "integer", None, "18"),
        ("18.0", "integer", None, "18"),
        ("3.9", "integer", None, "3"),
        ("-0.5", "integer", None, "0"),
        (" 1e3 ", "integer", None, "1000"),
        ("1,000", "integer", None, None),
        ("18 cm", "integer", None, None),
        ("inf", "integer", None, None),
        ("nan", "integer", None, None),
        ("", "integer", None, None),
        ("1.25", "float", 1, "1.2"),
        ("1.35", "float", 1, "1.4"),
        ("5", "float", 1, "5.0"),
        ("5", "float", 2, "5.0"),
        ("x", "float", 1, None),
        ("[1, 2]", "list", None, "[1, 2]"),
        ("[1,2]", "list", None, "[1,2]"),
        ("", "list", None, ""),
        ("1" * 10_001, "integer", None, None),
        ("x" * 10_001, "text", None, None),
    ],
)
def test_official_normalisation(extraction: str, answer_type: str, precision: int | None, compared: str | None) -> None:
    choices = CHOICES if answer_type == "text" else {}
    assert official.normalise(extraction, answer_type, choices, precision) == compared


def test_of_two_choices_equally_near_the_official_rule_takes_the_first() -> None:
    assert official.normalise("?", "text", {"A": "ab", "B": "c", "C": "d"}, None) == "c"


@pytest.mark.parametrize(
    ("response", "answer_type", "extraction"),
    [
        ("", "text", ""),
        ("60°", "text", "60°"),
        ("60", "text", None),
        ("18", "integer", "18"),
        (" 18\n", "integer", "18"),
        ("18.5", "integer", None),
        ("18", "float", "18.0"),
        ("It is 18", "float", None),
        ("[1, 2]", "list", None),
        ("9" * 5000, "integer", None),
        ("9" * 20_000, "float", None),
    ],
)
def test_what_the_official_scripts_extract_without_their_judge(
    response: str, answer_type: str, extraction: str | None
) -> None:
    choices = CHOICES if answer_type == "text" else {}
    assert official.quick_extraction(response, answer_type, choices) == extraction


def table_distance(first: str, second: str) -> int:
    line = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        before, line[0] = line[0], i
        for j, other in enumerate(second, 1):
            before, line[j] = line[j], min(line[j] + 1, line[j - 1] + 1, before + (one != other))
    return line[-1]


@given(st.text("abc", max_size=80), st.text("abcd", max_size=90))
def test_edit_distance(first: str, second: str) -> None:
    assert official.distance(first, second) == table_distance(first, second)


@given(st.text(), st.sampled_from(["text", "integer", "float", "list"]))
def test_the_official_rule_takes_any_text(text: str, answer_type: str) -> None:
    official.normalise(text, answer_type, CHOICES if answer_type == "text" else {}, 1)


def edited(tmp_path: Path, change: Change) -> Any:
    """The own sample set with its rows changed, opened as a sample so that its size is not checked."""
    shutil.copytree(SAMPLE, tmp_path / "sample")
    rows = json.loads((SAMPLE / "testmini.json").read_text(encoding="utf-8"))
    change(rows)
    (tmp_path / "sample" / "testmini.json").write_text(json.dumps(rows), encoding="utf-8")
    return KIND(DataSource(kind="sample"), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows["4"].pop("answer"), "mathvista: testmini.json lacks column 'answer' (row 4, pid 4)"),
        (lambda rows: rows["4"].pop("image"), "mathvista: testmini.json lacks column 'image' (row 4, pid 4)"),
        (lambda rows: rows["4"].update(answer=math.nan),
         "mathvista: testmini.json: column 'answer' is float, not text (row 4, pid 4)"),
        (lambda rows: rows["4"].update(metadata=[]),
         "mathvista: testmini.json: column 'metadata' is list, not an object (row 4, pid 4)"),
        (lambda rows: rows["4"].update(pid="5"), "mathvista: testmini.json: row '4' has pid '5'"),
        (lambda rows: rows["4"]["metadata"].update(split="test"),
         "mathvista: testmini.json: split 'test', not sample (row 4, pid 4)"),
        (lambda rows: rows["4"].update(question=" "), "mathvista: testmini.json: empty question (row 4, pid 4)"),
        (lambda rows: rows["4"].update(answer="grapes"),
         "mathvista: testmini.json: answer 'grapes' is not among the choices (row 4, pid 4)"),
        (lambda rows: rows["4"].update(choices=None),
         "mathvista: testmini.json: column 'choices' is no list of texts (row 4, pid 4)"),
        (lambda rows: rows["4"].update(choices=["figs", 2]),
         "mathvista: testmini.json: column 'choices' is no list of texts (row 4, pid 4)"),
        (lambda rows: rows["4"].update(choices=["figs"]), "mathvista: testmini.json: 1 choices (row 4, pid 4)"),
        (lambda rows: rows["4"].update(answer_type="integer"),
         "mathvista: testmini.json: unknown question_type/answer_type multi_choice/integer (row 4, pid 4)"),
        (lambda rows: rows["1"].update(answer="20.5"),
         "mathvista: testmini.json: answer '20.5' is no integer (row 1, pid 1)"),
        (lambda rows: rows["1"].update(answer="nan"),
         "mathvista: testmini.json: answer 'nan' is no integer (row 1, pid 1)"),
        (lambda rows: rows["5"].update(answer=""), "mathvista: testmini.json: answer '' is no float (row 5, pid 5)"),
        (lambda rows: rows["5"].update(precision=None),
         "mathvista: testmini.json: a float answer without precision (row 5, pid 5)"),
        (lambda rows: rows["5"].update(precision=math.nan),
         "mathvista: testmini.json: a float answer without precision (row 5, pid 5)"),
        (lambda rows: rows["5"].update(precision=1.5),
         "mathvista: testmini.json: precision '1.5' is neither 1 nor 2 (row 5, pid 5)"),
        (lambda rows: rows["6"].update(answer="2013 and 2014"),
         "mathvista: testmini.json: answer '2013 and 2014' is no list (row 6, pid 6)"),
        (lambda rows: rows["6"]["metadata"].update(skills="logic"),
         "mathvista: testmini.json: the row's skills are no list of texts (row 6, pid 6)"),
        (lambda rows: rows["6"].update(image="../secret.png"),
         "mathvista: '../secret.png' is no path inside the data's folder (row 6, pid 6)"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(tmp_path: Path, change: Change, message: str) -> None:
    (tmp_path / "secret.png").touch()
    with pytest.raises(DataError) as error:
        edited(tmp_path, change).samples()
    assert str(error.value) == message


def test_rows_may_be_a_list_and_double_ones_are_named(tmp_path: Path) -> None:
    opened = edited(tmp_path, lambda rows: None)
    rows = list(json.loads((SAMPLE / "testmini.json").read_text(encoding="utf-8")).values())
    (tmp_path / "sample" / "testmini.json").write_text(json.dumps(rows), encoding="utf-8")
    assert len(list(opened.samples())) == 30
    (tmp_path / "sample" / "testmini.json").write_text(json.dumps([*rows, rows[4]]), encoding="utf-8")
    with pytest.raises(DataError, match=r"^mathvista: testmini\.json: pid 5 is double \(rows 5 and 31\)$"):
        opened.samples()


@pytest.mark.parametrize("content", ["3", "[1]", '{"1": 2}', '"x"'])
def test_a_file_without_rows(tmp_path: Path, content: str) -> None:
    (tmp_path / "testmini.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"holds neither pids with their rows nor a list of rows$"):
        task("folder", path=tmp_path).samples()


def test_missing_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    opened = edited(tmp_path, lambda rows: None)
    for pid in (7, 9):
        (tmp_path / "sample" / "images" / f"{pid}.png").unlink()
    with pytest.raises(DataError) as error:
        opened.samples()
    assert str(error.value) == (
        f"mathvista: testmini.json: 2 of 30 images are not in {tmp_path / 'sample'}, the first is images/7.png "
        "(row 7, pid 7); unpack images.zip there"
    )


def test_prompts_beside_the_rows_are_taken(tmp_path: Path) -> None:
    opened = edited(tmp_path, lambda rows: None)
    prompts = {str(pid): f"Prompt {pid}" for pid in range(1, 31)}
    file = tmp_path / "sample" / "query.json"
    file.write_text(json.dumps(prompts), encoding="utf-8")
    assert [sample.question for sample in opened.samples()] == list(prompts.values())
    file.write_text(json.dumps(prompts | {"8": ""}), encoding="utf-8")
    with pytest.raises(DataError, match=r"^mathvista: query\.json has no prompt for \(row 8, pid 8\)$"):
        opened.samples()
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match=r"^mathvista: query\.json does not hold pids with their prompts$"):
        opened.samples()


def test_no_rows_from_elsewhere() -> None:
    with pytest.raises(DataError, match=r"give --data DIR or --data sample$"):
        task("generated").samples()


def full_set() -> list[Row]:
    """Rows of our own in the numbers and kinds of testmini."""
    kinds = [
        (kind, count - len(rows_of.LISTS) if kind[0] == "integer" else count)
        for kind, count in rows_of.KINDS.items()
        if kind[0] != "list"
    ]
    row_kinds = [kind for kind, count in kinds for _ in range(count)]
    row_kinds += [("integer", None)] * (rows_of.ROWS - len(row_kinds))
    for pid in rows_of.LISTS:
        row_kinds[int(pid) - 1] = ("list", None)
    row_kinds[-2:] = [("text", None)] * 2
    gold = {"text": "blue", "integer": "7", "float": "0.5", "list": "[1, 2]"}
    return [
        {
            "pid": str(pid),
            "question": "What is it?",
            "choices": ["red", "blue"] if kind == "text" else None,
            "unit": None,
            "precision": precision and float(precision),
            "answer": gold[kind],
            "question_type": "multi_choice" if kind == "text" else "free_form",
            "answer_type": kind,
            "metadata": {"split": "testmini", "language": "english", "source": "own", "category": "general-vqa",
                         "task": "figure question answering", "context": "table", "grade": "college",
                         "skills": ["logical reasoning", "arithmetic reasoning"]},
        }
        for pid, (kind, precision) in enumerate(row_kinds, 1)
    ]  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Row]], Any]:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    cell = {"bytes": (SAMPLE / "images" / "1.png").read_bytes(), "path": "1.png"}

    def make(rows: list[Row]) -> Any:
        more = [row | {"image": f"images/{row['pid']}.jpg", "decoded_image": cell} for row in rows]
        table = datasets.Dataset.from_list(more).cast_column("decoded_image", datasets.Image())
        (tmp_path / "hub" / "data").mkdir(parents=True)
        table.to_parquet(str(tmp_path / "hub" / "data" / "testmini-00000-of-00001.parquet"))
        return task("hub", hub=HubDataset(id=str(tmp_path / "hub"), split="testmini"))

    return make


def test_hub_schema(hub: Callable[[list[Row]], Any]) -> None:
    opened = hub([row | {"query": f"Prompt {row['pid']}"} for row in full_set()])
    samples = list(opened.samples())
    assert len(samples) == opened.expected_rows == 1000
    first, last = samples[0], samples[-1]
    assert (first.question, first.answer, first.choices) == ("Prompt 1", "B", {"A": "red", "B": "blue"})
    assert first.metadata["skills"] == "logical reasoning; arithmetic reasoning"
    assert first.images[0].read() == (SAMPLE / "images" / "1.png").read_bytes()
    assert last.id == "1000"
    precisions = {sample.metadata.get("precision") for sample in samples}
    assert precisions == {None, 1, 2}
    assert not any(isinstance(precision, float) for precision in precisions)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(4), r"1 of 1000 rows are missing: pid 5$"),
        (lambda rows: [rows.pop() for _ in range(3)], r"3 of 1000 rows are missing: pid 998, 999, …$"),
        (lambda rows: rows.append(dict(rows[2])), r"pid 3 is double \(rows 3 and 1001\)$"),
        (lambda rows: rows.append(rows[2] | {"pid": "1001"}), r"pid 1001 is no row of testmini, which has 1 to 1000$"),
        (lambda rows: rows[0].update(question_type="free_form", answer_type="integer", answer="1"),
         r"539 rows with text answers, not 540$"),
        (lambda rows: rows.__setitem__(slice(0, 2), [rows[1] | {"pid": "1"}, rows[224] | {"pid": "2"}])
         or rows.__setitem__(224, rows[3] | {"pid": "225"}), r"the rows are not numbered as in testmini, where"),
        (lambda rows: rows[7]["metadata"].update(split="test"), r"split 'test', not testmini \(row 8, pid 8\)$"),
    ],
)  # fmt: skip
def test_hub_set_must_be_complete(
    hub: Callable[[list[Row]], Any], change: Callable[[list[Row]], Any], message: str
) -> None:
    rows = full_set()
    change(rows)
    with pytest.raises(DataError, match=message):
        hub(rows).samples()


def test_hub_column_missing(hub: Callable[[list[Row]], Any]) -> None:
    with pytest.raises(DataError, match=r"lacks column 'answer_type'$"):
        hub([{k: v for k, v in row.items() if k != "answer_type"} for row in full_set()]).samples()


def write_table(tmp_path: Path, rows: list[Row]) -> Any:
    """VLMEvalKit's table: the prompt as `question`, lists as text, the image as base64."""
    file = tmp_path / "MathVista_MINI.tsv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return task("tsv", path=file)


def table_rows(first: int = 0) -> list[Row]:
    image = base64.b64encode((SAMPLE / "images" / "1.png").read_bytes()).decode()
    found = []
    for index, row in enumerate(full_set(), first):
        letters = dict(zip("AB", row["choices"] or [], strict=False))
        kind = (row["answer_type"], row["precision"] and int(row["precision"]))
        metadata = row.pop("metadata")
        found.append(
            {"index": index, "question": query.query(kind, row["question"], "", letters), "answer": row["answer"],
             "question_type": row["question_type"], "answer_type": row["answer_type"],
             "choices": str(row["choices"]) if letters else "", "answer_option": "B" if letters else "",
             "task": metadata["task"], "skills": str(metadata["skills"]), "image": image}
        )  # fmt: skip
    return found


@pytest.mark.parametrize("first", [0, 1])
def test_table_of_vlmevalkit(tmp_path: Path, first: int) -> None:
    opened = write_table(tmp_path, table_rows(first))
    samples = list(opened.samples())
    assert len(samples) == opened.expected_rows == 1000
    assert (samples[0].id, samples[0].answer, samples[-1].id) == ("1", "B", "1000")
    assert samples[0].question.startswith("Hint: Please answer the question and provide the correct option letter")
    assert Counter(sample.metadata.get("precision") for sample in samples) == {None: 960, 1: 20, 2: 20}
    assert samples[0].metadata["skills"] == "logical reasoning; arithmetic reasoning"
    assert samples[0].images[0].read() == (SAMPLE / "images" / "1.png").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[0].update(choices="__import__('os')"), r"column 'choices' is no list as text: .* \(row 1"),
        (lambda rows: rows[0].update(choices="[" * 400), r"column 'choices' is no list as text: .* \(row 1"),
        (lambda rows: rows[0].update(choices=""), r"column 'choices' is no list as text: '' \(row 1, index 0\)$"),
        (lambda rows: rows[0].update(answer_option="A"), r"answer_option 'A' is not the choice of answer \(row 1"),
        (lambda rows: rows[0].update(answer="nan"), r"column 'answer' is NaN \(row 1"),
        (lambda rows: rows[0].update(image="???" * 30), r"column 'image' is not base64 text"),
        (lambda rows: [row.pop("skills") for row in rows], r"lacks column 'skills'$"),
        (lambda rows: rows[970].update(question="What is it?"), r"a float answer without precision \(row 971"),
        (lambda rows: [row.update(index=row["index"] + 5) for row in rows], r"the lowest index is 5; a complete"),
        (lambda rows: rows.pop(500), r"1 of 1000 rows are missing: pid 501$"),
    ],
)
def test_bad_tables(tmp_path: Path, change: Callable[[list[Row]], Any], message: str) -> None:
    rows = table_rows()
    if "float" in message:
        rows[970] |= next(row for row in rows if row["answer_type"] == "float") | {"index": 970}
    change(rows)
    with pytest.raises(DataError, match=message):
        write_table(tmp_path, rows).samples()


def test_an_answer_may_be_a_letter_and_precision_a_column(tmp_path: Path) -> None:
    rows = table_rows()
    for row in rows:
        row["precision"] = {True: "1.0", False: "2.0"}["one decimal" in row["question"]]
        if row["answer_option"]:
            row["answer"] = row["answer_option"]
    samples = list(write_table(tmp_path, rows).samples())
    assert samples[0].answer == "B"
    assert Counter(sample.metadata.get("precision") for sample in samples) == {None: 960, 1: 20, 2: 20}


@pytest.mark.parametrize(
    ("kind", "response", "verdict", "right"),
    [
        (("text", None), "<answer>B</answer>", Verdict.CORRECT, True),
        (("text", None), "<answer>A</answer>", Verdict.INCORRECT, False),
        (("text", None), "no", Verdict.CORRECT, True),
        # the shorter choice is the right one
        (("text", None), "", Verdict.UNPARSED, True),
        # and it is nearer to these words than the other
        (("text", None), "<answer>it cannot be told</answer>", Verdict.UNPARSED, True),
        (("integer", None), "The answer is 20.", Verdict.CORRECT, True),
        (("integer", None), "<answer>20 pieces</answer>", Verdict.CORRECT, True),
        (("integer", None), "<answer>20.0</answer>", Verdict.CORRECT, True),
        (("integer", None), "<answer>20.7</answer>", Verdict.INCORRECT, True),
        (("integer", None), "", Verdict.UNPARSED, False),
        (("float", 1), "<answer>14</answer>", Verdict.CORRECT, True),
        (("float", 1), "<answer>14.3</answer>", Verdict.INCORRECT, False),
        (("float", 2), "\\boxed{3.45}", Verdict.CORRECT, True),
        (("list", None), "<answer>[2013, 2014]</answer>", Verdict.CORRECT, True),
        (("list", None), "<answer>[2013,2014]</answer>", Verdict.CORRECT, False),
        (("list", None), "<answer>[2014, 2013]</answer>", Verdict.INCORRECT, False),
    ],
)
def test_both_rules(
    own: dict[str, Sample], kind: tuple[str, int | None], response: str, verdict: Verdict, right: bool
) -> None:
    outcome = task().score(of_kind(own, *kind), response)
    assert (outcome.verdict, outcome.official) == (verdict, right)
    assert outcome.scorer == "mathvista/1"


@pytest.mark.parametrize("response", ["B", "D", "26", "<answer>(D) 26</answer>", "The answer is B."])
def test_of_two_equal_choices_either_letter_is_right(own: dict[str, Sample], response: str) -> None:
    sample = next(sample for sample in own.values() if len(set(sample.choices.values())) < len(sample.choices))
    assert sample.choices == {"A": "13", "B": "26", "C": "40", "D": "26"}
    outcome = task().score(sample, response)
    assert (outcome.verdict, outcome.official) == (Verdict.CORRECT, True)
    for wrong in ("A", "40", "<answer>C</answer>"):
        assert task().score(sample, wrong).verdict is Verdict.INCORRECT


def test_a_letter_that_is_also_a_choices_text_is_the_letter(own: dict[str, Sample]) -> None:
    sample = Sample(id="1", question="?", answer="A", choices={"A": "B", "B": "A"}, metadata={"answer_type": "text"})
    for response in ("A", "<answer>A</answer>", "(A)"):
        outcome = task().score(sample, response)
        assert (outcome.verdict, outcome.answer) == (Verdict.CORRECT, "A")


@cache
def opened() -> tuple[Any, tuple[Sample, ...]]:
    found = task()
    return found, tuple(found.samples())


# no deadline: the first answer in LaTeX loads the library that reads it
@settings(deadline=None)
@given(st.text() | st.text("AB().0123456789[], \\{}$").map(lambda text: text * 9), st.integers(0, 29))
def test_scoring_never_raises(text: str, place: int) -> None:
    found, samples = opened()
    assert not found.score(samples[place], text).verdict.is_error


def record(sample: Sample, outcome: Outcome, repeat: int = 0) -> Record:
    trajectory = Trajectory(prompt="", stop=StopReason.ENDED)
    return Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome, repeat=repeat)


def figures(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    assert len({metric.name for metric in metrics}) == len(metrics)
    return {metric.name: metric for metric in metrics}


def test_group_figures(own: dict[str, Sample]) -> None:
    def outcome(sample: Sample) -> Outcome:
        right = sample.metadata["answer_type"] == "text"
        return Outcome(verdict=Verdict.CORRECT if right else Verdict.INCORRECT, official=not right)

    found = figures(task().metrics([record(sample, outcome(sample)) for sample in own.values()]))
    strict = [name for name in found if not name.startswith("official.")]
    assert strict[:6] == ["question_type.free_form", "question_type.multi_choice", "answer_type.float",
                          "answer_type.integer", "answer_type.list", "answer_type.text"]  # fmt: skip
    assert [name.split(".")[0] for name in strict] == sorted(
        (name.split(".")[0] for name in strict),
        key=(
            "question_type",
            "answer_type",
            "task",
            "context",
            "skill",
            "grade",
            "source",
            "language",
            "category",
        ).index,
    )
    assert (found["answer_type.text"].count, found["answer_type.text"].n) == (11, 11)
    assert (found["official.answer_type.text"].count, found["official.answer_type.text"].n) == (0, 11)
    # a row counts in each of its skills
    skills = [metric for name, metric in found.items() if name.startswith("skill.")]
    assert (
        sum(metric.n for metric in skills) == sum(str(s.metadata["skills"]).count(";") + 1 for s in own.values()) > 30
    )
    for group in ("task", "context", "grade", "source", "language", "category"):
        assert sum(metric.n for name, metric in found.items() if name.startswith(f"{group}.")) == 30


def test_errors_have_no_score_and_later_records_supersede(own: dict[str, Sample]) -> None:
    wrong = [record(sample, Outcome(verdict=Verdict.INCORRECT, official=False)) for sample in own.values()]
    right = [record(sample, Outcome(verdict=Verdict.CORRECT, official=True)) for sample in own.values()]
    broken = record(own["1"], Outcome(verdict=Verdict.ENGINE_ERROR))
    found = figures(task().metrics([*wrong, *right, broken]))
    for prefix in ("", "official."):
        figure = found[f"{prefix}answer_type.integer"]
        assert (figure.count, figure.n, figure.note) == (9, 9, "1 more rows without a score")
        assert found[f"{prefix}answer_type.text"].note == ""
    only = figures(task().metrics([broken]))["answer_type.integer"]
    assert (only.value, only.n, only.note) == (None, 0, "1 more rows without a score")
    assert task().metrics([]) == ()


def test_repeats_count_each(own: dict[str, Sample]) -> None:
    records = [record(own["1"], Outcome(verdict=verdict), repeat)
               for repeat, verdict in enumerate((Verdict.CORRECT, Verdict.INCORRECT))]  # fmt: skip
    assert figures(task().metrics(records))["answer_type.integer"].value == 0.5


def test_it_opens_like_any_task() -> None:
    opened: Task = open_task(find_tasks()["mathvista"], "sample")
    assert opened.official
    assert len(list(opened.samples())) == 30
