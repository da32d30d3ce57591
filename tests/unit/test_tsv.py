from __future__ import annotations

import base64
import csv
import io
import math
import os
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.errors import DataError
from evalkit.sources import TsvTable, load_tsv
from evalkit.sources._base64 import decode, decoded_size, wrong_base64
from evalkit.sources._delimited import BadRecordError, delimited

COLUMNS = {"index": str, "question": str, "answer": str}


def picture(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (shade, 90, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def text(shade: int = 0) -> str:
    return base64.b64encode(picture(shade)).decode()


def row(index: object, **cells: object) -> dict[str, object]:
    return {"index": index, "image": text(), "question": "How many?", "A": "1", "B": "2", "answer": "A", **cells}


def table(folder: Path, rows: Sequence[dict[str, object]], name: str = "T.tsv", **how: Any) -> Path:
    """A table written as VLMEvalKit's are, by pandas."""
    file = folder / name
    pd.DataFrame(rows).to_csv(file, sep="\t", index=False, **how)
    return file


def load(file: Path, columns: dict[str, type] | None = None, label: str = "index") -> TsvTable:
    return load_tsv("t", file, columns or COLUMNS, label)


def refusal(file: Path, columns: dict[str, type] | None = None) -> str:
    with pytest.raises(DataError) as error:
        load(file, columns)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_rows_and_images(tmp_path: Path) -> None:
    hard = 'Which "sign"\tis it?\nLook: "STOP", 停'
    file = table(tmp_path, [row(7, question=hard, hint=None), row(8, image=text(200), B=None, hint="x")])
    found = load(file)
    assert found.rows == [
        {"index": "7", "question": hard, "A": "1", "B": "2", "answer": "A", "hint": ""},
        {"index": "8", "question": "How many?", "A": "1", "B": "", "answer": "A", "hint": "x"},
    ]
    assert (found.name, found.revision) == ("T.tsv", None)
    first, second = found.image("image", 0, "7"), found.image("image", 1, "8")
    assert (first.read(), second.read()) == (picture(), picture(200))
    assert (first.size(), second.size()) == (len(picture()), len(picture(200)))
    assert (second.header.width, second.header.height) == (16, 12)


@pytest.mark.parametrize(
    "how",
    [{}, {"lineterminator": "\r\n"}, {"quoting": csv.QUOTE_ALL}, {"encoding": "utf-8-sig"},
     {"quoting": csv.QUOTE_ALL, "lineterminator": "\r\n", "encoding": "utf-8-sig"}],
)  # fmt: skip
def test_every_way_pandas_writes(tmp_path: Path, how: dict[str, Any]) -> None:
    found = load(table(tmp_path, [row(1, question='"a"\r\nb', answer='C"'), row(2, image=text(9))], **how))
    assert [line["question"] for line in found.rows] == ['"a"\r\nb', "How many?"]
    assert found.rows[0]["answer"] == 'C"'
    assert [found.image("image", i, "").read() for i in range(2)] == [picture(), picture(9)]


def test_the_last_line_may_lack_its_end_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    file = table(tmp_path, [row(1), row(2)])
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], b"", lines[1], b"", lines[2]]))
    assert [line["index"] for line in load(file).rows] == ["1", "2"]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.text('"\t\n\r a', max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=1, max_size=5))
def test_records_are_what_csv_wrote(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t", lineterminator="\r\n").writerows(rows)
    stream = io.BytesIO(text.getvalue().encode())
    assert [[r.cell(i).decode() for i in range(len(r.cells))] for r in delimited(stream)] == rows


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text('"\t\n\r;a', max_size=40).map(str.encode))
def test_any_bytes_are_records_or_a_named_error(data: bytes) -> None:
    try:
        records = list(delimited(io.BytesIO(data)))
    except BadRecordError:
        return
    assert b"".join(bytes(record.data) for record in records) == data
    assert all(start <= end <= len(record.data) for record in records for start, end in record.cells)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_base64_of_any_bytes_passes_and_tells_its_size(data: bytes) -> None:
    cell = base64.b64encode(data)
    assert wrong_base64(cell, cell, len(cell)) == ""
    assert decoded_size(cell, len(cell)) == len(data)
    assert decode(cell) == data


def test_rows_share_images_by_index(tmp_path: Path) -> None:
    found = load(
        table(tmp_path, [row(0, image="2"), row(1, image=text(50)), row(2, image=text(80)), row(3, image="1.0")])
    )
    assert [found.image("image", i, "").read() for i in range(4)] == [picture(n) for n in (80, 50, 80, 50)]


