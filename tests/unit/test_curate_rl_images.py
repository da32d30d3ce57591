import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from evalkit import ImageFile
from evalkit.curation.fingerprints import BITS, fingerprint
from evalkit.curation.images import Flaw, Look, Viewer, look_at
from tests.pictures import encoded, image_file, picture


def flaw(data: bytes) -> Flaw | None:
    return look_at(ImageFile.from_bytes(data)).flaw


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_good_image_is_read_to_its_end(form: str) -> None:
    look = look_at(image_file(picture(1), form=form))
    assert look.flaw is None
    assert look.fingerprint is not None


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_was_cut_is_found(form: str, share: float) -> None:
    data = encoded(picture(1), form)
    assert flaw(data[: int(len(data) * share)]) in (Flaw.TRUNCATED, Flaw.UNDECODABLE)


def test_a_jpeg_that_was_cut_says_that_it_is_truncated() -> None:
    data = encoded(picture(1), "JPEG")
    look = look_at(ImageFile.from_bytes(data[: len(data) // 2], "cut.jpg"))
    assert look.flaw is Flaw.TRUNCATED
    assert "cut.jpg" in look.detail


def test_a_png_with_a_flipped_bit_is_found_though_its_ends_are_whole() -> None:
    data = bytearray(encoded(picture(1)))
    data[len(data) // 2] ^= 4
    assert flaw(bytes(data)) in (Flaw.UNDECODABLE, Flaw.TRUNCATED)


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_found(data: bytes) -> None:
    assert flaw(data) in (Flaw.TRUNCATED, Flaw.UNDECODABLE)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [13_400, 60_000])
def test_a_decompression_bomb_is_not_decoded(side: int) -> None:
    assert flaw(png_claiming(side, side)) is Flaw.BOMB


def test_large_images_are_looked_at_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # more than Pillow's first limit, which only warns
        assert look_at(ImageFile.from_bytes(png_claiming(10_000, 10_000))).flaw is Flaw.TRUNCATED


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    look = look_at(ImageFile.from_path(tmp_path / "gone.png"))
    assert look.flaw is Flaw.MISSING
    assert "gone.png" in look.detail


def test_a_file_that_was_exchanged_is_not_the_recorded_one(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(picture(1)))
    image = ImageFile.from_path(file)
    assert image.header.width == 240
    file.write_bytes(encoded(picture(2)))
    assert look_at(image).flaw is Flaw.CHANGED


def test_looks_come_in_order_and_each_content_is_decoded_once() -> None:
    made: list[int] = []

    def read(seed: int) -> bytes:
        made.append(seed)
        return encoded(picture(seed))

    images = [ImageFile(lambda seed=seed: read(seed), str(seed)) for seed in [1, 2, 1, 3] * 40]  # type: ignore[misc]
    counted: list[None] = []
    looks = list(Viewer(2).look(images, lambda: counted.append(None)))
    assert [look.sha256 for look in looks[:4]] == [look_at(image_file(picture(seed))).sha256 for seed in (1, 2, 1, 3)]
    assert len(looks) == len(counted) == len(made) == 160


def test_a_task_that_cannot_make_its_image_is_no_crash() -> None:
    def broken() -> bytes:
        raise RuntimeError("no\nboard")

    assert look_at(ImageFile(broken, "board")) == Look("", Flaw.MISSING, "image board: no board")


def test_the_bits_are_those_of_imagehash() -> None:
    imagehash = pytest.importorskip("imagehash")
    for seed in range(5):
        image = picture(seed)
        mark = fingerprint(image)
        assert mark is not None
        assert mark.code == np.packbits(imagehash.phash(image, hash_size=16).hash).tobytes()


def test_a_mirrored_image_has_the_mirrored_hash_of_its_original() -> None:
    image = picture(3)
    mark, other = fingerprint(image), fingerprint(ImageOps.mirror(image))
    assert mark is not None
    assert other is not None
    assert apart(mark.mirrored, other.code) <= 4
    assert apart(mark.code, other.code) > BITS // 4


def test_an_image_turned_by_its_tag_is_the_upright_one() -> None:
    image = picture(4)
    exif = Image.Exif()
    exif[0x0112] = 6
    tagged = Image.open(image_path(encoded(image.rotate(90, expand=True), "JPEG", exif=exif)))
    mark, other = fingerprint(image), fingerprint(tagged)
    assert mark is not None
    assert other is not None
    assert apart(mark.code, other.code) <= 8


def test_transparent_places_are_white() -> None:
    image = picture(5).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 120, 180))
    white = picture(5)
    white.paste("white", (0, 0, 120, 180))
    assert fingerprint(image) == fingerprint(white)


@pytest.mark.parametrize("colour", ["white", "black", "navy"])
def test_a_plain_image_has_no_hash(colour: str) -> None:
    assert fingerprint(Image.new("RGB", (300, 200), colour)) is None


def apart(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def image_path(data: bytes) -> object:
    import io

    return io.BytesIO(data)
