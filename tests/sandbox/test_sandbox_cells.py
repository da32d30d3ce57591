"""What a cell gives back, and what it finds when it starts."""

from __future__ import annotations

import pytest
from PIL import Image

from evalkit.errors import DataError
from evalkit.images import ImageFile
from evalkit.sandbox import ExecStatus
from tests.sandbox.sandboxing import Cells


async def test_state_is_kept_between_cells(cells: Cells) -> None:
    *_, result = await cells("x = 20", "def double(y):\n    return 2 * y", "double(x) + 2")
    assert (result.status, result.value, result.state_lost) == (ExecStatus.OK, "42", False)


async def test_stdout_stderr_and_value_are_apart(cells: Cells) -> None:
    (result,) = await cells(
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.stdout.buffer.write(b'raw')\n'v'"
    )
    assert (result.stdout, result.stderr, result.value) == ("out\nraw", "err\n", "'v'")


@pytest.mark.parametrize("code", ["None", "x = 1", "1;", "", "# only a comment", "def f(): pass"])
async def test_no_value(cells: Cells, code: str) -> None:
    (result,) = await cells(code)
    assert (result.status, result.value) == (ExecStatus.OK, "")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("L", "L"),
        ("1", "L"),
        ("P", "RGB"),
        ("LA", "RGBA"),
        ("CMYK", "RGB"),
        ("F", "L"),
    ],
)
async def test_image_as_last_expression(cells: Cells, mode: str, expected: str) -> None:
    (result,) = await cells(f"Image.new({mode!r}, (7, 5))")
    (image,) = result.images
    opened = image.open()
    assert (opened.mode, opened.size, result.value) == (expected, (7, 5), "")


async def test_pixels_arrive_unchanged(cells: Cells) -> None:
    source = Image.frombytes("RGB", (16, 16), bytes(i % 251 for i in range(768)))
    (result,) = await cells("image_1.crop((2, 3, 9, 14))", images=(ImageFile.from_pil(source),))
    assert result.images[0].open().tobytes() == source.crop((2, 3, 9, 14)).tobytes()


async def test_images_and_figures_come_in_the_order_in_which_they_were_shown(cells: Cells) -> None:
    shown, after = await cells(
        "display(Image.new('L', (1, 1)), 'text')\nplt.figure(figsize=(2, 2))\nplt.plot([1, 2])\nplt.show()\n"
        "Image.new('L', (2, 2)).show()\nplt.figure(figsize=(9, 1))\nImage.new('L', (3, 3))",
        "plt.get_fignums()",
    )
    sizes = [image.open().size for image in shown.images]
    assert (sizes[0], sizes[2], sizes[3]) == ((1, 1), (2, 2), (3, 3))
    assert abs(sizes[1][0] - sizes[1][1]) < 60 < sizes[1][0]
    assert sizes[4][0] > 4 * sizes[4][1]
    assert (shown.stdout, after.value) == ("'text'\n", "[]")


async def test_a_figure_as_value_is_shown_once(cells: Cells) -> None:
    (result,) = await cells("from IPython.display import display\nfig, ax = plt.subplots()\nfig")
    assert (len(result.images), result.value, result.stderr) == (1, "", "")


async def test_figures_of_a_failing_cell_are_shown_and_closed(cells: Cells) -> None:
    failed, after = await cells("plt.plot([1]); 1 / 0", "plt.get_fignums()")
    assert (failed.status, len(failed.images), after.value) == (ExecStatus.ERROR, 1, "[]")


async def test_show_works_whatever_backend_the_cell_chooses(cells: Cells) -> None:
    (result,) = await cells("import matplotlib\nmatplotlib.use('agg')\nplt.figure()\nplt.show()\nprint('done')")
    assert (len(result.images), result.stdout, result.stderr) == (1, "done\n", "")


@pytest.mark.kinds("process")
async def test_nothing_heavy_is_imported_before_a_cell_asks(cells: Cells) -> None:
    (result,) = await cells(
        "import sys\n[name for name in sys.modules if name.split('.')[0] in ('evalkit', 'numpy', 'matplotlib', 'PIL')]"
    )
    assert result.value == "[]"


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("np.arange(3).sum().item()", "3"),
        ("f'{math.floor(2.5)}{sin(0)}'", "'20.0'"),
        ("[os.sep for _ in range(1)]", "['/']"),
        ("eval('math.floor(1.5)')", "1"),
        ("np = 5\nnp + 1", "6"),
        ("def f(np):\n    return np\nf(7)", "7"),
        ("absent = 3\nabsent", "3"),
    ],
)
async def test_promised_names_are_bound_on_mention(cells: Cells, code: str, value: str) -> None:
    (result,) = await cells(code)
    assert (result.value, result.stderr) == (value, "")


