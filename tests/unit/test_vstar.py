"""V*Bench: rows from every source, options in an order that no source decides, and two rules' figures."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.content import content_dir, find_tasks, open_task, task_named
from evalkit.errors import DataError, EvalkitError
from evalkit.records import RECORD_VERSION, Outcome, Record, Sample, StopReason, Trajectory, Verdict
from evalkit.task import DataSource, HubDataset, Metric

FOLDER = content_dir("tasks") / "vstar"
SAMPLE = FOLDER / "sample"
VStar: Any = task_named("vstar", find_tasks()).kind
options = importlib.import_module(f"{VStar.__module__}.options")
PNG = (SAMPLE / "direct_attributes" / "scene_01.png").read_bytes()

COLOURS = ("red", "dark green", "blue", "white")
ROWS = [("direct_attributes", number) for number in range(115)] + [
    ("relative_position", number) for number in range(115, 191)
]


def task(kind: str = "sample", folder: Path = FOLDER, *, given: dict[str, str] | None = None, **source: Any) -> Any:
    return VStar(DataSource(kind=kind, **source), folder, given)


def question(category: str, number: int) -> tuple[str, list[str], list[str]]:
    """A made-up question, its options as sentences with the right one first, and the same in short."""
    if category == "relative_position":
        thing, other = f"post {number}", f"gate {number}"
        sentences = [f"The {thing} is on the {side} side of the {other}." for side in ("right", "left")]
        return f"Is the {thing} on the left or right side of the {other}?", sentences, ["right", "left"]
    short = [COLOURS[(number + i) % 4] for i in range(4 if number > 7 else 2)]
    return f"What is the color of door {number}?", [f"The color of door {number} is {name}." for name in short], short


def published(category: str, number: int) -> tuple[str, list[str], str]:
    """The row as hub and table have it: short options, turned so that the right one is anywhere."""
    asked, _, short = question(category, number)
    turn = number % len(short)
    return asked, short[turn:] + short[:turn], "ABCD"[(len(short) - turn) % len(short)]


def write_folder(folder: Path) -> Path:
    for category, number in ROWS:
        asked, sentences, _ = question(category, number)
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / f"sa_{number}.jpg").write_bytes(PNG)
        content = {"target_object": ["door"], "bbox": [[1, 2, 3, 4]], "question": asked, "options": sentences}
        (folder / category / f"sa_{number}.json").write_text(json.dumps(content))
    return folder


def hub_row(category: str, number: int) -> dict[str, Any]:
    asked, short, label = published(category, number)
    lines = [asked, *(f"({letter}) {text}" for letter, text in zip("ABCD", short, strict=False)), options.CLOSING]
    return {"text": "\n".join(lines), "category": category, "label": label, "question_id": str(number)}


def table(rows: list[dict[str, str]]) -> str:
    return "\n".join(["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]) + "\n"


def table_row(category: str, number: int) -> dict[str, str]:
    asked, short, answer = published(category, number)
    cells = dict(zip("ABCD", [*short, "", ""], strict=False))
    image = base64.b64encode(PNG).decode()
    return {"index": str(number), "image": image, "question": asked, **cells, "answer": answer, "category": category}


Hub = Callable[..., Any]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def make(rows: list[dict[str, Any]], images: list[str] | None = None) -> Any:
        """The mirror's form, images in the table; with `images` their paths are."""
        cells: list[Any] = images or [{"bytes": PNG, "path": "1.png"}] * len(rows)
        made = datasets.Dataset.from_list([row | {"image": cell} for row, cell in zip(rows, cells, strict=True)])
        if images is None:
            made = made.cast_column("image", datasets.Image())
        (tmp_path / "hub" / "data").mkdir(parents=True, exist_ok=True)
        made.to_parquet(str(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet"))
        return task("hub", hub=HubDataset(id=str(tmp_path / "hub"), split="test"))

    return make


def test_names_of_other_harnesses() -> None:
    tasks = find_tasks()
    for name in ("vstar_bench", "VStarBench", "vstar_bench_relative_position_reasoning"):
        assert task_named(name, tasks).name == "vstar"
    pinned = open_task(tasks["vstar"], "craigwu/vstar_bench").source.hub
    assert pinned is not None
    assert pinned.revision is not None
    assert len(pinned.revision) == 40
    assert open_task(tasks["vstar"], "lmms-lab/vstar-bench").source.hub == HubDataset(
        id="lmms-lab/vstar-bench", split="test"
    )


def test_own_sample() -> None:
    samples = list(task().samples())
    assert len(samples) == len({sample.id for sample in samples}) == task().expected_rows == 24
    assert Counter(sample.category for sample in samples) == {"direct_attributes": 14, "relative_position": 10}
    assert {sample.answer for sample in samples} == set("ABCD")
    assert sum(len(sample.choices) == 2 for sample in samples) == 12
    for sample in samples:
        assert sample.question.splitlines()[1:] == [f"{k}. {v}" for k, v in sample.choices.items()]
        assert sample.metadata["published_answer"] == "A"
        (image,) = sample.images
        assert (image.header.mime, image.header.width, image.header.height) == ("image/png", 1200, 900)


def test_every_target_of_the_sample_is_small_and_where_its_box_says() -> None:
    colours = load_maker().COLOURS
    seen = 0
    for sample in task().samples():
        image = sample.images[0].open().convert("RGB")
        for x, y, width, height in json.loads(str(sample.metadata["bbox"])):
            assert 10 <= width <= 90
            assert 10 <= height <= 50
            crop = image.crop((x, y, x + width, y + height))
            found = {colour for _, colour in crop.getcolors(256) or []}
            words = sample.choices[sample.answer].strip(".").split()
            if words[-1] in colours and sample.category == "direct_attributes":
                assert colours[words[-1]] in found
                seen += 1
    assert seen == 11


def load_maker() -> Any:
    spec = importlib.util.spec_from_file_location("vstar_make_sample", FOLDER / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sample_is_what_the_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = load_maker()
    monkeypatch.setattr(maker, "SAMPLE", tmp_path)
    maker.main()
    made = {str(file.relative_to(tmp_path)): file for file in tmp_path.rglob("*.*")}
    assert set(made) == {str(file.relative_to(SAMPLE)) for file in SAMPLE.rglob("*.*")}
    for name, file in made.items():
        if name.endswith(".json"):
            assert file.read_bytes() == (SAMPLE / name).read_bytes()


def test_all_sources_ask_the_same(tmp_path: Path, hub: Hub) -> None:
    folder = write_folder(tmp_path / "official")
    (tmp_path / "VStarBench.tsv").write_text(table([table_row(*row) for row in ROWS]))
    by_folder = list(task("folder", path=folder).samples())
    by_table = list(task("tsv", path=tmp_path / "VStarBench.tsv").samples())
    by_hub = list(hub([hub_row(*row) for row in reversed(ROWS)]).samples())
    by_hub.sort(key=lambda sample: int(str(sample.metadata["question_id"])))
    assert len(by_folder) == len(by_table) == len(by_hub) == 191
    folder_rows = {sample.id: sample for sample in by_folder}
    for (category, number), in_hub, in_table in zip(ROWS, by_hub, by_table, strict=True):
        in_folder = folder_rows[f"{category}/sa_{number}"]
        assert in_hub.id == in_table.id == f"{category}/{number}"
        assert in_hub.answer == in_table.answer == in_folder.answer
        assert in_hub.choices == in_table.choices
        assert list(in_hub.choices) == list(in_folder.choices)
        for letter, text in in_hub.choices.items():
            assert text in in_folder.choices[letter]
        assert in_hub.images[0].read() == in_table.images[0].read() == in_folder.images[0].read() == PNG
        assert in_folder.metadata == {"target_object": "door", "bbox": "[[1, 2, 3, 4]]", "published_answer": "A"}
    assert {sample.answer for sample in by_folder} == set("ABCD")


def test_a_hub_table_of_paths_has_the_folders_ids(tmp_path: Path, hub: Hub) -> None:
    write_folder(tmp_path / "hub")
    paths = [f"{category}/sa_{number}.jpg" for category, number in ROWS]
    samples = list(hub([hub_row(*row) for row in ROWS], paths).samples())
    assert [f"{sample.id}.jpg" for sample in samples] == paths
    assert samples[7].images[0].read() == PNG


def test_a_snapshot_of_the_hub_is_read_like_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    snapshot = write_folder(tmp_path / "snapshot")
    rows = [hub_row(category, n) | {"image": f"{category}/sa_{n}.jpg"} for category, n in ROWS]
    (snapshot / "test_questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (snapshot / "GPT4V-hard").mkdir()
    (snapshot / "GPT4V-hard" / "1.json").write_text("{}")
    (snapshot / "direct_attributes" / "._sa_1.jpg").write_bytes(b"")
    by_folder = list(task("folder", path=snapshot).samples())
    by_hub = list(task("hub", hub=HubDataset(id=str(snapshot), split="test")).samples())
    assert {(sample.id, sample.answer) for sample in by_hub} == {(sample.id, sample.answer) for sample in by_folder}


def test_order_and_seed() -> None:
    shuffled, again = list(task().samples()), list(task().samples())
    assert [sample.question for sample in shuffled] == [sample.question for sample in again]
    other = list(task(given={"seed": "1"}).samples())
    assert [sample.answer for sample in other] != [sample.answer for sample in shuffled]
    assert [set(sample.choices.values()) for sample in other] == [set(s.choices.values()) for s in shuffled]
    first = list(task(given={"order": "published", "seed": "7"}).samples())
    assert {sample.answer for sample in first} == {"A"}
    assert task(given={"seed": "5"}).settings == {"order": "shuffled", "seed": 5}
    for order in ("random", ""):
        with pytest.raises(EvalkitError, match="option order of task vstar is shuffled or published, not "):
            task(given={"order": order})


def test_published_order_of_the_hub(hub: Hub) -> None:
    opened = hub([hub_row(*row) for row in ROWS])
    opened.settings["order"] = "published"
    for sample, row in zip(opened.samples(), ROWS, strict=True):
        asked, short, label = published(*row)
        assert (sample.answer, list(sample.choices.values())) == (label, short)
        assert sample.question.startswith(asked + "\nA. ")


@pytest.mark.parametrize(
    ("choices", "parts"),
    [
        (["The cup is red.", "The cup is blue."], ["red", "blue"]),
        (["Red", "BLUE "], ["red", "blue"]),
        (
            ["The post is on the left side of the gate.", "The post is on the right side of the gate."],
            ["left", "right"],
        ),
        (["red", "dark red"], ["", "dark"]),
        (["a b a", "a a"], ["b", ""]),
        (["The flag has three colors.", "The flag has two colors."], ["three", "two"]),
        (["one", "two", "one two"], ["one", "two", "one two"]),
    ],
)
def test_what_options_differ_in(choices: list[str], parts: list[str]) -> None:
    assert options.distinct_parts(choices) == parts


texts = st.text(max_size=12).filter(options.plain)
several = st.lists(texts, min_size=2, max_size=6, unique_by=options.plain)


@settings(deadline=None)
@given(texts, several, st.integers(), st.randoms())
def test_the_order_is_the_options_own(asked: str, choices: list[str], seed: int, source: Any) -> None:
    assert len(set(options.distinct_parts(choices))) == len(choices)
    order = options.shuffled(asked, choices, seed)
    assert sorted(order) == list(range(len(choices)))
    other = source.sample(choices, len(choices))
    assert [other[i] for i in options.shuffled(asked, other, seed)] == [choices[i] for i in order]


def test_every_place_is_as_likely_for_the_right_option() -> None:
    places: Counter[int] = Counter()
    for number in range(4000):
        places[options.shuffled(f"What is the color of door {number}?", COLOURS, 0).index(0)] += 1
    assert all(abs(count - 1000) < 5 * math.sqrt(750) for count in places.values())


def test_the_hubs_text() -> None:
    text = f"What is it?\n(A) a cup\n(B) a (small) bowl\n(C) (A)\n{options.CLOSING}"
    assert options.parse_text(text) == ("What is it?", ["a cup", "a (small) bowl", "(A)"])
    assert options.parse_text("Two\nlines?\r\n\r\n (A) x \n(B)\ty\n\n") == ("Two\nlines?", ["x", "y"])


@pytest.mark.parametrize(
    "text",
    ["", "What is it?", "(A) x\n(B) y", "Q?\n(B) x\n(C) y", "Q?\n(A) x\n(C) y", "Q?\n(A) x\nor\n(B) y",
     "Q? (A) x (B) y", "Q?\nA. x\nB. y", "Q?\n(A)\n(B) y", "Q?\n(A) x\n(B) y\nAnswer with a word.",
     "Q?\n(A) x\n(A) y", "Q?\n(a) x\n(b) y"],
)  # fmt: skip
def test_other_texts_are_not_read(text: str) -> None:
    assert options.parse_text(text) is None


lines = st.text(st.characters(exclude_characters="\n"), min_size=1).map(str.strip).filter(bool)


@settings(deadline=None)
@given(lines.filter(lambda line: not line.startswith("(")), st.lists(lines, min_size=1, max_size=26), st.booleans())
def test_the_reader_of_the_hubs_text_is_its_writers_inverse(asked: str, choices: list[str], closed: bool) -> None:
    written = [asked, *(f"({letter}) {text}" for letter, text in zip(options.LETTERS, choices, strict=False))]
    assert options.parse_text("\n".join(written + [options.CLOSING] * closed)) == (asked, choices)


@settings(deadline=None)
@given(st.text() | st.text("(AB) \n").map(lambda text: text * 9))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = options.parse_text(text)
    assert found is None or all(option in text for option in found[1])


Change = Callable[[Path], Any]


def annotated(name: str, **content: Any) -> Change:
    """Change an annotation of the own sample; None takes a column away."""

    def change(folder: Path) -> None:
        file = folder / f"{name}.json"
        kept = json.loads(file.read_text()) | content
        file.write_text(json.dumps({column: value for column, value in kept.items() if value is not None}))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (annotated("direct_attributes/scene_02", question=None),
         "vstar: direct_attributes/scene_02.json lacks 'question'"),
        (annotated("direct_attributes/scene_02", options="red; blue"),
         "vstar: direct_attributes/scene_02.json has no readable 'options'"),
        (annotated("direct_attributes/scene_02", options=["red", 2]),
         "vstar: direct_attributes/scene_02.json: an option is no text"),
        (annotated("direct_attributes/scene_02", options=["red"]),
         "vstar: direct_attributes/scene_02.json: fewer than two options"),
        (annotated("direct_attributes/scene_02", options=["red", " "]),
         "vstar: direct_attributes/scene_02.json: an option is empty"),
        (annotated("relative_position/scene_02", options=["It is red.", "it is  red"]),
         "vstar: relative_position/scene_02.json: two options have the same text"),
        (annotated("relative_position/scene_02", question=" "),
         "vstar: relative_position/scene_02.json: the question is empty"),
        (lambda folder: (folder / "direct_attributes/scene_02.json").write_text("[]"),
         "vstar: direct_attributes/scene_02.json holds no object"),
        (lambda folder: (folder / "direct_attributes/scene_03.png").unlink(),
         "vstar: no image for direct_attributes/scene_03.json in {folder}"),
        (lambda folder: (folder / "relative_position/scene_03.json").unlink(),
         "vstar: no annotation scene_03.json for relative_position/scene_03.png in {folder}"),
        (lambda folder: (folder / "relative_position/scene_03.JPG").write_bytes(PNG),
         "vstar: relative_position/scene_03 is double: scene_03.JPG and scene_03.png"),
        (lambda folder: shutil.rmtree(folder / "relative_position"),
         "vstar: no folder relative_position in {folder}; --data takes the folder that holds "
         "direct_attributes and relative_position"),
    ],
)  # fmt: skip
def test_bad_folders_are_named(tmp_path: Path, change: Change, message: str) -> None:
    folder = tmp_path / "data"
    shutil.copytree(SAMPLE, folder)
    change(folder)
    with pytest.raises(DataError) as error:
        task("folder", path=folder).samples()
    assert str(error.value) == message.format(folder=folder)


def test_boxes_are_optional(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "sample")
    annotated("direct_attributes/scene_01", target_object=None, bbox=None)(tmp_path / "sample")
    assert next(iter(task(folder=tmp_path).samples())).metadata == {"published_answer": "A"}


def test_a_folder_must_be_complete(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        task("folder", path=SAMPLE).samples()
    assert str(error.value) == (
        "vstar: 14 direct_attributes rows, not 115 and 10 relative_position rows, not 76 (24 rows, not 191)"
    )
    folder = write_folder(tmp_path)
    for suffix in ("jpg", "json"):
        (folder / "relative_position" / f"sa_120.{suffix}").unlink()
    with pytest.raises(DataError, match=r"^vstar: 75 relative_position rows, not 76 \(190 rows, not 191\)$"):
        task("folder", path=folder).samples()


def test_no_rows_from_elsewhere() -> None:
    with pytest.raises(DataError, match=r"^vstar: no rows from source 'generated'; give --data DIR or --data sample$"):
        task("generated").samples()


Rows = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.pop(130),
         "vstar: 75 relative_position rows, not 76 (190 rows, not 191); missing: 130"),
        (lambda rows: rows.append(dict(rows[3])),
         "vstar: {hub} (row 192, question_id 3): a second row for direct_attributes/3"),
        (lambda rows: rows.append(rows[3] | {"question_id": "191"}),
         "vstar: 116 direct_attributes rows, not 115 (192 rows, not 191)"),
        (lambda rows: rows[3].update(category="OCR"), "vstar: {hub}: unknown category 'OCR' (row 4, question_id 3)"),
        (lambda rows: rows[3].update(label="E"),
         "vstar: {hub}: answer 'E' is not among options A, B (row 4, question_id 3)"),
        (lambda rows: rows[9].update(label=""),
         "vstar: {hub}: answer '' is not among options A, B, C, D (row 10, question_id 9)"),
        (lambda rows: rows[9].update(label=None),
         "vstar: {hub}: column 'label' is NoneType, not text (row 10, question_id 9)"),
        (lambda rows: rows[9].update(text="Which one? (A) x (B) y"),
         "vstar: {hub}: cannot read question and options from 'Which one? (A) x (B) y' (row 10, question_id 9)"),
        (lambda rows: rows[9].update(text="Which?\n(A) x\n(B) X."),
         "vstar: {hub}: two options have the same text (row 10, question_id 9)"),
        (lambda rows: rows[9].update(question_id="9b"),
         "vstar: {hub}: '9b' is no number of a row (row 10, question_id 9b)"),
        (lambda rows: rows[9].update(question_id=None),
         "vstar: {hub}: 'None' is no number of a row (row 10, question_id None)"),
    ],
)  # fmt: skip
def test_bad_hub_rows_are_named(hub: Hub, change: Callable[[Rows], Any], message: str) -> None:
    rows = [hub_row(*row) for row in ROWS]
    change(rows)
    opened = hub(rows)
    with pytest.raises(DataError) as error:
        opened.samples()
    assert str(error.value) == message.format(hub=opened.source.hub.id)


