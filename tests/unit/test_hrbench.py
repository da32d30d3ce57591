from __future__ import annotations

import base64
import importlib
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit import DataSource, HubDataset, ImageFile, Outcome, Record, Sample, StopReason, Trajectory, Verdict
from evalkit.content import find_tasks, open_task, task_named, tasks_named
from evalkit.errors import DataError
from evalkit.records import RECORD_VERSION
from evalkit.task import Metric
from tests.conftest import Cli

TASKS = find_tasks()
KINDS = {name: TASKS[name] for name in ("hrbench_4k", "hrbench_8k")}
MODULE = importlib.import_module(KINDS["hrbench_4k"].kind.__module__)
SIZES = {"hrbench_4k": (4032, 3024), "hrbench_8k": (7680, 4320)}

Row = dict[str, object]
Change = Callable[[list[Row]], Any]


def sample_set(name: str = "hrbench_4k") -> Any:
    return open_task(KINDS[name], "sample")


def test_names_of_other_harnesses_lead_here() -> None:
    assert [entry.name for entry in tasks_named("hrbench", TASKS)] == ["hrbench_4k", "hrbench_8k"]
    for alias in ("hrbench4k", "HRBench4K", "hr_bench_4k"):
        assert task_named(alias, TASKS).name == "hrbench_4k"
    for alias in ("hrbench8k", "HRBench8K", "hr_bench_8k"):
        assert task_named(alias, TASKS).name == "hrbench_8k"


@pytest.mark.parametrize("name", KINDS)
def test_the_own_sample_is_complete_and_truly_high_resolution(name: str) -> None:
    task = sample_set(name)
    samples = list(task.samples())
    assert len(samples) == task.expected_rows == 24
    assert [sample.id for sample in samples] == [str(i) for i in range(24)]
    assert Counter(sample.category for sample in samples) == {"single": 12, "cross": 12}
    assert len({sample.cluster for sample in samples}) == 6
    for first in range(0, 24, 4):
        four = samples[first : first + 4]
        assert {sample.cluster for sample in four} == {f"q{first}"}
        assert [sample.answer for sample in four] == list("ABCD")
        assert [sample.metadata["cycle"] for sample in four] == list("0123")
        assert len({sample.choices[sample.answer] for sample in four}) == 1
        assert len({frozenset(sample.choices.values()) for sample in four}) == 1
        for sample in four:
            assert list(sample.choices) == list("ABCD")
            assert len(set(sample.choices.values())) == 4
            assert sample.question.splitlines()[1:] == [f"{k}. {v}" for k, v in sample.choices.items()]
    images = {id(sample.images[0]): sample.images[0] for sample in samples}
    assert len(images) == 3
    for image in images.values():
        assert (image.header.width, image.header.height) == SIZES[name]
        assert image.header.mime == "image/jpeg"
        assert image.header.size < 1_500_000
    assert len({image.header.sha256 for image in images.values()}) == 3


def test_scenes_are_drawn_when_needed_and_always_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    quiz = importlib.import_module(f"{MODULE.__name__}.quiz")
    drawn: list[int] = []

    def jpeg(seed: int, frame: object) -> bytes:
        drawn.append(seed)
        return b"x"

    monkeypatch.setattr(quiz, "jpeg", jpeg)
    samples = list(sample_set().samples())
    assert drawn == []
    assert samples[9].images[0].read() == b"x"
    assert drawn == [1]
    again = list(sample_set().samples())
    assert [(s.question, s.answer) for s in again] == [(s.question, s.answer) for s in samples]


