"""The code tool that works on files, in real sandboxes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from evalkit.agents.protocols import DeepEyesV2, Thyme
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Sample
from evalkit.tools import PythonTool, Toolbox, ToolResult
from tests.sandbox.sandboxing import AnySandbox

CROP = """
image_path = "/data/of/the/authors/x.jpg"
image = Image.open(image_path)
x1, y1, x2, y2 = -10, 20, 40, 5000
processed_path = "/mnt/data/temp_processed_images/crop.png"
image.crop((x1, y1, x2, y2)).save(processed_path)
print(processed_path)
"""


def encoded(image: Image.Image, kind: str) -> ImageFile:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return ImageFile.from_bytes(buffer.getvalue())


async def results(sandbox: Any, protocol: Any, image: ImageFile, *cells: str) -> list[ToolResult]:
    sample = Sample(id="1", question="?", images=(image,))
    async with Toolbox([protocol.equip(PythonTool(sandbox))], sample, protocol.names) as box:
        return [await box.call("python", {"code": cell}) for cell in cells]


@pytest.mark.kinds("process", "T1")
async def test_code_opens_a_path_and_gives_the_image_it_saved(sandbox: AnySandbox) -> None:
    red = encoded(Image.new("RGB", (300, 200), "red"), "JPEG")
    clamped, printed, state, nothing, failed = await results(
        sandbox,
        Thyme({"clamp_boxes"}),
        red,
        CROP,
        "print(f'{2 / 3:.3f}')",
        "print(image.size)",
        "x = 1",
        "print(undefined)",
    )
    (image,) = clamped.images
    assert (image.header.width, image.header.height) == (64, 180)
    assert image.open().convert("RGB").getpixel((1, 1)) == (254, 0, 0)
    assert (printed.status, printed.text.strip(), printed.images) == (CallStatus.OK, "0.667", ())
    assert state.text.strip() == "(300, 200)"
    assert (nothing.status, failed.status) == (CallStatus.FAILED, CallStatus.FAILED)
    assert "undefined" in failed.error


@pytest.mark.kinds("T1")
async def test_an_image_of_any_mode_becomes_a_file(sandbox: AnySandbox) -> None:
    for image in (encoded(Image.new("CMYK", (80, 80)), "JPEG"), encoded(Image.new("P", (80, 80)), "PNG")):
        (result,) = await results(sandbox, Thyme(), image, "print(Image.open(image_path).size)")
        assert (result.status, result.text.strip()) == (CallStatus.OK, "(80, 80)")


@pytest.mark.kinds("T1")
async def test_a_file_that_is_no_image_gives_no_image(sandbox: AnySandbox) -> None:
    red = encoded(Image.new("RGB", (80, 80), "red"), "PNG")
    cell = "path = temp_output_dir + '/a.png'\nopen(path, 'w').write('x')\nprint('temp_processed_images/a.png')"
    (result,) = await results(sandbox, Thyme(), red, cell)
    assert (result.status, result.images) == (CallStatus.FAILED, ())


@pytest.mark.kinds("T1")
async def test_reindented_code_runs_as_the_authors_ran_it(sandbox: AnySandbox) -> None:
    red = encoded(Image.new("RGB", (80, 80), "red"), "PNG")
    loop = "for x in range(3):\n    pass\nprint(x, image_1.size)"
    (as_written,) = await results(sandbox, DeepEyesV2(), red, loop)
    (as_they_ran_it,) = await results(sandbox, DeepEyesV2({"reindent"}), red, loop)
    assert as_written.text.split("\n")[0] == "2 (84, 84)"
    assert as_they_ran_it.text.count("(84, 84)") == 3
