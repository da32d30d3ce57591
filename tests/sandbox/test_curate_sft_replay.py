"""Recorded calls are executed again in the real sandbox: honest recordings stay, forged and failing ones go."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image, ImageDraw

from evalkit import CallStatus, ImageFile, Observation, Record, Turn
from evalkit.agents.protocols import protocol
from evalkit.curation.replay import replay
from evalkit.curation.report import Fate
from evalkit.curation.source import Entry, entries_of, open_sources
from evalkit.errors import EvalkitError
from evalkit.sandbox import LocalSandbox, Tier
from evalkit.tools import ToolResult
from tests.trajectories import NOTHING, Call, board, picture, trajectory, write

CROP = "image_1.crop((10, 10, 50, 50)).resize((160, 160))"
LETTERS = "import os; print(''.join(chr(97 + b % 26) for b in os.urandom(12)))"
WORDS = "print(set('abcdefgh'))"
BOX = (10, 10, 50, 50)


def crop(colour: str = "navy") -> Image.Image:
    return board(colour).crop(BOX).resize((160, 160))


def jpeg(image: Image.Image) -> ImageFile:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return ImageFile.from_bytes(buffer.getvalue(), "j")


def whole_picture(mark: bool = False) -> Image.Image:
    image = board()
    if mark:
        ImageDraw.Draw(image).rectangle((104, 60, 116, 72), fill="red")
    return image


HONEST = {
    "prints": [Call("print(6 * 7)", "42\n")],
    "prints a table": [Call("for i in range(2): print(i, i / 3)", "0 0.0\n1 0.3333333333333333\n")],
    "shows a crop": [Call(CROP, "", (picture(crop()),))],
    "shows a crop that was encoded anew": [Call("image_1", "", (jpeg(whole_picture()),))],
    "needs the call before": [Call("w = image_1.width", NOTHING), Call("print(w)", "120\n")],
    "an address": [Call("print(object())", "<object object at 0x7fdeadbeef10>\n")],
    "a fraction that rounds otherwise": [Call("print(0.1 + 0.2)", "0.3\n")],
    "a time": [Call("import time\nt = time.time()\nprint(f'{time.time() - t:.1f} s')", "4.7 s\n")],
    "a random number": [Call("import random; print('drew', random.random())", "drew 0.123456789\n")],
    "a set of words": [Call(WORDS, "{'h', 'g', 'f', 'e', 'd', 'c', 'b', 'a'}\n")],
    "the hash of a word": [Call("print(hash('x'))", "5030379941437448525\n")],
    "a random file name": [Call("import uuid; print(uuid.uuid4().hex)", "5a3c9f0e7b1d4c2f8e6a0b9d1c3e5f70\n")],
}
FORGED = {
    "text_differs": {
        "a number made up": [Call("print(6 * 7)", "43\n")],
        "a word made up": [Call("print('red')", "blue\n")],
        "more than was printed": [Call("print(1)", "1\nThe answer is A.\n")],
        "nothing was printed": [Call("x = 1", "1\n")],
        "a time where no clock is read": [Call("print('4.6 s')", "4.7 s\n")],
        "the second call": [Call("print(1)", "1\n"), Call("print(2)", "3\n")],
    },
    "image_differs": {
        "another picture": [Call(CROP, "", (picture(crop("crimson")),))],
        "another place": [Call(CROP, "", (picture(board().crop((60, 10, 100, 50)).resize((160, 160))),))],
        "another size": [Call(CROP, "", (picture(crop().resize((80, 80))),))],
        "a small sign in a file with losses": [Call("image_1", "", (jpeg(whole_picture(mark=True)),))],
        "a small sign painted in": [Call("image_1", "", (picture(whole_picture(mark=True)),))],
        "an image too many": [Call("print(1)", "1\n", (picture(crop()),))],
        "no image": [Call(CROP, "")],
    },
    "code_fails": {
        "it never worked": [Call("1 / 0", "0\n")],
        "it failed, and the recording says so": [Call("1 / 0", "error: division", status=CallStatus.FAILED)],
        "it needs a call that is not there": [Call("print(w)", "120\n")],
        "it ends its session": [Call("import os; os._exit(0)", NOTHING)],
        "it never ends": [Call("while True: pass", NOTHING)],
        "it reads a file of the host": [Call("print(open('/etc/shadow').read())", "root:x\n")],
        "it writes where it may not": [Call("open('/usr/escaped', 'w').write('x')", "1\n")],
        "it asks the network": [
            Call("import socket; socket.create_connection(('1.1.1.1', 53), 3); print('out')", "out\n")
        ],
    },
    "calls_differ": {
        "the record has other code": [Call("print(1)", "2\n", recorded={"code": "print(2)"})],
    },
    "not_repeatable": {
        "a word that is not in the set": [Call(WORDS, "{'h', 'g', 'f', 'e', 'd', 'c', 'b', 'z'}\n")],
        "letters that nobody drew": [Call(LETTERS, "abcdefghijkl\n")],
    },
}


def replayed(folder: Path, tier: Tier | None = None) -> tuple[dict[str, Entry], dict[str, Fate]]:
    """Kept trajectories and the fates of the others, by sample."""
    [run] = open_sources([folder])
    try:
        sifted = asyncio.run(replay(entries_of(run), lambda limits: LocalSandbox(limits, tier=tier)))
    except EvalkitError as error:
        pytest.skip(str(error))
    return {entry.record.sample.id: entry for entry in sifted.kept}, {fate.id: fate for fate in sifted.out}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Entry], dict[str, Fate]]:
    records = [trajectory(id, calls) for id, calls in HONEST.items()]
    records += [trajectory(id, calls) for group in FORGED.values() for id, calls in group.items()]
    limits = {"limits": {"call_s": 3.0}}
    return replayed(write(tmp_path_factory.mktemp("forged") / "run", records, sandbox=limits))


@pytest.mark.parametrize("id", HONEST)
def test_what_really_happens_stays(id: str, outcome: tuple[dict[str, Entry], dict[str, Fate]]) -> None:
    kept, out = outcome
    assert id in kept, out[id]


@pytest.mark.parametrize(("reason", "id"), [(reason, id) for reason, group in FORGED.items() for id in group])
def test_what_does_not_goes(reason: str, id: str, outcome: tuple[dict[str, Entry], dict[str, Fate]]) -> None:
    kept, out = outcome
    assert id not in kept
    assert (out[id].reason, out[id].error) == (reason, False), out[id]
    assert "\n" not in out[id].detail


def test_every_trajectory_has_one_fate(outcome: tuple[dict[str, Entry], dict[str, Fate]]) -> None:
    kept, out = outcome
    assert kept.keys() | out.keys() == HONEST.keys() | {id for group in FORGED.values() for id in group}
    assert not kept.keys() & out.keys()


def test_exact_is_told_from_the_same(outcome: tuple[dict[str, Entry], dict[str, Fate]]) -> None:
    kept, _ = outcome
    assert kept["prints"].found == {"executions": 1, "replay": "exact"}
    assert kept["needs the call before"].found["replay"] == "exact"
    assert kept["an address"].found == {"executions": 1, "replay": "same"}
    assert kept["a random number"].found == {"executions": 2, "replay": "same"}


def test_the_detail_shows_both(outcome: tuple[dict[str, Entry], dict[str, Fate]]) -> None:
    _, out = outcome
    assert out["a number made up"].detail == "call 1: recorded '43', really '42'"
    assert out["the second call"].detail.startswith("call 2: ")
    assert out["another size"].detail == "call 1: 80x80 recorded, 160x160 really"
    assert "recorded as ok" in out["it never worked"].detail
    assert "as recorded" in out["it failed, and the recording says so"].detail
    assert "timeout" in out["it never ends"].detail


def test_hostile_code_leaves_nothing_and_hurts_no_other(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the host's own words")
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    records = [
        trajectory("reads", [Call(f"print(open({str(secret)!r}).read())", "the host's own words\n")]),
        trajectory("writes", [Call(f"open({str(tmp_path / 'escaped')!r}, 'w').write('x')", "1\n")]),
        trajectory("forks", [Call(bomb, NOTHING)]),
        trajectory("eats", [Call("x = bytearray(10 ** 12)", NOTHING)]),
        trajectory("floods", [Call("while True: print('x' * 10000)", "x")]),
        *(trajectory(f"honest {n}", [Call(f"print({n})", f"{n}\n")]) for n in range(6)),
    ]
    run = write(tmp_path / "run", records, sandbox={"limits": {"call_s": 2.0, "threads": 16}})
    kept, out = replayed(run)
    assert kept.keys() == {f"honest {n}" for n in range(6)}
    assert {fate.reason for fate in out.values()} == {"code_fails"}
    assert not (tmp_path / "escaped").exists()
    assert secret.read_text() == "the host's own words"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A run of which one image is gone and another is not what it was."""
    records = [
        trajectory("gone", [Call("print(1)", "1\n")], image=picture(board("red"))),
        trajectory("changed", [Call("print(1)", "1\n")], image=picture(board("blue"))),
        trajectory("there", [Call("print(1)", "1\n")], image=picture(board("black"))),
    ]
    folder = write(tmp_path / "run", records)
    names = {record.sample.id: record.sample.images[0].header.filename for record in records}
    (folder / "images" / names["gone"]).unlink()
    (folder / "images" / names["changed"]).write_bytes((folder / "images" / names["there"]).read_bytes())
    return folder


