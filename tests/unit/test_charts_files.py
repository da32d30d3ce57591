"""Charts as files: SVG and PDF for papers, the same bytes each time, and plain words where they cannot be written."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evalkit.analysis.board import Entry
from evalkit.analysis.figure import Figure
from evalkit.errors import ExitCode, InfrastructureError
from evalkit.reporting.charts import save_figures
from evalkit.reporting.charts.style import colours
from tests.chart_boards import HOSTILE, bare, board, boards, entry


def some(*names: str) -> list[Entry]:
    """Runs of which few charts are made, as PDFs take their time."""
    fields: dict[str, Any] = {"budgets": (), "own": (), "need": None, "categories": {}, "p50": Figure()}
    return [msgspec.structs.replace(entry(name, seed), **fields) for seed, name in enumerate(names)]


TWO = boards(board(some("one", "two"), "vstar"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return save_figures(TWO, tmp_path_factory.mktemp("figures") / "new" / "folder")


def test_each_chart_is_an_svg_and_a_pdf_named_by_benchmark_and_chart(written: list[Path]) -> None:
    assert {"vstar-accuracy-tool-rate.svg", "vstar-accuracy-tool-rate.pdf"} <= {file.name for file in written}
    assert sorted(written) == sorted(written[0].parent.iterdir())
    assert [file.suffix for file in written] == [".svg", ".pdf"] * (len(written) // 2)


def test_a_file_has_colours_of_its_own_and_refers_to_nothing(written: list[Path]) -> None:
    for file in written[::2]:
        text = file.read_text("utf-8")
        root = ET.fromstring(text)
        assert "var(" not in text
        assert set(re.findall("#[0-9a-f]{6}", text)) <= set(colours().values())
        ground = root.find("{http://www.w3.org/2000/svg}rect")
        assert ground is not None
        assert ground.get("fill") == colours()["bg"]
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
        assert "<!DOCTYPE" not in text
        assert "<metadata" not in text


def test_a_pdf_has_true_type_fonts_and_no_date(written: list[Path]) -> None:
    for file in written[1::2]:
        data = file.read_bytes()
        assert data.startswith(b"%PDF")
        assert b"/FontFile2" in data
        assert b"/Type3" not in data
        assert b"CreationDate" not in data
        assert b"Matplotlib" not in data


def test_the_bytes_are_the_same_each_time(written: list[Path], tmp_path: Path) -> None:
    again = save_figures(TWO, tmp_path)
    assert [(file.name, file.read_bytes()) for file in again] == [(file.name, file.read_bytes()) for file in written]


def test_hostile_names_make_files_inside_the_folder(tmp_path: Path) -> None:
    runs = [msgspec.structs.replace(run, call_counts={}, outcomes={}, done=0) for run in some(*HOSTILE[:4])]
    found = save_figures(boards(board(runs, "../a b"), board(runs, "../a/b"), board(runs, "")), tmp_path / "in")
    assert len({file.name for file in found}) == len(found)
    assert {file.parent for file in found} == {tmp_path / "in"}
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_nothing_to_draw_writes_nothing(tmp_path: Path) -> None:
    assert save_figures(boards(), tmp_path) == []
    assert save_figures(boards(board([bare("nothing")], figures=())), tmp_path) == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_one_line(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError) as caught:
        save_figures(TWO, tmp_path / place)
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    message = str(caught.value)
    assert message.startswith(f"figures: cannot write {tmp_path / 'file'}")
    assert "\n" not in message


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vstar-accuracy-tool-rate.pdf").mkdir()
    with pytest.raises(InfrastructureError, match=r"vstar-accuracy-tool-rate\.pdf: Is a directory"):
        save_figures(TWO, tmp_path)