@pytest.mark.parametrize("column", ["text", "category", "label", "question_id"])
def test_hub_columns_are_needed(hub: Hub, column: str) -> None:
    opened = hub([{k: v for k, v in hub_row(*row).items() if k != column} for row in ROWS])
    with pytest.raises(DataError, match=rf"^vstar: .* lacks column '{column}'$"):
        opened.samples()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[3].update(answer="NaN"), "column 'answer' is NaN (row 4, index 3)"),
        (lambda rows: rows[3].update(answer="E"), "answer 'E' is not among options A, B (row 4, index 3)"),
        (lambda rows: rows[9].update(B=" "), "column 'B' is empty (row 10, index 9)"),
        (lambda rows: rows[9].update(C=""), "an empty option before the last (row 10, index 9)"),
        (lambda rows: rows[9].update(C="."), "an option is empty (row 10, index 9)"),
        (lambda rows: rows[9].update(image="%" * 99), "(row 10, index 9)"),
        (lambda rows: rows[9].update(image=""), "(row 10, index 9)"),
        (lambda rows: rows[9].update(category="train"), "unknown category 'train' (row 10, index 9)"),
        (lambda rows: rows.append(dict(rows[3])), "(row 192, index 3)"),
        (lambda rows: rows.pop(0), "vstar: 114 direct_attributes rows, not 115 (190 rows, not 191); missing: 0"),
        (lambda rows: [row.pop("answer") for row in rows], "lacks column 'answer'"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(tmp_path: Path, change: Callable[[Rows], Any], message: str) -> None:
    rows: Rows = [table_row(*row) for row in ROWS]
    change(rows)
    (tmp_path / "table.tsv").write_text(table(rows))
    with pytest.raises(DataError) as error:
        task("tsv", path=tmp_path / "table.tsv").samples()
    assert str(error.value).startswith("vstar: ")
    assert str(error.value).endswith(message)


def test_both_rules() -> None:
    sample = Sample(id="x", question="", answer="B", choices={"A": "The cup is red.", "B": "The cup is blue."})

    def scored(response: str) -> tuple[Verdict, str | None, bool | None, str | None]:
        outcome = task().score(sample, response)
        assert outcome.scorer == "vstar/1"
        return outcome.verdict, outcome.answer, outcome.official, outcome.official_answer

    assert scored("<think>A?</think><answer>B</answer>") == (Verdict.CORRECT, "B", True, "B")
    assert scored("<answer>B. The cup is blue.</answer>") == (Verdict.CORRECT, "B", True, "B")
    # the first tag is the agents' own rule, the last complete one outside the reasoning is evalkit's
    assert scored("<answer>A</answer><answer>B</answer>") == (Verdict.CORRECT, "B", False, "A")
    # an article, and a word that begins with a letter
    assert scored("It looks like A cup") == (Verdict.UNPARSED, None, False, "A")
    assert scored("The answer is blue, as one sees") == (Verdict.UNPARSED, "blue, as one sees", True, "B")
    assert scored("") == (Verdict.UNPARSED, None, False, None)


@settings(deadline=None)
@given(st.text())
def test_scoring_never_raises(text: str) -> None:
    sample = Sample(id="x", question="", answer="A", choices={"A": "1", "B": "2"})
    assert not task().score(sample, text).verdict.is_error


def record(sample: Sample, outcome: Outcome, repeat: int = 0) -> Record:
    trajectory = Trajectory(prompt="", stop=StopReason.ENDED)
    return Record(version=RECORD_VERSION, sample=sample, trajectory=trajectory, outcome=outcome, repeat=repeat)


def run(right: Callable[[Sample], bool], repeat: int = 0) -> list[Record]:
    """Records of the own sample set, answered in a form that both rules read."""
    opened = task()
    found = []
    for sample in opened.samples():
        letter = sample.answer if right(sample) else next(c for c in sample.choices if c != sample.answer)
        found.append(record(sample, opened.score(sample, f"<answer>{letter}</answer>"), repeat))
    return found


def figures(records: list[Record]) -> dict[str, Metric]:
    metrics = task().metrics(records)
    assert len({metric.name for metric in metrics}) == len(metrics) == 8
    return {metric.name: metric for metric in metrics}


def test_micro_and_macro_differ() -> None:
    found = figures(run(lambda sample: sample.category == "direct_attributes"))
    for prefix in ("", "official."):
        assert (found[prefix + "micro"].count, found[prefix + "micro"].n) == (14, 24)
        assert (found[prefix + "direct_attributes"].value, found[prefix + "relative_position"].value) == (1, 0)
        assert (found[prefix + "macro"].value, found[prefix + "macro"].n) == (0.5, 24)
    assert found["micro"].note == ""
    assert found["official.micro"].note == "VLMEvalKit's matcher without its judge"


def test_errors_and_missing_rows_are_told() -> None:
    records = run(lambda sample: True)
    broken = record(records[0].sample, Outcome(verdict=Verdict.ENGINE_ERROR))
    limited = record(records[1].sample, Outcome(verdict=Verdict.LIMIT_TOKENS))
    found = figures([broken, limited, *records[2:-1]])
    for prefix in ("", "official."):
        assert (found[prefix + "micro"].count, found[prefix + "micro"].n) == (21, 22)
        assert found[prefix + "micro"].note.endswith("2 of 24 rows missing or without a score")
        assert (found[prefix + "direct_attributes"].count, found[prefix + "direct_attributes"].n) == (12, 13)
        assert found[prefix + "relative_position"].note.endswith("1 of 10 rows missing or without a score")


def test_without_a_category_there_is_no_mean_of_both() -> None:
    found = figures([r for r in run(lambda sample: True) if r.sample.category == "direct_attributes"])
    assert (found["macro"].value, found["macro"].note) == (None, "a category has no rows")
    assert all(metric.value is None for metric in figures([]).values())


def test_repeats_count_each_and_a_later_record_supersedes() -> None:
    twice = figures(run(lambda sample: True) + run(lambda sample: False, repeat=1))
    assert (twice["micro"].n, twice["micro"].value, twice["micro"].note) == (48, 0.5, "")
    assert figures(run(lambda sample: False) + run(lambda sample: True))["micro"].value == 1
