"""Images are named by content and decoded only on request."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from evalkit import ImageFile
from evalkit.errors import DataError


def encoded(form: str, size: tuple[int, int] = (60, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(buffer, format=form)
    return buffer.getvalue()


@pytest.mark.parametrize(("form", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_the_header_tells_the_real_type(form: str, mime: str, tmp_path: Path) -> None:
    file = tmp_path / "wrongly-named.png"
    file.write_bytes(encoded(form))
    header = ImageFile.from_path(file).header
    assert (header.mime, header.width, header.height) == (mime, 60, 40)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_image_is_an_error_that_names_it(form: str, keep: float) -> None:
    data = encoded(form)
    with pytest.raises(DataError, match=r"cut\.img"):
        print(ImageFile.from_bytes(data[: int(len(data) * keep)], "cut.img").header)


def test_bytes_after_the_end_mark_do_no_harm() -> None:
    assert ImageFile.from_bytes(encoded("JPEG") + b"\0" * 10_000).header.width == 60


@pytest.mark.parametrize("data", [b"", b"not an image", b"<html>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(DataError):
        print(ImageFile.from_bytes(data, "x").header)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: No such file"):
        ImageFile.from_path(tmp_path / "gone.png").read()


def test_nothing_is_decoded_for_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("PNG", "JPEG", "WEBP"):
        data = encoded(form)
        with monkeypatch.context() as patch:
            patch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
            assert ImageFile.from_bytes(data).header.size == len(data)


def test_a_generated_image_is_made_once() -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return encoded("PNG")

    image = ImageFile.generated(make, "g")
    assert made == []
    assert image.read() == image.read()
    assert made == [1]


def test_a_decompression_bomb_is_refused() -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    with pytest.raises(DataError):
        ImageFile.from_bytes(bomb, "bomb").open()