@pytest.mark.parametrize("name", KINDS)
def test_the_samples_answers_follow_from_the_scenes(name: str) -> None:
    scene = importlib.import_module(f"{MODULE.__name__}.scene")
    frame = scene.FRAMES["4K" if name == "hrbench_4k" else "8K"]
    for sample in sample_set(name).samples():
        kiosks = {kiosk.name: kiosk for kiosk in scene.kiosks(int(sample.id) // 8, frame)}
        right, question = sample.choices[sample.answer], sample.question.splitlines()[0]
        named = [kiosk for kiosk_name, kiosk in kiosks.items() if kiosk_name in question]
        shown = [kiosks[text] for text in sample.choices.values() if text in kiosks]
        if "written" in question:
            assert right == named[0].sign
        elif "lamp" in question:
            assert right == named[0].lamp
        elif "letter" in question:
            assert right == named[0].sign[0]
        elif "seen from" in question:
            first, second = sorted(named, key=lambda kiosk: question.index(kiosk.name))
            assert ("right" in right) == (first.x > second.x)
            assert ("lower" in right) == (first.y > second.y)
            # clearly so, not by a pixel
            assert min(abs(first.x - second.x), abs(first.y - second.y)) > 150
        elif "farthest" in question:
            assert kiosks[right].x == min(kiosk.x for kiosk in shown)
        else:
            assert kiosks[right].number == max(kiosk.number for kiosk in shown)


def test_no_two_kiosks_of_a_scene_can_be_confused_or_touch() -> None:
    scene = importlib.import_module(f"{MODULE.__name__}.scene")
    for frame in scene.FRAMES.values():
        for seed in range(3):
            kiosks = scene.kiosks(seed, frame)
            assert len({kiosk.name for kiosk in kiosks}) == len(kiosks) == frame.columns * frame.rows
            assert len({kiosk.number for kiosk in kiosks}) == len(kiosks)
            for kiosk in kiosks:
                assert 0 <= kiosk.x < frame.width - 120
                assert 40 <= kiosk.y < frame.height - 80
            for i, one in enumerate(kiosks):
                assert all(abs(one.x - o.x) > 120 or abs(one.y - o.y) > 120 for o in kiosks[i + 1 :])


# --- rows of the official kind ---


def picture(size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("L", size, 90).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


IMAGES = {name: picture(size) for name, size in SIZES.items()}


def full_set() -> list[Row]:
    """800 rows of our own in the official columns; the image stands in the first and the others name that row."""
    rows: list[Row] = []
    for number in range(200):
        options = [f"{number}{word}" for word in (" red", " green", " blue", " grey")]
        for turn, letter in enumerate("ABCD"):
            shown = options[-turn:] + options[:-turn]
            rows.append(
                {
                    "index": len(rows),
                    "question": f"What colour is door {number}?",
                    "answer": letter,
                    "category": "single" if number < 100 else "cross",
                    **dict(zip("ABCD", shown, strict=True)),
                    "cycle_category": f"cycle_{turn}",
                    "image": "0" if rows else IMAGES["hrbench_4k"],
                }
            )
    return rows


def table(folder: Path, rows: Sequence[Row], name: str = "hr_bench_4k.tsv") -> Path:
    file = folder / name
    columns = list(rows[0])
    lines = ["\t".join(columns), *("\t".join(str(row.get(c, "")) for c in columns) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def open_rows(folder: Path, rows: Sequence[Row], name: str = "hrbench_4k") -> Any:
    return open_task(KINDS[name], str(table(folder, rows)))


def refusal(folder: Path, change: Change, name: str = "hrbench_4k") -> str:
    rows = full_set()
    change(rows)
    with pytest.raises(DataError) as error:
        open_rows(folder, rows, name).samples()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_vlmevalkit_table(tmp_path: Path) -> None:
    task = open_rows(tmp_path, full_set())
    samples = list(task.samples())
    assert len(samples) == task.expected_rows == 800
    assert [sample.id for sample in samples] == [str(i) for i in range(800)]
    assert Counter(Counter(sample.cluster for sample in samples).values()) == {4: 200}
    first = samples[1]
    assert first.question == "What colour is door 0?\nA. 0 grey\nB. 0 red\nC. 0 green\nD. 0 blue"
    assert (first.answer, first.cluster, first.category) == ("B", "q0", "single")
    assert first.metadata == {"cycle": "cycle_1"}
    assert first.images[0].read() == base64.b64decode(IMAGES["hrbench_4k"])


def test_the_official_folder_holds_tables_of_both_sizes(tmp_path: Path) -> None:
    table(tmp_path, full_set())
    eight = full_set()
    eight[0]["image"] = IMAGES["hrbench_8k"]
    table(tmp_path, eight, "hr_bench_8k.tsv")
    for name in KINDS:
        sample = next(iter(open_task(KINDS[name], str(tmp_path)).samples()))
        header = sample.images[0].header
        assert (header.width, header.height) == SIZES[name]
    with pytest.raises(DataError, match=r"no hr_bench_4k\.tsv or hr_bench_4k\.parquet in .*--data takes the folder"):
        open_task(KINDS["hrbench_4k"], str(tmp_path.parent)).samples()


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def test_the_hubs_schema_and_its_parquet_file_alone(cached: Path) -> None:
    rows = [row | {"image": IMAGES["hrbench_4k"]} for row in full_set()]
    (cached / "hub" / "data").mkdir(parents=True)
    parquet = cached / "hub" / "data" / "hrbench_4k-00000-of-00001.parquet"
    datasets.Dataset.from_list(rows).to_parquet(str(parquet))
    kind = KINDS["hrbench_4k"].kind
    assert kind is not None
    source = DataSource(kind="hub", hub=HubDataset(id=str(cached / "hub"), split="hrbench_4k"))
    from_hub = list(kind(source, KINDS["hrbench_4k"].folder).samples())
    parquet.rename(cached / "hub" / "hr_bench_4k.parquet")
    from_folder = list(open_task(KINDS["hrbench_4k"], str(cached / "hub")).samples())
    from_tsv = list(open_rows(cached, full_set()).samples())
    for samples in (from_hub, from_folder):
        assert [(s.id, s.question, s.cluster) for s in samples] == [(s.id, s.question, s.cluster) for s in from_tsv]
        assert samples[799].images[0].header == from_tsv[0].images[0].header


def test_the_hubs_id_and_configuration() -> None:
    assert [open_task(entry, "hub").source.hub for entry in KINDS.values()] == [
        HubDataset(id="DreamMr/HR-Bench", config="hrbench_version_split", split=f"hrbench_{size}")
        for size in ("4k", "8k")
    ]


def swap(rows: list[Row], column: str, a: int, b: int) -> None:
    rows[a][column], rows[b][column] = rows[b][column], rows[a][column]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row.pop("cycle_category") for row in rows],
         "hrbench_4k: hr_bench_4k.tsv lacks column 'cycle_category'"),
        (lambda rows: [row.pop("image") for row in rows], "hrbench_4k: hr_bench_4k.tsv lacks column 'image'"),
        (lambda rows: rows[9].update(image=""),
         "hrbench_4k: hr_bench_4k.tsv: column 'image' is empty (row 10, index 9)"),
        (lambda rows: rows[9].update(image="no image " * 9),
         "hrbench_4k: hr_bench_4k.tsv: column 'image' is not base64 text (row 10, index 9)"),
        (lambda rows: rows[0].update(image="AAAA" * 99),
         "hrbench_4k: hr_bench_4k.tsv: image 0 is truncated or not an image"),
        (lambda rows: rows[9].update(answer="nan"),
         "hrbench_4k: hr_bench_4k.tsv: column 'answer' is NaN (row 10, index 9)"),
        (lambda rows: rows[9].update(answer=""),
         "hrbench_4k: hr_bench_4k.tsv: column 'answer' is empty (row 10, index 9)"),
        (lambda rows: rows[9].update(answer="E"),
         "hrbench_4k: hr_bench_4k.tsv: answer 'E' is none of A, B, C, D (row 10, index 9)"),
        (lambda rows: rows[9].update(category="fsp"),
         "hrbench_4k: hr_bench_4k.tsv: category 'fsp' is none of single, cross (row 10, index 9)"),
        (lambda rows: rows[9].update(index=8),
         "hrbench_4k: hr_bench_4k.tsv: index 8 is double, row 9 has it too (row 10, index 8)"),
        (lambda rows: rows.pop(9),
         "hrbench_4k: hr_bench_4k.tsv: rows 9, 10, 11 ('What colour is door 2?') are 3 of a question, answers A, C"),
        (lambda rows: rows.append(rows[9] | {"index": 800}),
         "hrbench_4k: hr_bench_4k.tsv: rows 9, 10, 11, 12, 801 ('What colour is door 2?') are 5 of a question,"),
        (lambda rows: swap(rows, "answer", 8, 9), "hrbench_4k: hr_bench_4k.tsv: row"),
        (lambda rows: rows[9].update(cycle_category="cycle_0"),
         "hrbench_4k: hr_bench_4k.tsv: rows 9, 10, 11, 12 ('What colour is door 2?') have cycles cycle_0, cycle_0,"),
        (lambda rows: rows[9].update(cycle_category="x"),
         "hrbench_4k: hr_bench_4k.tsv: 5 values of cycle_category, not 4: cycle_0, cycle_1, cycle_2, cycle_3, x"),
        (lambda rows: rows[9].update(category="cross"),
         "hrbench_4k: hr_bench_4k.tsv: rows 9, 11, 12 ('What colour is door 2?') are 3 of a question, answers A, C"),
        (lambda rows: rows[9].update(B="2 pink"), "hrbench_4k: hr_bench_4k.tsv: rows 9, 11, 12"),
        (lambda rows: rows.__delitem__(slice(8, 12)),
         "hrbench_4k: hr_bench_4k.tsv: 99 single and 100 cross questions in 796 rows, not 100 of each in 800; "
         "the first index missing is 8"),
        (lambda rows: [row.update(category="single") for row in rows[400:404]],
         "hrbench_4k: hr_bench_4k.tsv: 101 single and 99 cross questions in 800 rows, not 100 of each in 800"),
        (lambda rows: rows[0].update(image=IMAGES["hrbench_8k"]),
         "hrbench_4k: hr_bench_4k.tsv holds no 4K images: those of rows 1, 401, 797 are 7,680, 7,680, 7,680 pixels "
         "long, more than 4,800; is it the table of the other resolution?"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(tmp_path: Path, change: Change, message: str) -> None:
    assert refusal(tmp_path, change).startswith(message)


def test_the_4k_table_is_no_8k_table(tmp_path: Path) -> None:
    found = refusal(tmp_path, lambda rows: None, "hrbench_8k")
    assert "holds no 8K images: those of rows 1, 401, 797 are 4,032, 4,032, 4,032 pixels long, at most 4,800" in found


def test_one_small_image_does_not_make_an_8k_table_a_4k_table(tmp_path: Path) -> None:
    rows = full_set()
    rows[4]["image"], rows[0]["image"] = IMAGES["hrbench_8k"], IMAGES["hrbench_4k"]
    for row in rows[5:]:
        row["image"] = "4"
    assert len(list(open_rows(tmp_path, rows, "hrbench_8k").samples())) == 800


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("answer", None, r"column 'answer' is NoneType, not text \(row 10, index 9\)$"),
        ("answer", "nan", r"column 'answer' is empty \(row 10, index 9\)$"),
        ("cycle_category", None, r"column 'cycle_category' is empty \(row 10, index 9\)$"),
        ("C", " ", r"option C is empty \(row 10, index 9\)$"),
        ("image", None, r"column 'image' holds no image \(row 10\)$"),
        ("index", 8, r"index 8 is double \(rows 9 and 10\)$"),
    ],
)
def test_bad_rows_of_the_hub_are_named(cached: Path, column: str, value: object, message: str) -> None:
    rows = [row | {"image": IMAGES["hrbench_4k"]} for row in full_set()[:12]]
    rows[9][column] = value
    datasets.Dataset.from_list(rows).to_parquet(str(cached / "hr_bench_4k.parquet"))
    with pytest.raises(DataError, match=rf"^hrbench_4k: hr_bench_4k\.parquet: {message}"):
        open_task(KINDS["hrbench_4k"], str(cached)).samples()


# --- rows to questions ---


def item(number: int, image: bytes = b"", **changes: Any) -> Any:
    """Row `number` (from 1); rows 1 to 4 are the first question."""
    turn = (number - 1) % 4
    options = ["red", "green", "blue", "grey"]
    shown = dict(zip("ABCD", options[-turn:] + options[:-turn], strict=True))
    row = {"index": number, "question": "Colour?", **shown, "answer": "ABCD"[turn], "category": "single"}
    file = ImageFile.from_bytes(image, "x")
    return MODULE._item(row | {"cycle_category": turn} | changes, number, file, "t")


def numbers(groups: Any) -> list[list[int]]:
    return [[item.number for item in group] for group in groups]


def test_questions_with_the_same_words_are_told_apart_by_their_images() -> None:
    images = {1: b"a", 2: b"b", 3: b"a", 4: b"b", 5: b"b", 6: b"a", 7: b"b", 8: b"a"}
    items = [item(number, images[number]) for number in (1, 2, 3, 4, 5, 6, 7, 8)]
    assert numbers(MODULE.questions(items, "t")) == [[1, 3, 6, 8], [2, 4, 5, 7]]


def test_without_images_at_hand_by_their_place() -> None:
    assert numbers(MODULE.questions([item(n) for n in range(1, 13)], "t")) == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
    ]
    apart = [item(n) for n in (1, 2, 3, 4, 9, 10, 11, 12)]
    assert numbers(MODULE.questions(apart, "t")) == [[1, 2, 3, 4], [9, 10, 11, 12]]


def test_rows_that_neither_tells_apart_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"^t: rows 1, 2, 3, 4, 6, 7, 8 \('Colour\?'\) are 7 of a question, answers A, B"
    ):
        MODULE.questions([item(n) for n in (1, 2, 3, 4, 6, 7, 8)], "t")


