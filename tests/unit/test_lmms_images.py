"""Images of lmms-eval's documents: the data set's own bytes wherever the task shows them as they are."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw, ImageOps

from evalkit.bridges.lmms.guest.images import encoded, marked, opened


class Feature:
    """What decodes a cell as the library does."""

    mode = None

    def decode_example(self, value: dict[str, bytes]) -> Image.Image:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(value["bytes"])))
        assert image is not None
        image.load()
        return image


def cell(form: str = "JPEG", mode: str = "RGB", turned: bool = False) -> dict[str, bytes]:
    image = Image.linear_gradient("L").resize((60, 40)).convert(mode)
    exif = Image.Exif()
    if turned:
        exif[274] = 6
    buffer = io.BytesIO()
    image.save(buffer, format=form, exif=exif)
    return {"bytes": buffer.getvalue()}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_image_as_it_is_goes_as_its_own_bytes(form: str) -> None:
    value = cell(form)
    shown = opened(value, Feature())
    assert encoded(shown)[0] == value["bytes"]
    assert encoded(opened(value, Feature()).convert("RGB"))[0] == value["bytes"]
    assert marked(shown)[1] == len(value["bytes"])


def test_grey_made_colour_is_the_same_picture() -> None:
    value = cell("PNG", "L")
    shown = opened(value, Feature()).convert("RGB")
    assert shown.mode == "RGB"
    assert encoded(shown)[0] == value["bytes"]


def test_what_the_task_changes_is_sent_as_it_changed_it() -> None:
    value = cell()
    shown = opened(value, Feature()).convert("RGB")
    ImageDraw.Draw(shown).rectangle((0, 0, 20, 20), fill=(255, 0, 0))
    data, extension = encoded(shown)
    assert extension == "png"
    assert Image.open(io.BytesIO(data)).getpixel((5, 5)) == (255, 0, 0)
    small = opened(value, Feature()).convert("RGB")
    small.thumbnail((10, 10))
    assert Image.open(io.BytesIO(encoded(small)[0])).size == (10, 7)
    assert marked(small)[0] != marked(opened(value, Feature()))[0]


def test_one_that_was_looked_at_is_still_the_same() -> None:
    value = cell("PNG")
    shown = opened(value, Feature())
    shown.load()
    assert encoded(shown)[0] == value["bytes"]


def test_transparency_goes_as_the_task_takes_it_away() -> None:
    value = cell("PNG", "RGBA")
    shown = opened(value, Feature()).convert("RGB")
    data, _ = encoded(shown)
    assert data != value["bytes"]
    assert Image.open(io.BytesIO(data)).mode == "RGB"
    assert marked(shown)[1] is None


def test_one_that_is_to_be_turned_is_turned() -> None:
    shown = opened(cell(turned=True), Feature())
    assert shown.size == (40, 60)
    assert Image.open(io.BytesIO(encoded(shown)[0])).size == (40, 60)


def test_an_empty_cell_stays_empty() -> None:
    assert opened(None, Feature()) is None
