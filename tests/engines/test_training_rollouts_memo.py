"""A remembered call gives what a call that is run gives; what is no function of its images is run each time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from evalkit.errors import SandboxError
from evalkit.images import ImageFile
from evalkit.sandbox import LocalSandbox, SessionSpec
from evalkit.sandbox.base import ExecResult, ExecStatus
from evalkit.sandbox.fake import FakeSandbox
from evalkit.training.memo import MemoSandbox, pure

PURE = [
    "image_1.crop((0, 0, 8, 8)).resize((32, 32))",
    "import numpy as np\nfrom PIL import Image, ImageFilter\nprint(np.asarray(image_1).mean())\nimage_1.show()",
    "x = [i * i for i in range(9)]\nx[-1]",
    "def f(a):\n    return a + 1\nprint(f'{f(1)}')",
    "1 / 0",
    "not python",
    "\0",
]
IMPURE = [
    "import time\ntime.time()",
    "import os",
    "from datetime import datetime\ndatetime.now()",
    "import numpy as np\nnp.random.rand()",
    "from numpy import random",
    "from numpy import *",
    "import numpy.random as r",
    "from . import x",
    "open('/etc/hostname').read()",
    "image_1.save('a.png')",
    "id(image_1)",
    "{'a', 'b'}",
    "set('ab')",
    "getattr(image_1, 'crop')",
    "__import__('random').random()",
    "image_1.__class__",
    "import numpy as np\nnp.empty(3)",
    "Image.effect_noise((8, 8), 4)",
    "eval('1')",
    "np.zeros(3) + random.random()",
]


def square(colour: str) -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (16, 16), colour), colour)


def spec(*colours: str) -> SessionSpec:
    return SessionSpec(images=tuple(map(square, colours)))


async def through(
    sandbox: LocalSandbox | FakeSandbox | MemoSandbox, start: SessionSpec, *cells: str
) -> list[ExecResult]:
    session = await sandbox.open(start)
    try:
        return [await session.run(code) for code in cells]
    finally:
        await session.close()


@pytest.mark.parametrize("code", PURE)
def test_a_function_of_its_images_is_pure(code: str) -> None:
    assert pure(code)


@pytest.mark.parametrize("code", IMPURE)
def test_clocks_chance_files_and_the_like_are_not_pure(code: str) -> None:
    assert not pure(code)


def test_what_a_session_imports_counts_where_it_is_named() -> None:
    imports = frozenset({("np", "import numpy as np"), ("random", "import random")})
    assert pure("np.zeros(3)", imports)
    assert not pure("random.random()", imports)
    assert not pure("random", imports)


async def test_remembered_results_are_those_of_a_run_in_a_real_sandbox() -> None:
    histories = [
        ["image_1.crop((0, 0, 4, 4)).resize((8, 8))"],
        ["a = image_1.size", "print(a)", "a[2]"],
        ["a = image_1.size", "image_1.rotate(90)", "b"],
        ["a = 3", "def g():\n    return a", "a = 5\ng()"],
        ["print(", "import math\nmath.pi"],
        ["import random\nr = random.Random(1).random()", "print(r)"],
    ]
    async with LocalSandbox() as real:
        memo = MemoSandbox(real)
        for cells in histories:
            wanted = await through(real, spec("red"), *cells)
            for _ in range(3):
                found = await through(memo, spec("red"), *cells)
                for ours, theirs in zip(found, wanted, strict=True):
                    assert (ours.status, ours.stdout, ours.value) == (theirs.status, theirs.stdout, theirs.value)
                    assert ours.stderr == theirs.stderr
                    assert [image.header for image in ours.images] == [image.header for image in theirs.images]


async def test_a_call_is_run_once_for_equal_images_and_history() -> None:
    fake = FakeSandbox(lambda code: ExecResult(status=ExecStatus.OK, value=code))
    memo = MemoSandbox(fake)
    for _ in range(3):
        assert [r.value for r in await through(memo, spec("red"), "1", "2")] == ["1", "2"]
    assert fake.cells == ["1", "2"]
    await through(memo, spec("blue"), "1")
    await through(memo, SessionSpec(images=(square("red"),), imports={"np": "import numpy as np"}), "1")
    await through(memo, spec("red"), "2")
    assert fake.cells == ["1", "2", "1", "1", "2"]
    assert len(fake.opened) == fake.closed == 4


async def test_new_cells_come_after_the_remembered_ones() -> None:
    fake = FakeSandbox()
    memo = MemoSandbox(fake)
    await through(memo, spec("red"), "a", "b")
    await through(memo, spec("red"), "a", "b", "c", "d")
    assert fake.cells == ["a", "b", "a", "b", "c", "d"]


async def test_after_an_impure_cell_everything_is_run() -> None:
    fake = FakeSandbox()
    memo = MemoSandbox(fake)
    for _ in range(2):
        await through(memo, spec("red"), "a", "import time", "b")
    assert fake.cells == ["a", "import time", "b"] * 2


@pytest.mark.parametrize(
    "result",
    [
        ExecResult(status=ExecStatus.TIMEOUT),
        ExecResult(status=ExecStatus.DIED, state_lost=True),
        ExecResult(status=ExecStatus.OK, stdout="<object at 0x7f3a5c0012>"),
    ],
)
async def test_results_that_another_run_would_not_have_are_not_kept(result: ExecResult) -> None:
    fake = FakeSandbox(lambda code: result)
    memo = MemoSandbox(fake)
    await through(memo, spec("red"), "a")
    await through(memo, spec("red"), "a")
    assert fake.cells == ["a", "a"]


async def test_equal_calls_at_once_are_run_once_and_failures_only_hurt_their_own() -> None:
    fake = FakeSandbox()
    memo = MemoSandbox(fake)
    await asyncio.gather(*(through(memo, spec("red"), "a") for _ in range(5)))
    assert fake.cells == ["a"]
    calls = 0

    def breaks_once(code: str) -> ExecResult:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise SandboxError("no process can be had")
        return ExecResult(status=ExecStatus.OK)

    memo = MemoSandbox(FakeSandbox(breaks_once))
    found = await asyncio.gather(*(through(memo, spec("red"), "a") for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(each, SandboxError) for each in found) == 1


async def test_an_image_that_cannot_be_read_is_left_to_the_sandbox(tmp_path: Path) -> None:
    fake = FakeSandbox()
    gone = SessionSpec(images=(ImageFile.from_path(tmp_path / "gone.png"),))
    await through(MemoSandbox(fake), gone, "a")
    assert fake.opened == [gone]
