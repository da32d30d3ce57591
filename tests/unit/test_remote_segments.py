"""A growing file as objects that never change: what is cut is joined again, and what is missing is said."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.runs.remote.segments import next_lines, segment_of, segments_in


@given(st.lists(st.binary(max_size=30)), st.binary(max_size=10), st.integers(1, 64))
def test_segments_joined_are_the_whole_lines(lines: list[bytes], torn: bytes, size: int) -> None:
    lines = [line.replace(b"\n", b"") + b"\n" for line in lines]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "samples.jsonl"
        file.write_bytes(b"".join(lines) + torn.replace(b"\n", b""))
        pieces: list[bytes] = []
        while piece := next_lines(file, sum(map(len, pieces)), size):
            pieces.append(piece)
        assert next_lines(file, 0, -1) == b"".join(lines)
    assert b"".join(pieces) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= size or piece.count(b"\n") == 1 for piece in pieces)
    made = [segment_of("samples", number, piece) for number, piece in enumerate(pieces, 1)]
    assert segments_in({one.name: one.size for one in made}, "samples", "there") == made
    assert all(one.fits(piece) for one, piece in zip(made, pieces, strict=True))


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert next_lines(tmp_path / "samples.jsonl", 0) == b""


def test_one_that_is_missing_is_named() -> None:
    names = {segment_of("samples", number, b"x\n").name: 2 for number in (1, 2, 4)}
    with pytest.raises(DataError, match=r"s3://b/r lacks samples/000003-….jsonl, which comes before samples/000004-"):
        segments_in(names, "samples", "s3://b/r")


def test_two_writers_are_told_apart() -> None:
    names = {segment_of("samples", 1, data).name: 2 for data in (b"x\n", b"y\n")}
    with pytest.raises(DataError, match="two evalkits wrote to it at once; move one of the two away"):
        segments_in(names, "samples", "s3://b/r")


def test_other_objects_are_none_of_them() -> None:
    names = {"samples/notes.txt": 1, "run.json": 5, "searches/000001-0123456789abcdef.jsonl": 3, "x/samples.jsonl": 1}
    assert segments_in(names, "samples", "s3://b/r") == []
    assert [one.number for one in segments_in({**names, "samples.jsonl": 9}, "samples", "s3://b/r")] == [0]