def test_an_image_that_is_not_there_is_an_error_and_no_verdict(broken: Path) -> None:
    kept, out = replayed(broken)
    assert kept.keys() == {"there"}
    assert {(fate.id, fate.reason, fate.error) for fate in out.values()} == {
        ("gone", "image_gone", True),
        ("changed", "image_gone", True),
    }
    assert "not the one that was recorded" in out["changed"].detail


def zoomed(id: str, box: list[int], seen: tuple[ImageFile, ...], image: bool = True) -> Record:
    """A trajectory of DeepEyes' zoom tool."""
    deepeyes = protocol("deepeyes")
    arguments = {"bbox_2d": box, "label": "sign"}
    raw = json.dumps({"name": "image_zoom_in_tool", "arguments": arguments})
    text = f"<think>t</think><tool_call>{raw}</tool_call>"
    call = deepeyes.parse(text).calls[0]
    said = deepeyes.observe(call, ToolResult(status=CallStatus.OK)).text
    made = trajectory(id, [Call("", said, seen)])
    first, last = made.trajectory.turns
    real = replace(first.calls[0], tool=call.tool, raw=call.raw, arguments=call.arguments)
    turn = Turn(text=text, calls=(real,), observations=(Observation(text=said, images=seen),))
    sample = made.sample if image else replace(made.sample, images=())
    return replace(made, sample=sample, trajectory=replace(made.trajectory, turns=(turn, last)))


