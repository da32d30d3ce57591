from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from evalkit.content import find_tasks, open_task
from evalkit.curation.benchmarks import Against, Benchmarks, open_benchmarks, read_benchmarks
from evalkit.curation.images import Viewer, look_at
from evalkit.curation.leakage import Detector, Evidence, Item, Match, leakage
from evalkit.curation.stored import Stored, leakage_of
from evalkit.errors import DataError, EvalkitError, NothingEvaluatedError
from evalkit.images import ImageFile
from evalkit.records import Sample
from evalkit.task import DataSource, Task
from tests.pictures import encoded, image_file, picture

TELLING = (
    "A rope of 12 metres is cut into pieces of 75 centimetres each, how many pieces are there and what is left over?"
)


class Quiz(Task):
    name = "quiz"

    def __init__(self, rows: Iterable[Sample]) -> None:
        super().__init__(DataSource(kind="sample"), Path())
        self.rows = list(rows)

    def samples(self) -> Iterable[Sample]:
        return self.rows

    def score(self, sample: Sample, response: str) -> Any:
        raise NotImplementedError


def sample(id: str, question: str, *images: ImageFile, **more: Any) -> Sample:
    return Sample(id=id, question=question, images=images, **more)


def item(question: str, *images: ImageFile) -> Item:
    return Item("row", question, tuple(map(look_at, images)))


def read(*rows: Sample) -> Benchmarks:
    return read_benchmarks([Quiz(rows)], Viewer(1))


def found(benchmarks: Benchmarks, one: Item) -> list[Match]:
    (matches,) = Detector(benchmarks).matches([one])
    return matches


BENCH = read(
    sample("1", "What colour is the car?", image_file(picture(1))),
    sample("2", TELLING, image_file(picture(2))),
    sample("3", "How many pieces?"),
)


@pytest.mark.parametrize(
    ("image", "evidence"),
    [
        (image_file(picture(1)), Evidence.FILE),
        (image_file(picture(1), form="JPEG", quality=40), Evidence.PICTURE),
        (image_file(picture(1).resize((100, 75))), Evidence.PICTURE),
        (image_file(ImageOps.mirror(picture(1)), form="JPEG"), Evidence.MIRRORED),
    ],
)
def test_a_picture_leaks_whatever_is_asked_of_it(image: ImageFile, evidence: Evidence) -> None:
    (match,) = found(BENCH, item("Something else?", image))
    assert (match.evidence, match.task, match.row, match.leaks) == (evidence, "quiz", "1", True)


def test_another_picture_with_another_question_does_not_leak() -> None:
    assert found(BENCH, item("Something else?", image_file(picture(9)))) == []


def test_words_that_anybody_might_use_of_another_picture_do_not_leak() -> None:
    (match,) = found(BENCH, item("what colour is the CAR", image_file(picture(9))))
    assert (match.evidence, match.leaks, match.share) == (Evidence.WORDING, False, 1.0)


def test_telling_words_leak_also_with_another_picture() -> None:
    (match,) = found(BENCH, item(f"Please answer. {TELLING}", image_file(picture(9))))
    assert (match.evidence, match.row) == (Evidence.QUESTION, "2")


@pytest.mark.parametrize("question", ["What colour is the car?", "How many pieces?"])
def test_where_no_pictures_can_be_compared_equal_words_leak(question: str) -> None:
    (match,) = found(BENCH, item(question))
    assert match.evidence is Evidence.QUESTION


def test_an_image_with_a_flaw_cannot_speak_for_its_row() -> None:
    broken = ImageFile.from_bytes(encoded(picture(9))[:400])
    (match,) = found(BENCH, item("What colour is the car?", broken))
    assert match.evidence is Evidence.QUESTION


def test_a_template_asked_of_many_pictures_is_not_telling() -> None:
    rows = [sample(str(seed), TELLING, image_file(picture(seed))) for seed in (1, 2)]
    (match,) = found(read(*rows), item(TELLING, image_file(picture(9))))
    assert match.evidence is Evidence.WORDING


def test_rows_of_one_cluster_are_one_problem() -> None:
    rows = [sample(str(seed), TELLING, image_file(picture(seed)), cluster="p") for seed in (1, 2)]
    (match,) = found(read(*rows), item(TELLING, image_file(picture(9))))
    assert match.evidence is Evidence.QUESTION


