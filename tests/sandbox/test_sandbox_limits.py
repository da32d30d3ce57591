"""Time, memory, text and images have limits, and a session outlives most of them."""

from __future__ import annotations

import time

import pytest

from evalkit.sandbox import ExecStatus
from tests.sandbox.sandboxing import Cells

SWALLOW = "import time\nwhile True:\n    try: time.sleep(0.01)\n    except BaseException: pass"
IGNORE = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
DEFAULT = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nwhile True: pass"


@pytest.mark.parametrize(
    "code", ["while True: pass", "import time\ntime.sleep(60)", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')"]
)
async def test_an_interrupted_cell_keeps_the_state(cells: Cells, code: str) -> None:
    _, late, after = await cells("x = 1", "print('before')\n" + code, "x", call_s=0.7, grace_s=20)
    assert (late.status, late.state_lost, late.stdout) == (ExecStatus.TIMEOUT, False, "before\n")
    assert "KeyboardInterrupt" in late.stderr
    assert "ran longer than 0.7 s" in late.stderr
    assert 0.7 <= late.seconds < 10
    assert after.value == "1"


@pytest.mark.parametrize("code", [SWALLOW, IGNORE, DEFAULT, "sum(range(1 << 60))"])
async def test_a_cell_that_cannot_be_interrupted_is_killed(cells: Cells, code: str) -> None:
    _, late, after = await cells("x = 1", code, "'x' in globals()", call_s=0.7, grace_s=0.3)
    assert (late.status, late.state_lost) == (ExecStatus.TIMEOUT, True)
    assert "was killed" in late.stderr
    assert late.seconds < 5
    assert after.value == "False"


async def test_the_next_cell_can_be_interrupted_whatever_the_last_one_did(cells: Cells) -> None:
    _, late = await cells(
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsys.stdout = sys.stderr = None",
        "print('here')\nwhile True: pass",
        call_s=0.7,
        grace_s=20,
    )
    assert (late.status, late.state_lost, late.stdout) == (ExecStatus.TIMEOUT, False, "here\n")


async def test_memory(cells: Cells) -> None:
    small, big, after = await cells("x = 1", "y = bytearray(3 << 30)", "x", memory_mb=1024)
    assert (small.status, big.status, after.value) == (ExecStatus.OK, ExecStatus.ERROR, "1")
    assert "MemoryError" in big.stderr


async def test_a_cell_that_fills_the_memory_leaves_a_working_session(cells: Cells) -> None:
    full, after = await cells("keep = []\nwhile True: keep.append(bytearray(1 << 20))", "del keep\n1", memory_mb=512)
    assert "MemoryError" in full.stderr
    assert after.value == "1"


@pytest.mark.kinds("process", "T0", "T1")
async def test_files_have_a_size_limit(cells: Cells) -> None:
    (result,) = await cells("with open('f', 'wb') as f: f.write(bytes(3 << 20))", file_mb=2)
    assert "File too large" in result.stderr


@pytest.mark.parametrize(
    "code",
    ["print('x' * 100_000_000)", "print('x' * 100_000_000, file=__import__('sys').stderr)", "'x' * (10 ** 8 - 1)"],
)
async def test_a_flood_of_text_is_capped(cells: Cells, code: str) -> None:
    begun = time.monotonic()
    (result,) = await cells(code, output_chars=1000)
    assert len(result.stdout + result.stderr + result.value) == 1000
    assert result.dropped_chars == 100_000_001 - 1000
    assert time.monotonic() - begun < 10


async def test_many_small_prints_are_capped(cells: Cells) -> None:
    (result,) = await cells("for _ in range(300_000): print('éa')")
    assert (len(result.stdout), result.dropped_chars) == (100_000, 800_000)


async def test_a_huge_traceback_is_capped_and_keeps_its_end(cells: Cells) -> None:
    (result,) = await cells("print(1)\nraise ValueError('x' * 10_000_000 + 'end')")
    assert len(result.stderr) <= 20_000
    assert result.stderr.rstrip().endswith("end")


async def test_a_huge_image_is_dropped(cells: Cells) -> None:
    (result,) = await cells("display(Image.new('L', (1001, 1000)), Image.new('L', (1000, 1000)))", image_pixels=10**6)
    assert ([i.open().size for i in result.images], result.dropped_images) == ([(1000, 1000)], 1)


async def test_a_hundred_images_are_capped(cells: Cells) -> None:
    result, after = await cells("for n in range(100): display(Image.new('L', (n + 1, 1)))", "Image.new('L', (2, 2))")
    assert [image.open().width for image in result.images] == list(range(1, 17))
    assert result.dropped_images == 84
    assert (len(after.images), after.dropped_images) == (1, 0)


async def test_a_hundred_figures_are_capped_and_closed(cells: Cells) -> None:
    result, after = await cells(
        "import warnings; warnings.simplefilter('ignore')\nfor _ in range(100): plt.figure(figsize=(1, 1))",
        "plt.get_fignums()",
        images=(),
        call_s=60,
        output_chars=100,
    )
    assert (len(result.images), result.dropped_images, after.value) == (16, 84, "[]")


async def test_all_images_of_a_call_share_a_limit(cells: Cells) -> None:
    (result,) = await cells("for _ in range(5): display(Image.new('RGBA', (100, 100)))", image_pixels=10_000)
    assert (len(result.images), result.dropped_images) == (2, 3)
