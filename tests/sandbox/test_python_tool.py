"""The Python tool, and the toolbox of a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evalkit.images import ImageFile
from evalkit.records import CallStatus, Sample
from evalkit.sandbox import ExecResult, ExecStatus, FakeSandbox
from evalkit.tools import PythonTool, Toolbox, ToolResult, ToolSpec
from tests.sandbox.sandboxing import AnySandbox

SAMPLE = Sample(id="1", question="?")


async def one(result: ExecResult) -> ToolResult:
    async with Toolbox([PythonTool(FakeSandbox(lambda _: result))], SAMPLE) as box:
        return await box.call("python", {"code": "1"})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "missing"),
        ({"cod": "1"}, "missing"),
        ({"code": None}, "must be a string, not NoneType"),
        ({"code": ["1"]}, "must be a string, not list"),
        ({"code": ""}, "empty"),
        ({"code": " \n\t"}, "empty"),
        ({"code": "#" * 1_000_001}, "1,000,001 characters"),
        ("print(1)", "must be an object"),
    ],
)
async def test_malformed_arguments_run_nothing(arguments: Any, error: str) -> None:
    sandbox = FakeSandbox()
    async with Toolbox([PythonTool(sandbox)], SAMPLE) as box:
        result = await box.call("python", arguments)
    assert result.status is CallStatus.MALFORMED
    assert error in result.error
    assert sandbox.cells == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ExecStatus.OK, CallStatus.OK),
        (ExecStatus.ERROR, CallStatus.FAILED),
        (ExecStatus.TIMEOUT, CallStatus.TIMEOUT),
        (ExecStatus.DIED, CallStatus.FAILED),
    ],
)
async def test_status(status: ExecStatus, expected: CallStatus) -> None:
    assert (await one(ExecResult(status=status))).status is expected


async def test_text_is_what_a_notebook_shows() -> None:
    ok = ExecStatus.OK
    assert (await one(ExecResult(status=ok, stdout="a\n", value="1"))).text == "a\n1"
    assert (await one(ExecResult(status=ok, stdout="a", value="1"))).text == "a\n1"
    assert (await one(ExecResult(status=ok, stdout="a\n"))).text == "a\n"
    assert (await one(ExecResult(status=ok, value="1", stderr="w"))).error == "w"


async def test_what_was_dropped_is_told() -> None:
    result = await one(ExecResult(status=ExecStatus.OK, stdout="a", dropped_chars=1234, dropped_images=2))
    assert result.text == (
        "a\n[1,234 more characters were dropped]\n[2 more images were dropped: too many or too large]"
    )


async def test_lost_variables_are_told(png: ImageFile) -> None:
    died = ExecResult(status=ExecStatus.DIED, stderr="It ended.\n", state_lost=True, images=(png,))
    result = await one(died)
    assert result.state_lost
    assert result.images == (png,)
    assert result.error == "It ended.\nAll variables are gone; the next call starts a new Python session."


async def test_an_indented_block_runs(png: ImageFile) -> None:
    sandbox = FakeSandbox()
    async with Toolbox([PythonTool(sandbox)], SAMPLE) as box:
        await box.call("python", {"code": "    if 1:\n        print(1)\n"})
    assert sandbox.cells == ["if 1:\n    print(1)\n"]


async def test_a_session_is_opened_at_the_first_call_and_closed_with_the_box(png: ImageFile) -> None:
    sandbox = FakeSandbox()
    sample = Sample(id="1", question="?", images=(png,))
    box = Toolbox(
        [PythonTool(sandbox)], sample, names={"np": "import numpy as np"}, aliases={"code": "python", "x": "y"}
    )
    assert sandbox.opened == []
    await box.call("python", {"code": "1"})
    await box.call("code", {"code": "2"})
    (spec,) = sandbox.opened
    assert (spec.images, spec.imports, sandbox.cells) == ((png,), {"np": "import numpy as np"}, ["1", "2"])
    await box.close()
    await box.close()
    assert sandbox.closed == 1


async def test_names() -> None:
    box = Toolbox([PythonTool(FakeSandbox())], SAMPLE, aliases={"code": "python", "search": "text_search"})
    assert box.known == ("python", "code")
    assert (box.resolve("code"), box.resolve("python"), box.resolve("search")) == ("python", "python", None)
    assert [spec.name for spec in box.specs] == ["python"]
    result = await box.call("pyhton", {"code": "1"})
    assert result.status is CallStatus.UNKNOWN_TOOL
    assert result.error == "There is no tool 'pyhton'. Tools: python."
    with pytest.raises(ValueError, match="not unique"):
        Toolbox([PythonTool(FakeSandbox()), PythonTool(FakeSandbox())], SAMPLE)


async def test_a_session_that_fails_to_close_does_not_keep_the_others_open() -> None:
    class Bad:
        spec = ToolSpec(name="bad", description="", parameters={})

        async def open(self, sample: Sample, names: Mapping[str, str]) -> Bad:
            return self

        async def call(self, arguments: dict[str, Any]) -> ToolResult:
            return ToolResult(status=CallStatus.OK)

        async def close(self) -> None:
            raise OSError("stuck")

    sandbox = FakeSandbox()
    box = Toolbox([Bad(), PythonTool(sandbox)], SAMPLE)
    await box.call("bad", {})
    await box.call("python", {"code": "1"})
    with pytest.raises(OSError, match="stuck"):
        await box.close()
    assert sandbox.closed == 1


async def test_end_to_end(sandbox: AnySandbox, png: ImageFile) -> None:
    sample = Sample(id="1", question="?", images=(png,))
    async with Toolbox([PythonTool(sandbox)], sample, names={"np": "import numpy as np"}) as box:
        result = await box.call(
            "python", {"code": "a = np.asarray(image_1)\nprint(a.shape)\nimage_1.crop((0, 0, 8, 9))"}
        )
        assert (result.status, result.text, result.error) == (CallStatus.OK, "(30, 40, 3)\n", "")
        assert result.images[0].open().size == (8, 9)
        result = await box.call("python", {"code": "import os\nos._exit(1)"})
        assert (result.status, result.state_lost) == (CallStatus.FAILED, True)
