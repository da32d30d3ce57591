"""An image that several samples use is decoded once; cells cannot tell, and cannot touch each other's pixels."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from evalkit import EvalkitError, ImageFile
from evalkit.sandbox import ExecResult, LocalSandbox, SessionSpec, Tier

LOOK = """
import hashlib
small = image_1.copy()
small.thumbnail((40, 40))
print(type(image_1).__name__, image_1.mode, image_1.size, image_1.format, sorted(image_1.info))
print(hashlib.sha256(image_1.tobytes()).hexdigest(), hashlib.sha256(small.tobytes()).hexdigest())
print(image_1.getpixel((3, 5)), image_1.crop((2, 2, 9, 9)).resize((3, 3)).tobytes().hex())
"""


def image(form: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (400, 300)) -> ImageFile:
    noise = Image.merge("RGB", [Image.effect_noise(size, spread) for spread in (30, 60, 90)])
    buffer = io.BytesIO()
    noise.convert(mode).save(buffer, format=form)
    return ImageFile.from_bytes(buffer.getvalue(), f"noise.{form}")


@pytest_asyncio.fixture(params=["T1", "T2"], loop_scope="session")
async def local(request: pytest.FixtureRequest) -> AsyncIterator[LocalSandbox]:
    made = LocalSandbox(tier=Tier(request.param))
    try:
        await made.start()
    except EvalkitError as error:
        pytest.skip(f"this machine has no {request.param}: {error}")
    yield made
    await made.close()


async def run(sandbox: LocalSandbox, *images: ImageFile, code: str = LOOK) -> ExecResult:
    session = await sandbox.open(SessionSpec(images=images))
    try:
        return await session.run(code)
    finally:
        await session.close()


def files_in_memory() -> int:
    """How many image files this process holds open."""
    links = (Path("/proc/self/fd") / fd for fd in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith("/memfd:shared-images") for link in links if os.path.lexists(link))


SHARED = "hasattr(image_1, '_shared')"


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L")]
)
async def test_a_cell_sees_the_same_image_shared_or_not(local: LocalSandbox, form: str, mode: str) -> None:
    picture = image(form, mode)
    alone = await run(local, picture)
    assert alone.stderr == ""
    later = [await run(local, picture) for _ in range(2)]
    assert [result.stdout for result in later] == [alone.stdout] * 2
    assert (await run(local, picture, code=SHARED)).value == "True"
    assert (await run(local, image("PNG", "L", (9, 9)), code=SHARED)).value == "False"


async def test_a_change_is_the_sessions_own(local: LocalSandbox) -> None:
    picture = image()
    await run(local, picture)
    first = await local.open(SessionSpec(images=(picture,)))
    second = await local.open(SessionSpec(images=(picture,)))
    look = "image_1.getpixel((3, 5))"
    before = (await second.run(look)).value
    changed = await first.run(f"image_1.putpixel((3, 5), (1, 2, 3)); image_1.paste((9, 9, 9), (0, 0, 3, 3)); {look}")
    assert (changed.value, changed.stderr) == ("(1, 2, 3)", "")
    assert (await second.run(look)).value == before
    assert (await run(local, picture, code=look)).value == before
    await first.close()
    await second.close()


@pytest.mark.parametrize("mode", ["P", "1", "I;16"])
async def test_modes_that_would_be_converted_are_left_alone(local: LocalSandbox, mode: str) -> None:
    picture = image("PNG", mode)
    results = [await run(local, picture, code=f"print(image_1.mode); {SHARED}") for _ in range(3)]
    assert {(result.stdout, result.value) for result in results} == {(f"{mode}\n", "False")}


async def test_several_images_of_a_sample_each_keep_their_own_pixels(local: LocalSandbox) -> None:
    pictures = (image("PNG", "P"), image("JPEG"), image("PNG", "RGBA", (33, 7)))
    code = "[(i.mode, i.size, i.getpixel((1, 1)), hasattr(i, '_shared')) for i in (image_1, image_2, image_3)]"
    alone = await run(local, *pictures, code=code)
    later = [await run(local, *pictures, code=code) for _ in range(2)]
    assert later[0].value == later[1].value
    assert later[0].value.count("True") == 2
    assert alone.value == later[0].value.replace("True", "False")


async def test_a_broken_image_is_still_an_error_only_when_it_is_touched(local: LocalSandbox) -> None:
    broken = ImageFile.from_bytes(b"not an image", "broken")
    whole = image("PNG").read()
    cut = ImageFile.from_bytes(whole[: len(whole) // 2] + b"IEND\xaeB`\x82", "cut")
    for picture in (broken, cut):
        for _ in range(3):
            assert (await run(local, picture, code="1")).value == "1"
            assert "rror" in (await run(local, picture, code="image_1.load()")).stderr


async def test_many_at_once_decode_once_and_leave_nothing_behind(local: LocalSandbox) -> None:
    others = files_in_memory()
    picture = image()
    results = await asyncio.gather(*(run(local, picture) for _ in range(12)))
    assert len({result.stdout for result in results}) == 1
    assert len(local._shared._made) == 1
    assert files_in_memory() == others + 1
    await asyncio.gather(*(run(local, picture) for _ in range(12)))
    assert files_in_memory() == others + 1
    await local.close()
    assert files_in_memory() == others