def test_rows_of_a_question_may_stand_anywhere() -> None:
    items = [item(n, question=f"Which {n % 2}?") for n in range(1, 9)]
    # rows 1, 3, 5, 7 have the right options A, C, A, C: no question
    with pytest.raises(DataError, match=r"rows 1, 3, 5, 7 .* have answers A, C, A, C, not four different ones$"):
        MODULE.questions(items, "t")


# --- scoring ---

CHOICES = {"A": "Red", "B": "Green", "C": "Blue", "D": "Grey"}
SAMPLE = Sample(id="0", question="?", answer="B", choices=CHOICES)


@pytest.mark.parametrize(
    ("response", "strict", "official"),
    [
        ("<answer>B</answer>", "B", "B"),
        ("<think>A door. It is C.</think><answer>B. Green</answer>", "B", "B"),
        ("B. Green", "B", "B"),
        ("The answer is (B).", "B", "B"),
        ("Green", "B", "B"),
        # the article is an option letter for the matcher, wherever it stands
        ("It is a green door. A green one.", None, "A"),
        ("A door is green", None, "A"),
        # text is found inside of words
        ("I am bored.", None, "A"),
        ("A or B", None, None),
        # the matcher takes the first tag, the strict rule the last
        ("<answer>C</answer> no, <answer>B</answer>", "B", "C"),
        ("Cannot determine the answer: B", "B", None),
        ("Z", None, None),
        ("", None, None),
        ("Failed to obtain answer via API. green", None, "B"),
    ],
)
def test_both_rules(response: str, strict: str | None, official: str | None) -> None:
    outcome = sample_set().score(SAMPLE, response)
    answer = outcome.answer if outcome.verdict in (Verdict.CORRECT, Verdict.INCORRECT) else None
    assert answer == strict
    assert (outcome.official_answer, outcome.official) == (official, official == "B")
    assert outcome.scorer == "hrbench_4k/1"


