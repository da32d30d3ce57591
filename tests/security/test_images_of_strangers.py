"""Images that others made: none starts a program, none leads out of its folder, none is read without end."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from PIL import Image

from evalkit import ImageFile
from evalkit.bridges.inspect.content import ContentReader
from evalkit.curation.images import look_at
from evalkit.errors import DataError
from evalkit.images import FORMATS, ImageHeader
from evalkit.records import Observation
from evalkit.reporting.trajectories.album import Album, thumbnail
from evalkit.runs.store import latest_records
from evalkit.search.thumbnails import NoImageError, decoded
from tests.run_folders import row, write_run

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n(x) run\nshowpage\n%%EOF\n"
"""A program; Pillow has Ghostscript run it."""
# a Windows metafile in an envelope, and what other plugins of Pillow's would take
METAFILE = struct.pack("<LHhhhhHLH", 0x9AC6CDD7, 0, 0, 0, 40, 30, 96, 0, 0) + b"\x01\x00\x09\x00\x00\x03" + b"\0" * 40
OTHERS = {
    "postscript": POSTSCRIPT,
    "metafile": METAFILE,
    "xpm": b"/* XPM */\n",
    "ppm": b"P6 40 30 255\n" + b"\0" * 3600,
}


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where programs that images start would leave a mark: they come first on the path."""
    mark, programs = tmp_path / "ran", tmp_path / "programs"
    programs.mkdir()
    for name in ("gs", "gswin32c", "gswin64c", "convert", "inkscape", "djpeg", "cjpeg"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {mark}\necho 10.0\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    yield mark
    assert not mark.exists(), "a program was started"


def refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except Exception:
        return True
    return False


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_plain_picture_is_not_decoded_anywhere(ran: Path, tmp_path: Path, kind: str) -> None:
    data = OTHERS[kind]
    file = tmp_path / "picture.png"
    file.write_bytes(data)
    for image in (ImageFile.from_bytes(data), ImageFile.from_path(file)):
        assert refused(lambda image=image: image.header)
        assert refused(lambda image=image: image.open())
    assert refused(lambda: thumbnail(data, 64))
    assert look_at(ImageFile.from_bytes(data)).flaw is not None
    with pytest.raises(NoImageError):
        decoded(data, "found")
    part = SimpleNamespace(type="image", image="data:image/png;base64," + base64.b64encode(data).decode())
    reader = ContentReader()
    assert reader.read([part], {}).images == ()
    assert reader.lost["broken images"] == 1


def test_without_the_list_of_formats_a_program_would_be_started(ran: Path) -> None:
    with Image.open(io.BytesIO(POSTSCRIPT)) as image:
        assert refused(image.load)
    assert ran.exists()
    ran.unlink()


@pytest.mark.parametrize("format", FORMATS)
def test_every_plain_format_is_read(format: str, tmp_path: Path) -> None:
    file = tmp_path / "x.any"
    Image.new("RGB", (40, 30), (1, 2, 3)).save(file, format)
    image = ImageFile.from_path(file)
    assert (image.header.width, image.header.height) == image.open().size == (40, 30)


def test_a_photo_with_more_photos_in_its_file_is_a_jpeg() -> None:
    first, second = Image.new("RGB", (40, 30), (200, 2, 3)), Image.new("RGB", (20, 15))
    data = io.BytesIO()
    first.save(data, "MPO", save_all=True, append_images=[second])
    image = ImageFile.from_bytes(data.getvalue())
    assert (image.header.mime, image.header.filename[-4:]) == ("image/jpeg", ".jpg")
    assert image.open().size == (image.header.width, image.header.height) == (40, 30)
    assert decoded(data.getvalue(), "found").header == image.header


def test_an_unknown_format_is_named_as_one_and_for_every_row_alike() -> None:
    with pytest.raises(DataError, match="x is truncated or not an image: it is none of PNG, JPEG, WEBP, GIF, BMP"):
        _ = ImageFile.from_bytes(OTHERS["ppm"], "x").header


@pytest.fixture
def recorded(tmp_path: Path, png: ImageFile) -> tuple[Path, Path]:
    """A run folder with one image that a tool gave, and that image's file."""
    plain = row("a", calls=1)
    turn = msgspec.structs.replace(plain.trajectory.turns[0], observations=(Observation(images=(png,)),))
    trajectory = msgspec.structs.replace(plain.trajectory, turns=(turn,))
    folder = write_run(tmp_path / "run", [msgspec.structs.replace(plain, trajectory=trajectory)])
    return folder, folder / "images" / png.header.filename


def image_of(folder: Path) -> ImageFile:
    (record,) = latest_records(folder).values()
    return record.trajectory.turns[0].observations[0].images[0]


def test_an_image_of_a_run_is_what_its_name_says(recorded: tuple[Path, Path], png: ImageFile) -> None:
    folder, _ = recorded
    assert image_of(folder).read() == png.read()


@pytest.mark.parametrize("how", ["symbolic", "hard", "copy", "longer", "pipe", "endless", "gone", "folder"])
def test_nothing_else_is_read_in_its_place(recorded: tuple[Path, Path], tmp_path: Path, how: str) -> None:
    folder, file = recorded
    secret = tmp_path / "id_rsa"
    # as long as the image was: a size alone tells nothing
    secret.write_bytes(b"k" * file.stat().st_size)
    file.unlink()
    if how == "symbolic":
        file.symlink_to(secret)
    elif how == "hard":
        file.hardlink_to(secret)
    elif how == "copy":
        shutil.copy(secret, file)
    elif how == "longer":
        file.write_bytes(b"k" * 10_000)
    elif how == "pipe":
        os.mkfifo(file)
    elif how == "endless":
        file.symlink_to("/dev/zero")
    elif how == "folder":
        file.mkdir()
    with pytest.raises(DataError) as caught:
        image_of(folder).read()
    assert "\n" not in str(caught.value)
    assert Album().picture(image_of(folder)).why.startswith("the image file is")


@pytest.mark.parametrize(
    "sha", ["../../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "a" * 64 + "/x", "", "a" * 60 + "/../"]
)
def test_no_name_in_a_record_is_a_path(sha: str) -> None:
    found = {"sha256": sha, "mime": "image/png", "width": 1, "height": 1, "size": 1}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(found, ImageHeader)


def test_a_type_in_a_record_is_no_part_of_a_path() -> None:
    sha = hashlib.sha256(b"").hexdigest()
    for mime in ("image/../../x", "../x", "image/svg+xml", "text/html", "\0"):
        assert ImageHeader(sha, mime, 1, 1, 1).filename == f"{sha}.bin"
