"""Sessions in Jupyter kernels: the other sandboxes' tests where IPython has no ways of its own, and its own ways."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from PIL import Image

from evalkit.errors import EvalkitError, SandboxError
from evalkit.images import ImageFile
from evalkit.sandbox import ExecStatus, JupyterSandbox, Limits, SessionSpec, Tier
from evalkit.sandbox._outputs import Outputs
from tests.sandbox.sandboxing import AnySandbox, Cells, alive, children, exists, until
from tests.sandbox.test_sandbox_cells import (  # noqa: F401
    test_a_broken_image_fails_only_when_touched,
    test_a_missing_image_is_the_data_sets_fault,
    test_a_promised_package_that_is_absent_is_a_name_error,
    test_a_users_own_name_wins,
    test_classes_belong_to_main,
    test_images_are_bound,
    test_pixels_arrive_unchanged,
    test_state_is_kept_between_cells,
)
from tests.sandbox.test_sandbox_lifecycle import (  # noqa: F401
    HOST,
    test_a_cancelled_call_ends_its_process,
    test_a_start_that_is_cancelled_leaves_nothing,
    test_an_image_that_cannot_be_read_leaves_no_process,
    test_cells_of_one_session_run_one_after_the_other,
    test_closing_during_a_cell,
)
from tests.sandbox.test_sandbox_limits import (  # noqa: F401
    test_a_huge_image_is_dropped,
    test_many_small_prints_are_capped,
    test_memory,
)

pytestmark = pytest.mark.kinds("jupyter")

DIED = "import os; os.kill(os.getpid(), 9)"


async def test_what_it_says_of_itself(sandbox: AnySandbox) -> None:
    capabilities = await sandbox.start()
    assert (capabilities.tier, capabilities.isolated) == (Tier.T0, False)
    assert capabilities.details["clean environment"] == "yes"
    assert sandbox.describe()["kind"] == "jupyter"


async def test_outputs(cells: Cells) -> None:
    printed, shown, text, huge = await cells(
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\n'v'",
        "display(Image.new('L', (3, 2)))\nplt.plot([1, 2])\nplt.show()\nImage.new('RGB', (4, 4)).show()\n"
        "Image.new('RGBA', (5, 5), (1, 2, 3, 4))",
        "display('text')\nnp.arange(2)",
        "print('x' * 3_000_000)\n'y' * 200",
        output_chars=100,
    )
    assert (printed.stdout, printed.stderr, printed.value) == ("out\n", "err\n", "'v'")
    opened = [image.open() for image in shown.images]
    assert [image.mode for image in opened] == ["L", "RGB", "RGB", "RGBA"]
    assert [opened[place].size for place in (0, 2, 3)] == [(3, 2), (4, 4), (5, 5)]
    assert (shown.value, shown.stderr) == ("", "")
    assert (text.stdout, text.value) == ("'text'\n", "array([0, 1])")
    assert (len(huge.stdout), len(huge.value), huge.dropped_chars) == (100, 100, 3_000_001 - 100 + 202 - 100)


async def test_magics_and_shell_lines(cells: Cells) -> None:
    magic, shell, paged, moved = await cells(
        "%matplotlib inline\n%time x = np.arange(3)\nx.sum()",
        "!echo from the shell; echo $HF_TOKEN-",
        "len?",
        "%cd /\n!pwd",
    )
    assert (magic.status, "Wall time" in magic.stdout) == (ExecStatus.OK, True)
    assert shell.stdout.split("\r\n")[:2] == ["from the shell", "-"]
    assert "number of items" in paged.stdout
    assert moved.stdout.split() == ["/", "/"]


async def test_errors_keep_the_state(cells: Cells) -> None:
    _, raised, syntax, left, after = await cells("x = 1", "print(2)\n1 / 0", "x = (", "exit()", "x")
    assert [r.status for r in (raised, syntax, left)] == [ExecStatus.ERROR] * 3
    assert (raised.stdout, raised.stderr.rstrip().splitlines()[-1]) == ("2\n", "ZeroDivisionError: division by zero")
    assert "\x1b" not in raised.stderr + syntax.stderr
    assert "SyntaxError" in syntax.stderr
    assert "SystemExit" in left.stderr
    assert (after.value, after.state_lost) == ("1", False)


async def test_time_limits_and_death(cells: Cells) -> None:
    _, late, kept, killed, lost, died, again = await cells(
        "x = 1",
        "print('before')\nwhile True: pass",
        "x",
        "sum(range(1 << 60))",
        "'x' in globals()",
        DIED,
        "'x' in globals()",
        call_s=0.7,
        grace_s=0.5,
    )
    assert (late.status, late.state_lost, late.stdout) == (ExecStatus.TIMEOUT, False, "before\n")
    assert "KeyboardInterrupt" in late.stderr
    assert "ran longer than 0.7 s" in late.stderr
    assert kept.value == "1"
    assert (killed.status, killed.state_lost, lost.value) == (ExecStatus.TIMEOUT, True, "False")
    assert (died.status, died.state_lost, again.value) == (ExecStatus.DIED, True, "False")
    assert "SIGKILL" in died.stderr


async def test_a_shell_line_is_interrupted_too(cells: Cells) -> None:
    _, late, after = await cells("x = 1", "!sleep 60", "x", call_s=0.7, grace_s=10)
    assert (late.status, late.state_lost, after.value) == (ExecStatus.TIMEOUT, False, "1")
    assert late.seconds < 8


async def test_nothing_is_left_of_a_kernel(sandbox: AnySandbox) -> None:
    session = await sandbox.open(SessionSpec())
    result = await session.run(
        "import os, subprocess\nchild = subprocess.Popen(['sleep', '60']).pid\nos.getpid(), child, os.getcwd()"
    )
    pid, child, folder = eval(result.value)
    assert Path(folder).is_relative_to(tempfile.gettempdir())
    await session.close()
    await until(lambda: not alive(child))
    assert not alive(pid)
    assert not alive(child)
    assert not exists(folder)
    with pytest.raises(SandboxError, match="closed"):
        await session.run("1")


async def test_sessions_at_once_and_a_long_folder_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel", reason="pip install 'evalkit[jupyter]'")
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    before = children()
    async with JupyterSandbox(Limits(output_chars=3)) as sandbox:
        sessions = [await sandbox.open(SessionSpec()) for _ in range(2)]
        results = await asyncio.gather(*(session.run(f"print('abcdef')\n{n}") for n, session in enumerate(sessions)))
        assert [(result.stdout, result.value) for result in results] == [("abc", "0"), ("abc", "1")]
    assert os.listdir(long) == []
    assert children() == before


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.sandbox.jupyter.find_spec", lambda name: None)
    with pytest.raises(EvalkitError, match=r"pip install 'evalkit\[jupyter\]'"):
        await JupyterSandbox().start()


def test_a_kernel_does_not_outlive_its_host(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel", reason="pip install 'evalkit[jupyter]'")
    with subprocess.Popen(
        [sys.executable, "-c", HOST.replace("ProcessSandbox", "JupyterSandbox")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert alive(pid)
        host.kill()
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_importing_the_sandboxes_imports_no_jupyter() -> None:
    code = (
        "import sys, evalkit.sandbox; print([n for n in sys.modules if n.split('.')[0] in ('zmq', 'jupyter_client')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def png_of(size: tuple[int, int], kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    "encoded",
    [
        "no base64!",
        "",
        17,
        base64.b64encode(b"no image").decode(),
        base64.b64encode(base64.b64decode(png_of((9, 9)))[:44]).decode(),
        png_of((9, 9), "BMP"),
        png_of((101, 100)),
        base64.b64encode(base64.b64decode(png_of((9, 9))) + bytes(1 << 17)).decode(),
    ],
)
def test_a_kernels_image_that_is_none_or_too_large_is_dropped(encoded: object) -> None:
    outputs = Outputs(Limits(image_pixels=10_000))
    outputs.add("display_data", {"data": {"image/png": encoded, "text/plain": "x"}})
    outputs.add("display_data", {"data": {"image/jpeg": png_of((2, 3), "JPEG")}})
    reply, parts = outputs.reply("call")
    assert (reply.images, reply.dropped_images) == ([("RGB", 2, 3)], 1)
    assert [len(part) for part in parts] == [0, 0, 0, 18]


@pytest.mark.parametrize("content", [{}, {"data": 1}, {"data": {"text/plain": 2}}, {"text": []}, {"traceback": [3]}])
def test_a_kernels_malformed_message_says_nothing(content: dict[str, object]) -> None:
    outputs = Outputs(Limits())
    for kind in ("stream", "execute_result", "error", "status", "unknown", "clear_output"):
        outputs.add(kind, content)
    reply, parts = outputs.reply("call")
    assert (reply.images, bytes(b"".join(parts)).strip()) == ([], b"")


def test_a_kernels_image_file_is_encoded_anew(png: ImageFile) -> None:
    outputs = Outputs(Limits(images=1))
    for _ in range(2):
        outputs.add("execute_result", {"data": {"image/png": base64.b64encode(png.read()).decode()}})
    reply, parts = outputs.reply("call")
    assert (reply.images, reply.dropped_images) == ([("RGB", 40, 30)], 1)
    assert bytes(parts[3]) == png.open().tobytes()