def test_plain_pictures_are_compared_by_their_bytes_alone() -> None:
    white, black = (image_file(Image.new("RGB", (64, 64), colour)) for colour in ("white", "black"))
    benchmarks = read(sample("1", "What is there?", white))
    assert benchmarks.coverage[0].plain == 1
    assert found(benchmarks, item("Something else?", black)) == []
    assert found(benchmarks, item("Something else?", white))[0].evidence is Evidence.FILE


def test_the_figures_name_what_matched_what() -> None:
    items = [item("Something?", image_file(picture(1))), item("What colour is the car?", image_file(picture(9)))]
    figures = leakage(items, BENCH)
    assert (figures.rows, figures.leaking, figures.without_image) == (2, 1, 0)
    tables = {table.title: table.rows for table in figures.tables()}
    assert tables["Rows that leak"] == (("row", "quiz", "1", "image_file"),)
    assert tables["Wordings that benchmarks have too, asked of other pictures"] == (("quiz", "1", 1),)


def probe(**options: int) -> Against:
    return Against(name="panel_probe", options={name: str(value) for name, value in options.items()})


def items_of(against: Against) -> list[Item]:
    (task,) = open_benchmarks([against])
    looks = Viewer(1)
    return [Item(row.id, row.question, tuple(looks.look(row.images))) for row in task.samples()]


def test_a_benchmark_leaks_into_itself_and_not_into_other_boards_of_the_same_template() -> None:
    benchmarks = read_benchmarks(open_benchmarks([probe(boards=8)]), Viewer(1))
    same = leakage(items_of(probe(boards=8)), benchmarks)
    assert (same.leaking, same.rows) == (32, 32)
    other = leakage(items_of(probe(boards=8, seed=5)), benchmarks)
    assert other.leaking == 0
    # nine questions, one for each panel, are asked of every board
    assert {match.evidence for _, match in other.matches} == {Evidence.WORDING}


def test_photographs_planted_in_a_data_set_are_found(shared_data: Path, tmp_path: Path) -> None:
    photos = sorted((shared_data / "vstar" / "photos").iterdir())
    bench = read(*(sample(file.stem, f"What is in {file.stem}?", ImageFile.from_path(file)) for file in photos))
    planted = []
    for place, file in enumerate(photos):
        with Image.open(file) as photo:
            small = photo.convert("RGB").reduce(2 + place)
        planted.append(encoded(ImageOps.mirror(small) if place % 2 else small, "JPEG", quality=30 + 10 * place))
    others = [encoded(picture(seed)) for seed in range(20)]
    write(tmp_path / "d" / "train.parquet", [(f"row {k}", [image]) for k, image in enumerate(planted + others)])
    figures = leakage(Stored(tmp_path / "d").items(Viewer(1)), bench)
    assert [row for row, _ in figures.matches] == [f"{k}" for k in range(len(photos))]
    assert [match.row for _, match in figures.matches] == [file.stem for file in photos]
    assert {match.evidence for _, match in figures.matches} == {Evidence.PICTURE, Evidence.MIRRORED}


