"""Data sets and reports: read back by the datasets library, whole or not there, and inert as Markdown."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evalkit import ImageFile
from evalkit.curation import dataset
from evalkit.curation.dataset import Row, write_dataset
from evalkit.curation.report import Fate, Report, Source, Table, markdown, step, write_report
from evalkit.engines.base import Message
from evalkit.errors import DataError, EvalkitError, InfrastructureError
from tests.trajectories import board, picture

COLUMNS = {"answer": str, "calls": int, "share": float, "seen": bool}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads a data set as its users do."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    return lambda place: datasets.load_dataset(str(place), cache_dir=str(tmp_path / "cache"))["train"]


def rows(count: int = 3) -> Iterator[Row]:
    for n in range(count):
        image = picture(board(size=(60 + n, 70)))
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8 + n)).save(buffer, "JPEG")
        crop = ImageFile.from_bytes(buffer.getvalue())
        asked = Message("user", (image, f"What is {n}?"))
        said = asked, Message("tool", ("a", crop, "b")), Message("assistant", ("A",))
        columns = {"answer": "A", "calls": n, "share": n / 2, "seen": None if n else True}
        yield Row(id=f"r{n}", messages=said[: 3 if n else 1], columns=columns)


def test_it_is_read_back_as_it_was(tmp_path: Path, load: Any) -> None:
    info = write_dataset(rows(), tmp_path / "out", COLUMNS)
    assert (info.rows, info.images) == (3, 5)
    assert [file.name for file in info.files] == ["data/train-00000-of-00001.parquet"]
    data = load(tmp_path / "out")
    assert data.column_names == list(info.columns) == ["id", "messages", "images", *COLUMNS]
    assert data["id"] == ["r0", "r1", "r2"]
    assert data["seen"] == [True, None, None]
    assert data["share"] == [0.0, 0.5, 1.0]
    assert [message["role"] for message in data[2]["messages"]] == ["user", "tool", "assistant"]
    assert data[2]["messages"][1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image", "text": None},
        {"type": "text", "text": "b"},
    ]
    assert [image.size for image in data[2]["images"]] == [(62, 70), (8, 10)]
    assert [image.format for image in data[2]["images"]] == ["PNG", "JPEG"]


def test_a_prompt_without_an_answer(tmp_path: Path, load: Any) -> None:
    write_dataset(rows(1), tmp_path, COLUMNS, "prompt")
    assert load(tmp_path)[0]["prompt"][0]["role"] == "user"


def test_large_data_sets_are_many_files(tmp_path: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHARD_BYTES", 1)
    monkeypatch.setattr(dataset, "GROUP_BYTES", 1)
    info = write_dataset(rows(5), tmp_path / "out", COLUMNS)
    assert [file.name for file in info.files] == [f"data/train-{n:05d}-of-00005.parquet" for n in range(5)]
    assert load(tmp_path / "out")["calls"] == [0, 1, 2, 3, 4]


def test_equal_rows_make_equal_files(tmp_path: Path) -> None:
    a, b = (write_dataset(rows(), tmp_path / name, COLUMNS) for name in "ab")
    assert a == b


def test_no_rows_leave_nothing(tmp_path: Path) -> None:
    info = write_dataset([], tmp_path / "out", COLUMNS)
    assert (info.rows, info.files) == (0, ())
    assert list((tmp_path / "out").iterdir()) == []


def test_an_image_that_is_gone_leaves_nothing_half(tmp_path: Path) -> None:
    picture(board()).open().save(tmp_path / "a.png")
    image = ImageFile.from_path(tmp_path / "a.png")
    assert image.header.width == 120
    row = Row(id="r", messages=(Message("user", (image,)),), columns=dict.fromkeys(COLUMNS))
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"row r: cannot read image .*No such file"):
        write_dataset([*rows(), row], tmp_path / "out", COLUMNS)
    assert list((tmp_path / "out").iterdir()) == []
    picture(board("red")).open().save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"row r: image .* is not the one that was recorded"):
        write_dataset([row], tmp_path / "out", COLUMNS)


def test_a_data_set_is_never_overwritten(tmp_path: Path) -> None:
    write_dataset(rows(), tmp_path, COLUMNS)
    with pytest.raises(EvalkitError, match="is there already"):
        write_dataset(rows(), tmp_path, COLUMNS)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InfrastructureError, match=r"cannot write .*file"):
        write_dataset(rows(), tmp_path / "file", COLUMNS)


@pytest.mark.parametrize("columns", [{"answer": 3}, {"other": 1}, {}, {"calls": True}, {"share": 1}])
def test_columns_of_another_kind_are_a_mistake_of_the_program(tmp_path: Path, columns: dict[str, Any]) -> None:
    full = dict.fromkeys(COLUMNS) | columns if columns else {}
    with pytest.raises(ValueError, match="row r"):
        write_dataset([Row(id="r", messages=(), columns=full)], tmp_path, COLUMNS)
    with pytest.raises(ValueError, match="every data set has"):
        write_dataset([], tmp_path, {"images": str})


HOSTILE = "a|b\n# <script>alert(1)</script> `x` [l](http://e.x)"


def report() -> Report:
    fates = [Fate(run="r", id="1", step="f", reason="bad"), Fate(run="r", id="2", step="f", reason="gone", error=True)]
    return Report(
        title="T",
        sources=(Source(run=HOSTILE, task="t", model="m", config_hash="0", rows=5),),
        steps=(step("f", 3, fates, "It looks."),),
        settings={"judge": {"model": HOSTILE}},
        dataset=None,
        tables=(Table(title="H", head=("kind", "rows"), rows=((HOSTILE, 1234567),)),),
        notes=(HOSTILE,),
    )


def test_counts_add_up() -> None:
    [one] = report().steps
    assert (one.entered, one.kept, one.dropped, one.reasons, one.errors) == (5, 3, 1, {"bad": 1}, {"gone": 1})


def test_the_report_is_written_in_both_forms(tmp_path: Path) -> None:
    write_report(report(), tmp_path / "out", [Fate(run="r", id="1", found={"marks": {"a": 1}})])
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored["steps"][0]["reasons"] == {"bad": 1}
    assert json.loads((tmp_path / "out" / "rows.jsonl").read_text()) == {
        "run": "r",
        "id": "1",
        "found": {"marks": {"a": 1}},
    }
    assert (tmp_path / "out" / "report.md").read_text() == markdown(report())


def test_a_page_is_inert() -> None:
    page = markdown(report())
    assert "1,234,567" in page
    assert "<script>" not in page
    assert "\n# <" not in page
    assert "[l](" not in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables if "script" in line} <= {3, 6}
