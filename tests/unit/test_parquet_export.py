"""A run as a Hugging Face data set: every trajectory of every arm, images as their own bytes, nothing half written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from evalkit import ImageFile, Observation, Verdict
from evalkit.bridges.parquet import COLUMNS, write_parquet
from evalkit.errors import DataError, EvalkitError, NothingEvaluatedError
from evalkit.records import Record
from evalkit.runs.store import RunStore, latest_records, stream_latest
from tests.run_folders import row, write_run


def seen(id: object, image: ImageFile, crop: ImageFile, **more: object) -> Record:
    """A trajectory that called a tool and was shown an image."""
    record = row(id, calls=1, images=(image,), **more)  # type: ignore[arg-type]
    (turn,) = record.trajectory.turns
    first = msgspec.structs.replace(turn, observations=(Observation(text="here", images=(crop,)),))
    trajectory = msgspec.structs.replace(record.trajectory, turns=(first, msgspec.structs.replace(turn, calls=())))
    return msgspec.structs.replace(record, trajectory=trajectory)


@pytest.fixture
def crop() -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (8, 8), (0, 200, 10)), "crop.png")


def test_it_is_read_by_datasets_as_it_was_written(tmp_path: Path, png: ImageFile, crop: ImageFile) -> None:
    import datasets

    rows = [seen(1, png, crop), row(2, Verdict.ENGINE_ERROR), row(3, False, arm="direct", partial=True)]
    done = write_parquet(write_run(tmp_path / "run", rows), tmp_path / "out")
    assert (done.rows, done.images) == (3, 2)
    files = str(tmp_path / "out" / "data" / "*.parquet")
    found = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    assert set(found.column_names) == {"id", "messages", "images", *COLUMNS}
    first, second, third = found
    assert [message["role"] for message in first["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert first["messages"][0]["content"][0] == {"type": "image", "text": None}
    assert [image.size for image in first["images"]] == [(40, 30), (8, 8)]
    assert (first["correct"], first["calls"], first["turns"], first["arm"]) == (True, 1, 2, "agent")
    assert (second["correct"], second["verdict"], second["error"]) == (None, "engine_error", "the server went away")
    assert (third["correct"], third["calls"], third["arm"]) == (False, None, "direct")


def test_images_are_the_recorded_bytes(tmp_path: Path, png: ImageFile, crop: ImageFile) -> None:
    import pyarrow.parquet as pq

    write_parquet(write_run(tmp_path / "run", [seen(1, png, crop)]), tmp_path / "out")
    (file,) = (tmp_path / "out" / "data").iterdir()
    images = pq.read_table(file)["images"][0].as_py()
    assert [hashlib.sha256(image["bytes"]).hexdigest() for image in images] == [png.header.sha256, crop.header.sha256]


def test_only_the_valid_line_of_a_trajectory_is_written(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [row(1, False), row(2)])
    with RunStore(folder) as store:
        store.append(row(1, True))
    assert {record.key: record for record in stream_latest(folder)} == latest_records(folder)
    assert write_parquet(folder, tmp_path / "out").rows == 2


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path, png: ImageFile, crop: ImageFile) -> None:
    folder = write_run(tmp_path / "run", [seen(1, png, crop)])
    (folder / "images" / crop.header.filename).unlink()
    with pytest.raises(DataError, match=r"row 1: .*is the run folder whole\?"):
        write_parquet(folder, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_an_empty_run_and_a_folder_with_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingEvaluatedError, match="no finished trajectory"):
        write_parquet(write_run(tmp_path / "empty", []), tmp_path / "none")
    folder = write_run(tmp_path / "run", [row(1)])
    write_parquet(folder, tmp_path / "out")
    with pytest.raises(EvalkitError, match="is there already"):
        write_parquet(folder, tmp_path / "out")