def write(file: Path, rows: Iterable[tuple[object, list[bytes | str]]], column: str = "question") -> None:
    """A data set in the form of `datasets.Image`: bytes, or paths where they are texts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = [
        {
            column: text,
            "images": [
                {"bytes": None, "path": image} if isinstance(image, str) else {"bytes": image, "path": None}
                for image in images
            ],
        }
        for text, images in rows
    ]
    pq.write_table(pa.Table.from_pylist(cells), file)


CHAT: list[Mapping[str, Any]] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "<image>What colour is the car?"},
    {"role": "assistant", "content": "Red."},
]
PARTS = [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Which?"}]}]


@pytest.mark.parametrize(
    ("cell", "column", "text"),
    [
        ("Which?", "question", "Which?"),
        (CHAT, "prompt", " What colour is the car?"),
        (PARTS, "messages", "\nWhich?"),
        ([{"from": "human", "value": "Which?"}], "conversations", "Which?"),
    ],
)
def test_questions_are_read_from_texts_and_chats(tmp_path: Path, cell: object, column: str, text: str) -> None:
    write(tmp_path / "data" / "a.parquet", [(cell, [encoded(picture(1))])], column)
    (row,) = Stored(tmp_path).rows()
    assert (row.id, row.text, len(row.images)) == ("0", text, 1)


def test_images_named_by_paths_are_files_of_the_data_set_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write(folder / "a.parquet", [("Which?", ["in/a.png", "../out.png"])])
    (folder / "in").mkdir()
    (folder / "in" / "a.png").write_bytes(encoded(picture(1)))
    (tmp_path / "out.png").write_bytes(encoded(picture(2)))
    (one,) = Stored(folder).items(Viewer(1))
    assert [look.flaw is None for look in one.looks] == [True, False]


def test_a_data_set_without_its_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [("Which?", ["a.png"]), ("Where?", ["b.png"])])
    with pytest.raises(DataError, match=r"none of the images of .* is there"):
        leakage_of(tmp_path, [probe(boards=2)])


def test_what_is_no_data_set_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no parquet files in"):
        Stored(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(DataError, match="cannot read"):
        Stored(tmp_path)
    write(tmp_path / "a.parquet", [("x", [])], "answer")
    with pytest.raises(DataError, match="no column with questions"):
        Stored(tmp_path)
    pq.write_table(pa.table({"question": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(NothingEvaluatedError, match="has no rows"):
        Stored(tmp_path)


def test_a_benchmark_whose_data_is_not_there_is_refused_with_the_option_that_mends_it(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="unknown task 'vstarr'"):
        open_benchmarks([Against(name="vstarr")])
    with pytest.raises(EvalkitError, match=r"--against vstar: .*no such folder"):
        open_benchmarks([Against(name="vstar", data=str(tmp_path / "none"))])
    task = open_task(find_tasks()["vstar"], str(tmp_path))
    with pytest.raises(DataError, match=r"--against vstar: .*--task-data vstar=DIR"):
        read_benchmarks([task], Viewer(1))


def test_a_benchmark_without_its_images_or_rows_is_refused(tmp_path: Path) -> None:
    gone = ImageFile.from_path(tmp_path / "gone.png")
    with pytest.raises(DataError, match="none of its 1 images can be read"):
        read(sample("1", "Which?", gone))
    with pytest.raises(NothingEvaluatedError, match="it has no rows"):
        read()
    assert read(sample("1", "Which?", gone, image_file(picture(1)))).coverage[0].unreadable == 1


def test_several_benchmarks_are_told_apart() -> None:
    first, second = Quiz([sample("1", "Which?", image_file(picture(1)))]), Quiz([sample("2", "Where?")])
    second.name = "other"  # type: ignore[misc]
    benchmarks = read_benchmarks([first, second], Viewer(1))
    matches = Detector(benchmarks).matches([item("Where?"), item("x", image_file(picture(1)))])
    assert [[match.task for match in one] for one in matches] == [["other"], ["quiz"]]


def test_bytes_that_are_no_image_do_not_stop_the_rest(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [("Which?", [b"junk"]), ("Where?", [encoded(picture(1))])])
    figures = leakage_of(tmp_path, [probe(boards=1)])
    assert (figures.rows, figures.without_image) == (2, 1)


def test_rows_without_a_text_are_counted_and_a_data_set_of_them_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [("", [encoded(picture(1))]), ("Where?", [encoded(picture(2))])])
    figures = leakage_of(tmp_path, [probe(boards=1)])
    assert figures.without_text == 1
    assert "1 no text" in figures.tables()[0].note
    other = [{"role": "asker", "content": "What colour is the car?"}]
    write(tmp_path / "a.parquet", [(other, [encoded(picture(1))])], "messages")
    with pytest.raises(DataError, match=r"no row of .* says in its column messages what is asked"):
        leakage_of(tmp_path, [probe(boards=1)])


def test_images_in_a_column_go_before_names_of_files(tmp_path: Path) -> None:
    """As MathVista has them."""
    cell = {
        "question": "Which?",
        "image": "images/1.jpg",
        "decoded_image": {"bytes": encoded(picture(1)), "path": None},
    }
    pq.write_table(pa.Table.from_pylist([cell]), tmp_path / "a.parquet")
    (one,) = Stored(tmp_path).items(Viewer(1))
    assert [look.flaw for look in one.looks] == [None]
