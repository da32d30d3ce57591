from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import datasets
import pytest
from PIL import Image

from evalkit import sources
from evalkit.errors import DataError
from evalkit.sources import file_inside, load_hub, read_json, read_rows
from evalkit.task import HubDataset

COLUMNS = {"ID": str, "option": str}


def write(folder: Path, content: object) -> Path:
    file = folder / "testmini.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def rows(*extra: object) -> list[object]:
    return [{"ID": f"2steps_{i}", "option": "A"} for i in range(1, 17)] + list(extra)


def test_rows(tmp_path: Path) -> None:
    assert len(read_rows("wemath", write(tmp_path, rows()), COLUMNS, "ID")) == 16
    assert read_rows("wemath", write(tmp_path, "\ufeff[]"), COLUMNS, "ID") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows({"ID": "2steps_3"}), "wemath: testmini.json lacks column 'option' (row 17, ID 2steps_3)"),
        (rows({"option": "A"}), "wemath: testmini.json lacks column 'ID' (row 17)"),
        (
            rows({"ID": "x\ny", "option": None}),
            "wemath: testmini.json: column 'option' is NoneType, not text (row 17, ID x y)",
        ),
        (rows([1]), "wemath: testmini.json holds no object (row 17)"),
        ({"a": 1}, "wemath: testmini.json holds no list of rows"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_rows("wemath", write(tmp_path, content), COLUMNS, "ID")
    assert str(error.value) == message


@pytest.mark.parametrize("content", ["", "[1,", "[" * 100_000, '["\udcff"]'.encode("utf-8", "surrogateescape")])
def test_broken_json(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "testmini.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match="is not valid JSON") as error:
        read_json("wemath", file)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^wemath: no testmini\.json in .*--data"):
        read_json("wemath", tmp_path / "testmini.json")
    (tmp_path / "testmini.json").mkdir()
    with pytest.raises(DataError, match=r"^wemath: cannot read"):
        read_json("wemath", tmp_path / "testmini.json")


def test_files_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "secret.png").touch()
    inside = tmp_path / "data" / "a" / "x.png"
    inside.touch()
    assert file_inside("t", tmp_path / "data", "a/x.png", "(row 1)") == inside
    for path in ("../secret.png", "a/../../secret.png", str(inside), "", "..\\secret.png", "c:/x.png", "a\0b"):
        with pytest.raises(DataError, match=r"is no path inside the data's folder \(row 1\)$"):
            file_inside("t", tmp_path / "data", path, "(row 1)")
    for path in ("a/y.png", "a", "."):
        with pytest.raises(DataError, match=r"^t: no file .* \(row 1\)$"):
            file_inside("t", tmp_path / "data", path, "(row 1)")


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local data set of two rows in the layout that `datasets` knows from the hub."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features(
        {"ID": datasets.Value("string"), "number": datasets.Value("int64"), "image": datasets.Image()}
    )
    table = datasets.Dataset.from_dict(
        {"ID": ["p", "q"], "number": [1, 2], "image": [{"bytes": png(), "path": "p.png"}, None]}, features=features
    )
    (tmp_path / "hub" / "data").mkdir(parents=True)
    table.to_parquet(str(tmp_path / "hub" / "data" / "testmini-00000-of-00001.parquet"))
    return tmp_path / "hub"


def load(
    folder: Path, split: str = "testmini", config: str = "", images: Sequence[str] = ("image",)
) -> sources.HubTable:
    return load_hub("t", HubDataset(id=str(folder), split=split, config=config), {"ID": str}, images, "ID")


def test_hub_images_stay_encoded(hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    capfd.readouterr()
    table = load(hub)
    assert capfd.readouterr() == ("", "")
    assert (datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()) == before
    assert table.rows == [{"ID": "p", "number": 1}, {"ID": "q", "number": 2}]
    assert table.revision is None
    image = table.image("image", 0, "p")
    assert image.read() == png()
    assert (image.header.width, image.header.height) == (4, 3)
    with pytest.raises(DataError, match=r"column 'image' holds no image \(row 2\)"):
        table.image("image", 1, "q").read()


def test_hub_errors(hub: Path) -> None:
    with pytest.raises(DataError, match=r"^t: cannot load .*nope.*--data DIR, or try --data sample$"):
        load(hub, split="nope")
    with pytest.raises(DataError, match=r"^t: cannot load .*conf"):
        load(hub, config="conf")
    with pytest.raises(DataError, match=r"^t: cannot load .*"):
        load(hub / "absent")
    with pytest.raises(DataError, match=r"^t: .* \(testmini\) lacks column 'missing'$"):
        load(hub, images=("missing",))
    with pytest.raises(DataError, match=r"^t: column 'number' of .* holds no images$"):
        load(hub, images=("number",))


def test_hub_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)

    def unreachable(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
    with pytest.raises(DataError) as error:
        load_hub("t", HubDataset(id="Some/where", split="x"), {}, [], "ID")
    assert str(error.value) == (
        "t: cannot load Some/where (x): the hub cannot be reached; "
        "download it and give its folder with --data DIR, or try --data sample"
    )
    assert datasets.config.HF_HUB_OFFLINE is False


def test_hub_revision_is_pinned(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    table = datasets.Dataset.from_dict({"ID": ["p"]})

    class Info:
        sha = "c0ffee"

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, *a, **k: Info)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or table)
    found = load_hub("t", HubDataset(id="Some/where", split="x", config="c"), {"ID": str}, [], "ID")
    assert found.revision == "c0ffee"
    assert asked == [(("Some/where", "c"), {"split": "x", "revision": "c0ffee"})]