@settings(deadline=None)
@given(st.text() | st.text("ABCDZ. <answer>/red", max_size=80))
def test_scoring_never_raises(text: str) -> None:
    outcome = sample_set().score(SAMPLE, text)
    assert not outcome.verdict.is_error
    assert outcome.official_answer in (None, *"ABCD")


# --- figures ---


def records(
    right: Callable[[Sample], bool], *, repeat: int = 0, errors: Sequence[str] = (), without: Sequence[str] = ()
) -> list[Record]:
    """Records of the own sample set; both rules agree on them, rows `errors` failed and `without` are not there."""
    found = []
    for sample in sample_set().samples():
        if sample.id in without:
            continue
        outcome = Outcome(verdict=Verdict.CORRECT if right(sample) else Verdict.INCORRECT, official=right(sample))
        if sample.id in errors:
            outcome = Outcome(verdict=Verdict.ENGINE_ERROR, error="gone")
        trajectory = Trajectory(prompt="", stop=StopReason.ENDED)
        found.append(
            Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome, repeat=repeat)
        )
    return found


def figures(found: Sequence[Record]) -> dict[str, Metric]:
    metrics = sample_set().metrics(found)
    assert len({metric.name for metric in metrics}) == len(metrics)
    return {metric.name: metric for metric in metrics}