def test_typed_columns(tmp_path: Path) -> None:
    file = table(tmp_path, [row(1, n="3", x="1.5"), row(2, n="4.0", x="-2")])
    found = load(file, {"index": int, "n": int, "x": float})
    assert [(line["index"], line["n"], line["x"]) for line in found.rows] == [(1, 3, 1.5), (2, 4, -2.0)]


@pytest.mark.parametrize(
    ("cell", "kind", "message"),
    [
        ("3.5", int, "column 'n' is '3.5', not a whole number (row 1, index 1)"),
        ("three", int, "column 'n' is 'three', not a whole number (row 1, index 1)"),
        ("1e999", float, "column 'n' is '1e999', not a number (row 1, index 1)"),
        ("inf", float, "column 'n' is 'inf', not a number (row 1, index 1)"),
        ("9" * 200_000, float, "not a number (row 1, index 1)"),
        ("NaN", float, "column 'n' is NaN (row 1, index 1)"),
    ],
)
def test_cells_of_another_type_are_named(tmp_path: Path, cell: str, kind: type, message: str) -> None:
    assert refusal(table(tmp_path, [row(1, n=cell)]), {"n": kind}).endswith(message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(1), {**row(2), "answer": None}], "column 'answer' is empty (row 2, index 2)"),
        ([row(1), row(2, answer="nan")], "column 'answer' is NaN (row 2, index 2)"),
        ([row(1), row(2, question=" ")], "column 'question' is empty (row 2, index 2)"),
        ([row(1), row(2), row(1)], "index 1 is double, row 1 has it too (row 3, index 1)"),
        ([row(1), row("1.0")], "index 1.0 is double, row 1 has it too (row 2, index 1.0)"),
        ([row(1, image=None)], "column 'image' is empty (row 1, index 1)"),
        ([row(1, image="nan")], "column 'image' is NaN (row 1, index 1)"),
        ([row(1, image="9")],
         "column 'image' is '9', which is neither an image nor the index of a row (row 1, index 1)"),
        ([row(1, image="2"), row(2, image="1")],
         "column 'image' is '2', the index of row 2, which has no image of its own (row 1, index 1)"),
        ([row(1, image="images/a b c.png" * 9)], "column 'image' is not base64 text (row 1, index 1)"),
        ([row(1, image=f"['{text()}', '{text()}']")], "column 'image' is not base64 text (row 1, index 1)"),
        ([row(1, image=text() + "=AAA")], "column 'image' is not base64 text (row 1, index 1)"),
        ([row(1, image="AAAA" * 400 + "A")],
         "column 'image' is not base64 text: its length 1,601 is no multiple of 4 (row 1, index 1)"),
        ([row(1, image=text() * 90 + "*" + text())], "column 'image' is not base64 text (row 1, index 1)"),
    ],
)  # fmt: skip
def test_bad_cells_are_named(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    assert refusal(table(tmp_path, rows)) == f"t: T.tsv: {message}"


HEADER = b"index\timage\tquestion\tanswer\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t: T.tsv holds no rows"),
        (HEADER, "t: T.tsv holds no rows"),
        (b"\n\n", "t: T.tsv lacks column 'index'"),
        (b"index\tquestion\tanswer\n1\tq\tA\n", "t: T.tsv lacks column 'image'"),
        (b"index\timage\tquestion\n", "t: T.tsv lacks column 'answer'"),
        (b"index\timage\tquestion\tanswer\tanswer\n", "t: T.tsv has column 'answer' more than once"),
        (HEADER + b"1\tAAAA\tq\n", "t: T.tsv: 3 cells, not 4 (row 1, index 1)"),
        (HEADER + b"1\tAAAA\tq\tA\tB\n", "t: T.tsv: 5 cells, not 4 (row 1, index 1)"),
        (HEADER + b"1\tAAAA\t\xff\xfe\tA\n", "t: T.tsv: column 'question' is not UTF-8 text (row 1, index 1)"),
        (HEADER + b"1\tAAAA\tq\0\tA\n", "t: T.tsv: NUL bytes, where UTF-8 text is expected (row 1, index 1)"),
        (HEADER + b'1\tAAAA\t"q\tA\n2\t', "t: T.tsv: a quoted cell is not closed before the file ends (row 1)"),
        (HEADER + b'1\tAAAA\t"q" x\tA\n', "t: T.tsv: a cell goes on after its closing quote (row 1)"),
        ("index\timage\n".encode("utf-16"), "t: T.tsv holds NUL bytes in its header; it must be UTF-8 text"),
        (b"\xff\xff\n", "t: T.tsv: the header is not UTF-8 text"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "T.tsv"
    file.write_bytes(content)
    assert refusal(file) == message


def test_an_open_quote_does_not_take_the_whole_file_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.sources._delimited.LONGEST", 1 << 20)
    file = tmp_path / "T.tsv"
    file.write_bytes(HEADER + b'1\tAAAA\t"' + b"line\n" * 1_000_000)
    assert refusal(file) == "t: T.tsv: it is longer than 1 MiB; a quote was left open, or it is no table (row 1)"


def test_a_missing_file_and_a_folder_in_its_place(tmp_path: Path) -> None:
    assert refusal(tmp_path / "T.tsv") == f"t: no T.tsv in {tmp_path}"
    assert refusal(tmp_path).startswith(f"t: cannot read {tmp_path}: ")


def test_what_only_a_whole_reading_shows_is_named_when_the_image_is_read(tmp_path: Path) -> None:
    middle = "A" * 8000 + "*" + "A" * 8003
    image = load(table(tmp_path, [row(5, image=middle)])).image("image", 0, "5")
    with pytest.raises(DataError, match=r"^T\.tsv: column 'image' is not base64 text \(row 1, 5\)$"):
        image.read()


def test_a_table_that_changes_under_a_run_is_noticed(tmp_path: Path) -> None:
    file = table(tmp_path, [row(1)])
    image = load(file).image("image", 0, "1")
    assert image.read() == picture()
    os.utime(file, ns=(1, 1))
    with pytest.raises(DataError, match=r"T\.tsv was changed while it was in use; start again$"):
        image.read()
    file.unlink()
    with pytest.raises(DataError, match=r"^cannot read image 1: "):
        image.read()


def test_marks_tell_images_apart_without_reading_them(tmp_path: Path) -> None:
    found = load(table(tmp_path, [row(1), row(2, image=text(7)), row(3)]))
    marks = [found.image("image", i, str(i)).mark() for i in range(3)]
    assert marks[0] == marks[2] != marks[1]


def paths(folder: Path, *cells: str) -> Path:
    (folder / "images").mkdir()
    (folder / "images" / "it's.png").write_bytes(picture(3))
    bare = [{k: v for k, v in row(i).items() if k != "image"} | {"image_path": cell} for i, cell in enumerate(cells)]
    return table(folder, bare)


def test_images_by_path(tmp_path: Path) -> None:
    found = load(paths(tmp_path, "images/it's.png", """["images/it's.png"]"""))
    assert [found.image("image", i, "").read() for i in range(2)] == [picture(3)] * 2
    assert "image_path" not in found.rows[0]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("../T.tsv", "t: '../T.tsv' is no path inside the data's folder (row 1, index 0)"),
        ("['a.png', 'b.png']", "t: T.tsv: column 'image_path' holds a list that is not of one path (row 1, index 0)"),
        ("[]", "t: T.tsv: column 'image_path' holds a list that is not of one path (row 1, index 0)"),
        ("[" * 9000, "t: T.tsv: column 'image_path' holds a list that is not of one path (row 1, index 0)"),
        ("['']", "t: '' is no path inside the data's folder (row 1, index 0)"),
        ("", "t: T.tsv: column 'image_path' is empty (row 1, index 0)"),
    ],
)
def test_paths_that_lead_nowhere(tmp_path: Path, cell: str, message: str) -> None:
    assert refusal(paths(tmp_path, cell)) == message


def test_memory_stays_small(tmp_path: Path) -> None:
    """Thirty images of 1 MB each; never more than a few of them are held, also when they are read."""
    file = tmp_path / "T.tsv"
    cell = base64.b64encode(os.urandom(1_000_002))
    with file.open("wb") as stream:
        stream.write(HEADER)
        for index in range(30):
            stream.write(b"%d\t%s\tq\tA\n" % (index, cell))
    tracemalloc.start()
    found = load(file)
    sizes = [len(found.image("image", i, "").read()) for i in range(30)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [1_000_002] * 30
    assert peak < 8_000_000


@pytest.mark.parametrize("make", [lambda i: str(i), lambda i: f"{i}.0", lambda i: f"q-{i}"])
def test_indices_of_any_form(tmp_path: Path, make: Callable[[int], str]) -> None:
    found = load(table(tmp_path, [row(make(i), image=text() if i == 0 else make(0)) for i in range(3)]))
    assert found.image("image", 2, "").read() == picture()
    assert not any(isinstance(value, float) and math.isnan(value) for value in found.rows[0].values())
