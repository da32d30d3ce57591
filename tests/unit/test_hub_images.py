"""Image columns of hub data sets that are text: base64, or paths of files in the repository."""

from __future__ import annotations

import base64
import io
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from evalkit.errors import DataError
from evalkit.sources import HubTable, load_hub, load_parquet
from evalkit.task import HubDataset


def picture(shade: int = 0, side: int = 16) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def text(shade: int = 0, side: int = 16) -> str:
    return base64.b64encode(picture(shade, side)).decode()


Make = Callable[[Sequence[str | None]], Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a local data set with a text column of images."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def write(cells: Sequence[str | None]) -> Path:
        features = datasets.Features({"index": datasets.Value("int64"), "image": datasets.Value("string")})
        table = datasets.Dataset.from_dict({"index": range(len(cells)), "image": cells}, features=features)
        (tmp_path / "hub" / "data").mkdir(parents=True)
        table.to_parquet(str(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet"))
        return tmp_path / "hub"

    return write


def load(folder: Path | str, revision: str | None = None) -> HubTable:
    hub = HubDataset(id=str(folder), split="test", revision=revision)
    return load_hub("t", hub, {"index": int}, ["image"], "index")


def test_base64_text(make: Make) -> None:
    table = load(make([text(1), text(2), text(1)]))
    assert table.rows == [{"index": 0}, {"index": 1}, {"index": 2}]
    images = [table.image("image", i, str(i)) for i in range(3)]
    assert [image.read() for image in images] == [picture(1), picture(2), picture(1)]
    assert [image.size() for image in images] == [len(picture())] * 3
    assert images[0].mark() == images[2].mark() != images[1].mark()


def test_one_parquet_file_is_enough(make: Make) -> None:
    (file,) = (make([text(4)]) / "data").iterdir()
    table = load_parquet("t", file, {"index": int}, ["image"], "index")
    assert (table.rows, table.name, table.revision) == ([{"index": 0}], file.name, None)
    assert table.image("image", 0, "0").read() == picture(4)


def test_files_that_are_no_parquet(tmp_path: Path, make: Make) -> None:
    with pytest.raises(DataError, match=r"^t: no x\.parquet in "):
        load_parquet("t", tmp_path / "x.parquet", {}, [], "index")
    (tmp_path / "x.parquet").write_text("index\timage")
    with pytest.raises(DataError, match=r"^t: cannot load .*x\.parquet: ") as error:
        load_parquet("t", tmp_path / "x.parquet", {}, [], "index")
    assert "\n" not in str(error.value)
    (file,) = (make([text()]) / "data").iterdir()
    with pytest.raises(DataError, match=rf"^t: {file.name} lacks column 'question'$"):
        load_parquet("t", file, {"question": str}, ["image"], "index")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, r"^t: .*hub: column 'image' holds no image \(row 2\)$"),
        ("", r"^t: .*hub: column 'image' holds no image \(row 2\)$"),
        ("no base64", r"^t: .*hub: column 'image' is not base64 text \(row 2\)$"),
        (text() + "A", r"^t: .*hub: column 'image' is not base64 text.* \(row 2\)$"),
        ("../a.png", r"^t: '\.\./a\.png' is no path inside the data's folder \(row 2\)$"),
        ("a/b.png", r"^t: no file a/b\.png in .*hub \(row 2\)$"),
    ],
)
def test_bad_cells_are_named_before_the_run(make: Make, cell: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(make([text(), cell]))


def test_what_only_a_whole_reading_shows_is_named_when_the_image_is_read(make: Make) -> None:
    table = load(make(["A" * 8000 + "*" + "A" * 8003]))
    with pytest.raises(DataError, match=r"column 'image' is not base64 text \(row 1\)$"):
        table.image("image", 0, "0").read()


def test_base64_is_not_held_in_memory(make: Make) -> None:
    folder = make([text(i, 600) for i in range(12)])
    load(folder)  # converts the files into the cache
    tracemalloc.start()
    table = load(folder)
    sizes = {len(table.image("image", i, "").read()) for i in range(12)}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == {len(picture(0, 600))}
    assert len(picture(0, 600)) > 1_000_000
    assert peak < 8_000_000


def test_paths_in_a_local_folder(make: Make) -> None:
    folder = make(["a/x.png", text(3)])
    (folder / "a").mkdir()
    (folder / "a" / "x.png").write_bytes(picture(9))
    table = load(folder)
    assert [table.image("image", i, str(i)).read() for i in range(2)] == [picture(9), picture(3)]


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """A hub that has one data set of paths, and one file; the calls for files are kept."""
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    table = datasets.Dataset.from_dict({"index": [0, 1], "image": ["a/x.png", "a/gone.png"]})
    (tmp_path / "x.png").write_bytes(picture(5))

    class Info:
        sha = "c0ffee"

    def download(*args: Any, tqdm_class: type, **kwargs: Any) -> str:
        asked.append((args, kwargs))
        bar = tqdm_class(total=1)
        bar.update(1)
        bar.close()
        if args[1] != "a/x.png":
            raise FileNotFoundError("404\nno such file")
        return str(tmp_path / "x.png")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, *a, **k: Info)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: table)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return asked


def test_files_of_the_hub_are_fetched_when_read(
    remote: list[tuple[tuple[Any, ...], dict[str, Any]]], capfd: pytest.CaptureFixture[str]
) -> None:
    table = load("Some/where")
    assert table.revision == "c0ffee"
    assert remote == []
    capfd.readouterr()
    assert table.image("image", 0, "0").read() == picture(5)
    assert capfd.readouterr() == ("", "")
    wanted = {"repo_type": "dataset", "revision": "c0ffee", "local_files_only": False}
    assert remote == [(("Some/where", "a/x.png"), wanted)]
    with pytest.raises(DataError) as error:
        table.image("image", 1, "1").read()
    assert str(error.value) == "t: cannot get a/gone.png of Some/where (row 2): 404 no such file"


def test_without_the_hub_only_the_cache_is_asked(
    remote: list[tuple[tuple[Any, ...], dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
    table = load("Some/where", revision="v1")
    assert table.image("image", 0, "0").read() == picture(5)
    assert remote[0][1] == {"repo_type": "dataset", "revision": "v1", "local_files_only": True}
    with pytest.raises(DataError, match=r"cannot get a/gone\.png of Some/where \(row 2\): the hub cannot be reached$"):
        table.image("image", 1, "1").read()
