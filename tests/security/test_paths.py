"""No name in a data set, a card, a log or an archive leads out of its folder."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.bridges.rows import read_rows
from evalkit.cli import main
from evalkit.errors import DataError, EvalkitError
from evalkit.runs.folder import new_run_folder
from evalkit.sources.folder import file_inside, path_inside
from tests.run_folders import row, write_run

HOSTILE = (
    "../x",
    "/etc/passwd",
    "a/../../x",
    "..",
    "C:\\x",
    "\\\\host\\x",
    "a\0b",
    "",
    "a:b",
    "..\\x",
    "file:///etc/passwd",
)
NAMES = (
    "../../evil",
    "/evil",
    "..",
    ".",
    "",
    "\0",
    "a/b",
    "CON",
    "-rf",
    "~",
    "$(touch x)",
    "*",
    "[a]",
    "%2e%2e%2f",
    "x" * 300,
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_data_set_names_files_of_its_own_folder_alone(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        file_inside("task", tmp_path, name, "(row 1)")
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="./\\:a~\0\u2215\uff0e", max_size=12))
def test_no_path_leads_out(name: str) -> None:
    try:
        found = PurePosixPath("/data/set") / path_inside("task", name, "(row 1)")
    except DataError:
        return
    assert ".." not in found.parts
    assert found.is_relative_to("/data/set")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_folder_stands_in_the_folder_of_runs(name: str, tmp_path: Path) -> None:
    folder = new_run_folder(tmp_path / "runs", name, name)
    assert folder.parent == tmp_path / "runs"
    assert folder.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_an_imported_table_names_nothing_but_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.jsonl"
    rows = [
        {"id": name, "question": name, "response": name, "correct": 1, "category": name} for name in set(NAMES) - {""}
    ]
    table.write_text("".join(json.dumps(line) + "\n" for line in rows))
    arguments = [
        "import",
        "table",
        str(table),
        "--benchmark",
        "../../evil",
        "--model",
        "/evil",
        "--out",
        str(tmp_path / "runs"),
    ]
    assert main(arguments) == 0, capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "table.jsonl"]
    (run,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in run.iterdir()} <= {"run.json", "samples.jsonl", "images", "summary.json", "report.md"}


def packed(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A zip file with any names, and with links."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, target)
    return out.getvalue()


SHEET = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd"><!ENTITY b "bbbbbbbbbb">'
    + "".join(f'<!ENTITY b{i} "{f"&b{i - 1 if i > 1 else chr(32).strip()};" * 10}">' for i in range(1, 9))
    + "]><x>&a;&b8;</x>"
)


@pytest.mark.parametrize(
    "part", ["[Content_Types].xml", "xl/workbook.xml", "xl/sharedStrings.xml", "xl/worksheets/sheet1.xml"]
)
def test_a_spreadsheet_reads_nothing_outside_and_unpacks_nothing_to_disk(part: str, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    file = tmp_path / "table.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["id", "response", "correct"])
    book.active.append(["a", "text", 1])
    book.save(file)
    with zipfile.ZipFile(file) as good:
        members = {name: good.read(name) for name in good.namelist()}
    file.write_bytes(
        packed({**members, part: SHEET.encode(), "../../escaped": b"x", "/abs": b"x"}, {"link": "/etc/passwd"})
    )
    said = ""
    try:
        said = str(list(read_rows(file)))
    except EvalkitError as error:
        said = str(error)
    assert "root:" not in said
    assert "\n" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["table.xlsx"]


def test_a_spreadsheet_that_claims_terabytes_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openpyxl")
    monkeypatch.setattr("evalkit.bridges.rows.LARGEST_SHEET", 1 << 20)
    file = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("xl/sharedStrings.xml", bytes(2 << 20))
    with pytest.raises(DataError, match="unpacks to more than"):
        list(read_rows(file))


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc", "..", "lmms:../../x", "recorded:../x", "a\0b"])
def test_the_task_of_a_strangers_run_opens_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "run", [row(1)], task={"name": name, "options": {"rows": "/etc/passwd", "file": "../x"}})
    main(["report", str(tmp_path / "run"), "--json", str(tmp_path / "r.json")])
    main(["show", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert "root:" not in said.out + said.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "r.json") == ["run"]