def test_a_complete_run() -> None:
    # right in cycles 0 to 2 of every single question, and in all four of one cross question
    found = figures(records(lambda s: s.metadata["cycle"] != "3" if s.category == "single" else s.cluster == "q4"))
    assert (found["overall"].count, found["overall"].n, found["overall"].note) == (9 + 4, 24, "")
    assert found["overall"].value == pytest.approx(13 / 24)
    assert found["fsp"].value == pytest.approx(0.75)
    assert found["fcp"].value == pytest.approx(1 / 3)
    assert (found["cycle.3"].count, found["cycle.3"].n) == (1, 6)
    assert (found["cycle.0"].count, found["cycle.0"].n) == (4, 6)
    assert (found["all_four"].count, found["all_four"].n, found["all_four"].note) == (1, 6, "")
    assert found["all_four.fsp"].value == 0
    assert found["all_four.fcp"].value == pytest.approx(1 / 3)
    for name in ("overall", "fsp", "fcp", "all_four", "cycle.2"):
        assert found[f"official.{name}"].value == found[name].value


def test_errors_and_missing_rows_are_said_cycle_by_cycle_and_never_wrong() -> None:
    found = figures(records(lambda s: True, errors=["1", "7"], without=["2"]))
    assert found["overall"].value == 1
    assert (found["overall"].n, found["overall"].count) == (21, None)
    assert found["overall"].note == (
        "cycle 1: of 6 rows 1 engine_error; cycle 2: of 6 rows 1 missing; cycle 3: of 6 rows 1 engine_error; "
        "cycles of unequal size weigh alike"
    )
    assert found["cycle.1"].note == "of 6 rows 1 engine_error"
    assert (found["cycle.0"].note, found["cycle.0"].n) == ("", 6)
    # questions 0 (rows 0 to 3) and 1 (rows 4 to 7) are in no all-four figure
    assert (found["all_four"].n, found["all_four"].note) == (4, "2 of 6 questions incomplete")
    assert (found["all_four.fsp"].n, found["all_four.fcp"].n) == (2, 2)


