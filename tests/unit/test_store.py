"""The run folder: whole lines, one writer, repaired tails, named corruption."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit import (
    CallStatus,
    EvalkitError,
    ImageFile,
    Observation,
    Outcome,
    Record,
    Sample,
    StopReason,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
)
from evalkit.errors import DataError, InfrastructureError
from evalkit.runs.store import RunStore, latest_records, read_records


def record(id: str = "1", text: str = "t", images: tuple[ImageFile, ...] = (), **outcome: object) -> Record:
    call = ToolCall(tool="python", raw=text, status=CallStatus.OK, arguments={"code": text})
    turn = Turn(text=text, calls=(call,), observations=(Observation(text=text, images=images),))
    return Record(
        version=1,
        sample=Sample(id=id, question=text, images=images),
        trajectory=Trajectory(prompt=text, stop=StopReason.ANSWERED, turns=(turn,)),
        outcome=Outcome(verdict=Verdict.CORRECT, **outcome),  # type: ignore[arg-type]
    )


def test_records_come_back_with_their_images(tmp_path: Path, png: ImageFile) -> None:
    with RunStore(tmp_path) as store:
        store.append(record(images=(png,)))
        store.append(record("2", images=(png,)))
    assert len(list((tmp_path / "images").iterdir())) == 1
    first, second = read_records(tmp_path)
    assert first.sample.images[0].read() == png.read()
    assert first.trajectory.turns[0].observations[0].images[0].header == png.header
    assert second.sample.id == "2"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(tmp_path: Path, text: str) -> None:
    with RunStore(tmp_path) as store:
        store.append(record(text=text))
    *_, last = read_records(tmp_path)
    assert last == record(text=text)


def test_a_later_line_supersedes(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("1", answer="A"))
        store.append(record("2"))
        store.append(record("1", answer="B"))
    latest = latest_records(tmp_path)
    assert [key[0] for key in latest] == ["1", "2"]
    assert latest["1", "agent", 0].outcome.answer == "B"


@pytest.mark.parametrize("tail", [b"{", b'{"version":1,"sam', b"\x00\x00\x00"])
def test_a_torn_last_line_is_repaired(tmp_path: Path, tail: bytes) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("1"))
    file = tmp_path / "samples.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + tail)
    assert [r.sample.id for r in read_records(tmp_path)] == ["1"]
    with RunStore(tmp_path) as store:
        store.append(record("2"))
    assert file.read_bytes().startswith(whole + b'{"version"')
    assert [r.sample.id for r in read_records(tmp_path)] == ["1", "2"]


def test_a_file_that_is_one_torn_line_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_bytes(b"x" * 200_000)
    with RunStore(tmp_path):
        pass
    assert (tmp_path / "samples.jsonl").read_bytes() == b""


@pytest.mark.parametrize("bad", [b"garbage\n", b'{"version":1}\n', b"\xff\xfe\n", b"\n"])
def test_a_corrupt_line_is_named(tmp_path: Path, bad: bytes) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("1"))
    file = tmp_path / "samples.jsonl"
    file.write_bytes(file.read_bytes() + bad + file.read_bytes())
    with pytest.raises(DataError, match=r"samples\.jsonl line 2 is corrupt"):
        list(read_records(tmp_path))


def test_a_newer_record_version_is_refused(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.append(msgspec.structs.replace(record("1"), version=99))
    with pytest.raises(DataError, match="record version 99"):
        list(read_records(tmp_path))


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    with RunStore(tmp_path), pytest.raises(InfrastructureError, match="in use by another"):
        RunStore(tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, ""])
def test_an_image_name_cannot_leave_its_folder(tmp_path: Path, png: ImageFile, name: str) -> None:
    with RunStore(tmp_path) as store:
        store.append(record(images=(png,)))
    file = tmp_path / "samples.jsonl"
    file.write_bytes(file.read_bytes().replace(png.header.sha256.encode(), name.encode()))
    with pytest.raises(DataError, match="corrupt"):
        list(read_records(tmp_path))


def test_a_full_disk_keeps_what_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("1"))
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
        with pytest.raises(EvalkitError, match="No space left on device; finished trajectories are safe"):
            store.append(record("2"))
        monkeypatch.undo()
        store.append(record("3"))
    assert [r.sample.id for r in read_records(tmp_path)] == ["1", "3"]


def test_a_folder_without_records_has_none(tmp_path: Path) -> None:
    assert latest_records(tmp_path) == {}
