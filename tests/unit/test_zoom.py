"""The zoom tool cuts the part that a call names out of the image that it names."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evalkit import CallStatus, ImageFile, Sample
from evalkit.agents.protocols import DeepEyes, MiniO3, PixelReasoner, SenseNovaMars
from evalkit.errors import DataError
from evalkit.runs.setup import make_tools
from evalkit.sandbox import LocalSandbox
from evalkit.tools import ToolResult, ZoomSpec, ZoomTool
from evalkit.tools.boxes import BoxRule, Frame
from evalkit.tools.zoom import Pick
from tests.zooms import chart, same

NUMBERED = ZoomSpec(
    name="zoom",
    description="",
    box=BoxRule(frame=Frame.PIXELS),
    box_about="",
    pick=Pick.NUMBER,
    image_key="image",
    image_about="",
    first=1,
)


def calls(tool: ZoomTool, images: tuple[ImageFile, ...], *arguments: dict[str, Any]) -> list[ToolResult]:
    async def all_of_them() -> list[ToolResult]:
        session = await tool.open(Sample(id="s", question="", images=images), {})
        results = [await session.call(one) for one in arguments]
        await session.close()
        return results

    return asyncio.run(all_of_them())


def test_the_crop_holds_the_pixels_of_the_box_and_says_where_they_lie() -> None:
    image = chart(300, 200)
    (result,) = calls(ZoomTool(DeepEyes.zoom), (image,), {"bbox_2d": [10, 20, 110, 90], "label": "it"})
    assert result.status is CallStatus.OK
    assert same(result.images[0], image.open().crop((10, 20, 110, 90)))
    assert result.cut is not None
    assert (result.cut.source, result.cut.box) == ("image_1", (10, 20, 110, 90))


def test_a_crop_can_be_cut_again_and_is_placed_on_the_original() -> None:
    image = chart(400, 200)
    first, second, third = calls(
        ZoomTool(MiniO3.zoom),
        (image,),
        {"bbox_2d": [0.25, 0.5, 0.75, 0.9], "source": "original_image"},
        {"bbox_2d": [0.5, 0.5, 0.8, 0.8], "source": "observation_1"},
        {"bbox_2d": [0.5, 0.5, 0.8, 0.8], "source": "observation_0"},
    )
    assert first.text == "observation_1"
    assert same(first.images[0], image.open().crop((100, 100, 300, 180)))
    assert same(second.images[0], image.open().crop((200, 140, 260, 164)))
    assert second.cut is not None
    assert (second.cut.source, second.cut.box) == ("image_1", (200, 140, 260, 164))
    assert third.cut is not None
    assert third.cut.box == (200, 100, 320, 160)


def test_what_is_kept_of_a_crop_may_be_larger_and_still_lies_at_its_place() -> None:
    image = chart(400, 200)
    twice = ZoomTool(NUMBERED, kept=lambda crop: ImageFile.from_pil(crop.open().resize((200, 100))))
    _, second = calls(
        twice, (image,), {"image": 1, "bbox_2d": [100, 50, 200, 100]}, {"image": 2, "bbox_2d": [20, 20, 120, 70]}
    )
    assert second.cut is not None
    assert second.cut.box == (110, 60, 160, 85)
    assert second.images[0].open().size == (100, 50)


def test_images_are_numbered_the_samples_first() -> None:
    one, two = chart(100, 100), chart(60, 40)
    results = calls(
        ZoomTool(NUMBERED),
        (one, two),
        {"image": 2, "bbox_2d": [0, 0, 60, 40]},
        {"image": 3.0, "bbox_2d": [1, 1, 9, 9]},
        {"image": 5, "bbox_2d": [1, 1, 9, 9]},
        {"image": 0, "bbox_2d": [1, 1, 9, 9]},
    )
    assert same(results[0].images[0], two.open())
    assert same(results[1].images[0], two.open().crop((1, 1, 9, 9)))
    assert results[1].cut is not None
    assert results[1].cut.source == "image_2"
    assert [r.status for r in results[2:]] == [CallStatus.FAILED] * 2
    assert "numbered 1 to 4" in results[2].error


@pytest.mark.parametrize("number", [None, "1", True, [1], {}, 1.5, float("nan"), float("inf"), 10**400, -(10**400)])
def test_what_is_no_number_of_an_image_is_refused(number: object) -> None:
    (result,) = calls(ZoomTool(NUMBERED), (chart(9, 9),), {"image": number, "bbox_2d": [0, 0, 5, 5]})
    assert result.status in (CallStatus.MALFORMED, CallStatus.FAILED)
    assert result.images == ()
    assert "'image'" in result.error or "no image" in result.error


@pytest.mark.parametrize(
    "name", [None, 1, "", "observation_2", "observation_x", "observation_²", "original", [], "x" * 9999]
)
def test_what_is_no_name_of_an_image_is_refused(name: object) -> None:
    box = [0.1, 0.1, 0.9, 0.9]
    _, result = calls(
        ZoomTool(MiniO3.zoom),
        (chart(90, 90),),
        {"bbox_2d": box, "source": "original_image"},
        {"bbox_2d": box, "source": name},
    )
    assert result.status is (CallStatus.MALFORMED if name is None else CallStatus.FAILED)
    assert "'source'" in result.error
    assert len(result.error) < 200


def test_a_missing_box_and_a_missing_image_are_said() -> None:
    (missing,) = calls(ZoomTool(DeepEyes.zoom), (chart(9, 9),), {"label": "x"})
    assert (missing.status, missing.error) == (CallStatus.MALFORMED, "The argument 'bbox_2d' is missing.")
    (nothing,) = calls(ZoomTool(DeepEyes.zoom), (), {"bbox_2d": [0, 0, 5, 5]})
    assert (nothing.status, nothing.error) == (CallStatus.FAILED, "There is no image to zoom into.")


def test_a_sliver_is_stretched_where_the_family_does_so() -> None:
    (result,) = calls(ZoomTool(SenseNovaMars.zoom), (chart(1000, 1000),), {"bbox": [100, 100, 105, 400]})
    assert result.images[0].open().size == (28, 300)
    assert result.cut is not None
    assert result.cut.box == (100, 100, 105, 400)


@pytest.mark.parametrize("mode", ["P", "LA", "CMYK", "RGBA", "L", "1", "I;16"])
def test_images_of_every_mode_can_be_cut(mode: str) -> None:
    pixels = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40)
    image = Image.fromarray(pixels) if mode == "I;16" else Image.new(mode, (40, 30))
    file = ImageFile.from_pil(image.convert("RGB") if mode == "CMYK" else image)
    (result,) = calls(ZoomTool(DeepEyes.zoom), (file,), {"bbox_2d": [1, 2, 11, 22]})
    assert result.images[0].open().size == (10, 20)


def test_a_broken_image_is_an_error_of_the_data() -> None:
    broken = ImageFile.from_bytes(chart(300, 300).read()[:200], "cut.png")
    with pytest.raises(DataError, match=r"cut\.png"):
        calls(ZoomTool(DeepEyes.zoom), (broken,), {"bbox_2d": [1, 2, 11, 22]})


@pytest.mark.parametrize("kind", [DeepEyes, MiniO3, PixelReasoner, SenseNovaMars])
def test_the_tool_is_declared_as_the_family_names_it(kind: type[DeepEyes]) -> None:
    spec = ZoomTool(kind.zoom).spec
    assert spec.name in kind.tools
    arguments = spec.parameters["properties"]
    assert next(iter(arguments)) == "bbox_2d"
    assert set(spec.parameters["required"]) <= set(arguments)
    assert "bbox_2d" in spec.parameters["required"]
    assert isinstance(make_tools(kind.tools, LocalSandbox(), kind.zoom)[spec.name], ZoomTool)
    assert spec.name not in make_tools((), LocalSandbox(), kind.zoom)