def test_the_mean_is_over_cycles_and_not_over_rows() -> None:
    only_first = [str(i) for i in range(24) if i % 4 == 0 and i > 0]
    found = figures(records(lambda s: s.metadata["cycle"] == "0", without=only_first))
    assert found["cycle.0"].n == 1
    assert found["overall"].value == pytest.approx((1 + 0 + 0 + 0) / 4)
    assert "cycle 0: of 6 rows 5 missing" in found["overall"].note


def test_an_absent_cycle_is_said() -> None:
    found = figures(records(lambda s: True, without=[str(i) for i in range(24) if i % 4 == 3]))
    assert found["overall"].note == "1 of 4 cycles have no rows; cycles of unequal size weigh alike"
    assert (found["all_four"].value, found["all_four"].n) == (None, 0)
    assert found["all_four"].note == "6 of 6 questions incomplete"


def test_repeats_count_each_by_itself() -> None:
    both = records(lambda s: True) + records(lambda s: s.id != "0", repeat=1)
    found = figures(both)
    assert (found["overall"].count, found["overall"].n, found["overall"].note) == (47, 48, "")
    assert (found["all_four"].count, found["all_four"].n) == (11, 12)


def test_a_later_record_of_a_row_supersedes_the_earlier() -> None:
    found = figures(records(lambda s: False) + records(lambda s: True))
    assert (found["overall"].count, found["overall"].n) == (24, 24)


def test_no_records() -> None:
    assert all(metric.value is None and metric.n == 0 for metric in sample_set().metrics([]))


# --- end to end ---


def test_a_run_on_the_sample_with_a_scripted_engine(cli: Cli, tmp_path: Path) -> None:
    answers = {sample.id: [f"<answer>{sample.answer}</answer>"] for sample in sample_set().samples()}
    answers["1"] = ["<answer>A</answer>"] if answers["1"] != ["<answer>A</answer>"] else ["<answer>C</answer>"]
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"default": ["<answer>B</answer>"], "samples": answers}), encoding="utf-8")
    ended = cli(
        "run", "--model", "scripted", "--engine", "scripted", "--script", script, "--tasks", "hrbench_4k",
        "--data", "sample", "--out", tmp_path / "run",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (folder,) = (path.parent for path in (tmp_path / "run").rglob("samples.jsonl"))
    summary = (folder / "summary.json").read_text(encoding="utf-8")
    metrics = {metric["name"]: metric for metric in _metrics(json.loads(summary))}
    assert (metrics["overall"]["count"], metrics["overall"]["n"]) == (23, 24)
    assert (metrics["all_four"]["count"], metrics["all_four"]["n"]) == (5, 6)
    assert metrics["official.overall"]["count"] == 23
    images = list((folder / "images").iterdir())
    assert len(images) == 3
    with Image.open(images[0]) as image:
        assert image.size == SIZES["hrbench_4k"]


def _metrics(node: Any) -> list[dict[str, Any]]:
    """The first list of metrics in a summary, wherever it stands."""
    if isinstance(node, list) and node and isinstance(node[0], dict) and "name" in node[0] and "n" in node[0]:
        return node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((found for child in children if (found := _metrics(child))), [])