def test_other_tools_are_run_again_too(tmp_path: Path) -> None:
    """The zoom tool of DeepEyes, whose crops its authors' runner enlarges."""
    box = [10, 10, 50, 50]
    real = protocol("deepeyes").fit(picture(board().crop(tuple(box))))
    false = protocol("deepeyes").fit(picture(board("gold").crop(tuple(box))))
    assert real is not None
    assert false is not None
    about = {"name": "deepeyes", "tools": ["image_zoom_in_tool"]}
    records = [zoomed("real", box, (real,)), zoomed("false", box, (false,)), zoomed("outside", [500, 1, 501, 2], ())]
    kept, out = replayed(write(tmp_path / "run", records, protocol=about))
    assert kept.keys() == {"real"}
    assert {id: fate.reason for id, fate in out.items()} == {"false": "image_differs", "outside": "code_fails"}
    bare = [zoomed("no image", box, (), image=False), zoomed("no crop", box, ())]
    kept, out = replayed(write(tmp_path / "log", bare, protocol=about, engine="imported"))
    assert not kept
    assert {(fate.reason, fate.error) for fate in out.values()} == {("not_recorded", True)}


def test_a_tool_that_is_not_here_is_an_error(tmp_path: Path) -> None:
    about = {"name": "qwen_tools", "tools": ["text_search"]}
    kept, out = replayed(write(tmp_path / "run", [trajectory("s", [Call("print(1)", "1\n")])], protocol=about))
    assert not kept
    assert (out["s"].reason, out["s"].error) == ("tool_not_here", True)
