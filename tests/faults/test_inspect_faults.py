"""Inspect logs that are damaged, hostile, too large or too new, and an Inspect that is not there: one line each."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.bridges.inspect.installed import OLDEST, require
from evalkit.cli import main
from evalkit.errors import EvalkitError
from tests.run_folders import row, write_run


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[[Path], str]:
    """What importing a log says, which must be one line and leave nothing behind."""

    def run(log: Path) -> str:
        code = main(["import", "inspect", str(log), "--out", str(tmp_path / "runs")])
        lines = capsys.readouterr().err.splitlines()
        assert (code, len(lines)) == (2, 1), lines
        assert not list((tmp_path / "runs").glob("*"))
        return lines[0]

    return run


def absent(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("version", "words"),
    [(absent, r"pip install 'evalkit\[inspect\]'"), (lambda _: "0.3.100", "too old"), (lambda _: "x", "too old")],
)
def test_without_a_proper_inspect(monkeypatch: pytest.MonkeyPatch, version: Any, words: str) -> None:
    monkeypatch.setattr(importlib.metadata, "version", version)

    with pytest.raises(EvalkitError, match=words):
        require()


def test_a_broken_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: ".".join(map(str, OLDEST)))
    monkeypatch.setitem(sys.modules, "inspect_ai.event", None)

    with pytest.raises(EvalkitError, match=r"inspect_ai .* cannot be loaded \(ModuleNotFoundError"):
        require()


def test_commands_without_inspect_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", absent)
    folder = write_run(tmp_path / "run", [row("a")])

    assert "not installed" in said(tmp_path / "x.eval")
    assert main(["export", str(folder), "--format", "inspect", "--out", str(tmp_path / "x.eval")]) == 2
    assert "not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "gone", "modules"),
    [
        ("inspect_ai.log", "condense_sample", ["write"]),
        ("inspect_ai.scorer", "Score", ["marks", "own", "read"]),
    ],
)
def test_a_release_that_lacks_what_evalkit_uses_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, gone: str, modules: list[str],
    said: Callable[[Path], str], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("inspect_ai", reason="inspect_ai is not installed (pip install 'evalkit[inspect]')")
    monkeypatch.delattr(importlib.import_module(name), gone)
    for module in modules:
        monkeypatch.delitem(sys.modules, f"evalkit.bridges.inspect.{module}", raising=False)

    if modules == ["write"]:
        folder = write_run(tmp_path / "run", [row("a")])
        assert main(["export", str(folder), "--format", "inspect", "--out", str(tmp_path / "x.eval")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
    else:
        line = said(tmp_path / "x.eval")
    assert "is not as evalkit knows it (ImportError" in line


class TestLogs:
    """Files that are no good logs."""

    @pytest.fixture(autouse=True)
    def _inspect(self) -> None:
        pytest.importorskip("inspect_ai", reason="inspect_ai is not installed (pip install 'evalkit[inspect]')")

    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        folder = write_run(tmp_path / "run", [row("a"), row("b", False)])
        assert main(["export", str(folder), "--format", "inspect", "--out", str(tmp_path / "run.eval")]) == 0
        return tmp_path / "run.eval"

    @pytest.fixture
    def changed(self, log: Path, tmp_path: Path) -> Callable[..., Path]:
        """The log with members in place of its own: bytes, or a change of the tree."""

        def make(**members: Any) -> Path:
            file = tmp_path / "changed.eval"
            with zipfile.ZipFile(log) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
                for name in old.namelist():
                    change = members.get(Path(name).stem)
                    data = old.read(name)
                    if callable(change):
                        tree = json.loads(data)
                        change(tree)
                        data = json.dumps(tree).encode()
                    new.writestr(name, data if change is None or callable(change) else change)
            return file

        return make

    def test_no_file(self, tmp_path: Path, said: Callable[[Path], str]) -> None:
        assert "cannot read" in said(tmp_path / "none.eval")

    def test_another_ending(self, tmp_path: Path, said: Callable[[Path], str]) -> None:
        assert "ends in .eval or .json" in said(tmp_path / "log.txt")

    @pytest.mark.parametrize(
        "data", [b"", b"no zip at all", b"PK\x03\x04 and then nothing", b"PK\x05\x06" + b"\0" * 18]
    )
    def test_no_archive(self, tmp_path: Path, said: Callable[[Path], str], data: bytes) -> None:
        (tmp_path / "x.eval").write_bytes(data)
        assert "x.eval" in said(tmp_path / "x.eval")

    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 2}', b'{"version": "two", "eval": {}}', b"\xff"])
    def test_no_json_log(self, tmp_path: Path, said: Callable[[Path], str], data: bytes) -> None:
        (tmp_path / "x.json").write_bytes(data)
        assert "x.json is no Inspect log, or is damaged" in said(tmp_path / "x.json")

    @pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
    def test_a_truncated_log(self, log: Path, said: Callable[[Path], str], part: float) -> None:
        data = log.read_bytes()
        log.write_bytes(data[: int(len(data) * part)])
        assert "truncated or damaged" in said(log)

    def test_a_damaged_sample(self, log: Path, said: Callable[[Path], str]) -> None:
        with zipfile.ZipFile(log) as packed:
            place = packed.getinfo("samples/b_epoch_1.json").header_offset
        data = bytearray(log.read_bytes())
        data[place + 80 : place + 120] = b"\0" * 40
        log.write_bytes(data)
        assert "samples/b_epoch_1.json is damaged" in said(log)

    def test_an_encrypted_log(self, log: Path, said: Callable[[Path], str]) -> None:
        data = log.read_bytes()
        file = bytearray(data)
        for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            start = 0
            while (start := data.find(mark, start)) >= 0:
                file[start + place] |= 1
                start += 4
        log.write_bytes(file)
        assert "is encrypted" in said(log)

    def test_a_newer_format(self, changed: Callable[..., Path], said: Callable[[Path], str]) -> None:
        file = changed(header=lambda tree: tree.update(version=3))
        assert "is of log format 3; this evalkit reads up to 2" in said(file)

    def test_a_head_that_is_none(self, changed: Callable[..., Path], said: Callable[[Path], str]) -> None:
        file = changed(header=lambda tree: tree.pop("eval"))
        assert "is no Inspect log, or is damaged" in said(file)

    @pytest.mark.parametrize(
        "change",
        [
            lambda tree: tree.update(messages=[{"role": "nobody"}]),
            lambda tree: tree.update(epoch="first"),
            lambda tree: tree.pop("id"),
            lambda tree: tree.update(store={"evalkit": "{"}),
            lambda tree: tree.update(store={"evalkit": 3}),
        ],
    )
    def test_a_sample_that_is_none(
        self, changed: Callable[..., Path], said: Callable[[Path], str], change: Callable[[Any], None]
    ) -> None:
        assert "sample" in said(changed(a_epoch_1=change))

    @pytest.mark.parametrize("data", [b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b"", b'{"id": '])
    def test_a_sample_that_is_no_object(
        self, changed: Callable[..., Path], said: Callable[[Path], str], data: bytes
    ) -> None:
        assert "a_epoch_1.json" in said(changed(a_epoch_1=data))

    def test_a_sample_that_is_too_large(
        self, monkeypatch: pytest.MonkeyPatch, changed: Callable[..., Path], said: Callable[[Path], str]
    ) -> None:
        monkeypatch.setattr("evalkit.bridges.inspect.archive.LARGEST", 1 << 20)
        file = changed(a_epoch_1=lambda tree: tree.update(attachments={"x": "A" * (1 << 22)}))
        assert file.stat().st_size < 1 << 20
        assert "unpacks to more than 1 MB" in said(file)

    def test_a_json_log_with_nan_names_the_way_out(
        self, log: Path, tmp_path: Path, said: Callable[[Path], str]
    ) -> None:
        from inspect_ai.log import read_eval_log, write_eval_log
        from inspect_ai.scorer import Score

        whole = read_eval_log(str(log))
        assert whole.samples is not None
        whole.samples[1].scores = {"strict": Score(value=float("nan"))}
        write_eval_log(whole, tmp_path / "run.json")
        assert "inspect log convert --to eval" in said(tmp_path / "run.json")

    def test_texts_of_a_log_are_shown_as_texts(self, changed: Callable[..., Path], said: Callable[[Path], str]) -> None:
        line = said(changed(a_epoch_1=lambda tree: tree.update(id="\x1b[31m\nevil", epoch="x")))
        assert "\x1b" not in line
        assert "[31m evil" in line

    def test_a_member_that_lies_about_its_size(self, log: Path, said: Callable[[Path], str]) -> None:
        stream = io.BytesIO(log.read_bytes())
        with zipfile.ZipFile(stream) as packed:
            info = packed.getinfo("samples/a_epoch_1.json")
        size = info.file_size.to_bytes(4, "little")
        data = bytearray(stream.getvalue())
        start = 0
        while (start := data.find(size, start)) >= 0:
            data[start : start + 4] = (10).to_bytes(4, "little")
            start += 4
        log.write_bytes(data)
        assert "samples/a_epoch_1.json is damaged" in said(log)