async def test_a_users_own_name_wins(cells: Cells) -> None:
    *_, result = await cells("np = 'mine'", "def f():\n    return np\nf()")
    assert result.value == "'mine'"


async def test_a_promised_package_that_is_absent_is_a_name_error(cells: Cells) -> None:
    (result,) = await cells("print(1)\nabsent.thing")
    assert (result.status, result.stdout) == (ExecStatus.ERROR, "1\n")
    assert "NameError: name 'absent' is not defined" in result.stderr


async def test_images_are_bound(cells: Cells, png: ImageFile) -> None:
    code = "image_1.size, globals()['image_2'].size, [image_1.getpixel((0, 0)) for _ in range(1)]"
    (result,) = await cells(code, images=(png, png))
    assert result.value == "((40, 30), (40, 30), [(200, 10, 10)])"


async def test_more_images_than_descriptors(cells: Cells, png: ImageFile) -> None:
    (result,) = await cells("sum(globals()[f'image_{i}'].width for i in range(1, 81))", images=(png,) * 80)
    assert result.value == "3200"


async def test_a_broken_image_fails_only_when_touched(cells: Cells, png: ImageFile) -> None:
    noise = ImageFile.from_bytes(b"not an image")
    cut = ImageFile.from_bytes(png.read()[:60])
    good, bad, truncated, again = await cells(
        "image_1.size", "image_2.size", "image_3.load()", "image_1.size", images=(png, noise, cut)
    )
    assert good.value == again.value == "(40, 30)"
    assert "UnidentifiedImageError: image_2 is not an image" in bad.stderr
    assert "OSError" in truncated.stderr


async def test_a_missing_image_is_the_data_sets_fault(cells: Cells) -> None:
    with pytest.raises(DataError, match="cannot read image absent"):
        await cells("1", images=(ImageFile.from_path("absent.png"),))


async def test_a_decompression_bomb_is_not_opened(cells: Cells) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    other, touched = await cells("1", "image_1", images=(ImageFile.from_bytes(bomb),))
    assert (other.status, touched.status) == (ExecStatus.OK, ExecStatus.ERROR)
    assert "DecompressionBombError" in touched.stderr


async def test_syntax_error(cells: Cells) -> None:
    wrong, after = await cells("x = (1\ny = 2", "1")
    assert wrong.stderr.splitlines()[0].strip() == 'File "<cell 1>", line 1'
    assert wrong.stderr.rstrip().endswith("SyntaxError: '(' was never closed")
    assert (wrong.status, after.status) == (ExecStatus.ERROR, ExecStatus.OK)


async def test_traceback_shows_the_cells_own_frames_only(cells: Cells) -> None:
    _, result = await cells(
        "def f():\n    raise ValueError('inner')", "import json\ntry:\n    f()\nexcept ValueError:\n    json.loads('{')"
    )
    assert "  File \"<cell 1>\", line 2, in f\n    raise ValueError('inner')\n" in result.stderr
    assert "  File \"<cell 2>\", line 5, in <module>\n    json.loads('{')\n" in result.stderr
    assert result.stderr.rstrip().splitlines()[-1].startswith("json.decoder.JSONDecodeError")
    assert "/" not in result.stderr


async def test_warnings_do_not_name_the_hosts_files(cells: Cells) -> None:
    (result,) = await cells("import warnings\nwarnings.warn('careful')")
    assert (result.status, result.stderr) == (ExecStatus.OK, "UserWarning: careful\n")


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("x = 'a\0b'", "null bytes"),
        ("exit()", "SystemExit"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("input()", "EOFError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E: <exception str() failed>"),
        ("def f(): f()\nf()", "RecursionError"),
        ("class R:\n    def __repr__(self): 1 / 0\nR()", "ZeroDivisionError: division by zero"),
        ("'" + "(" * 5000 + "'\neval('(' * 5000)", "too many nested parentheses"),
        ("'\ud800' + 1", "surrogates not allowed"),
    ],
)
async def test_a_failing_cell_leaves_the_session_alive(cells: Cells, code: str, last: str) -> None:
    _, failed, after = await cells("kept = 1", code, "kept")
    assert (failed.status, after.value, after.state_lost) == (ExecStatus.ERROR, "1", False)
    assert last in failed.stderr.rstrip().splitlines()[-1]


async def test_classes_belong_to_main(cells: Cells) -> None:
    _, result = await cells(
        "import pickle, dataclasses\n@dataclasses.dataclass\nclass P:\n    x: 'int' = 1",
        "pickle.loads(pickle.dumps(P(3))), __name__",
    )
    assert result.value == "(P(x=3), '__main__')"
