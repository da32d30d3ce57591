"""Trajectories for a report's page: which rows, what is shown of each, and how much room it takes."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit import CallStatus, ImageFile, Record, ToolCall, Turn, Verdict
from evalkit.analysis.boards import make_boards
from evalkit.analysis.row_index import RowIndex
from evalkit.errors import DataError
from evalkit.records import DIRECT, Observation, Shown, Timing
from evalkit.reporting.trajectories import Album, choose, choose_together, details, pooled
from evalkit.reporting.trajectories.code import tokens
from evalkit.reporting.trajectories.crops import fractions
from evalkit.reporting.trajectories.cutting import TRAJECTORY
from evalkit.reporting.trajectories.detail import Detail, Details, Text
from evalkit.reporting.trajectories.pieces import split
from tests.run_folders import row, write_run

CODE = "image_1.crop((10, 20, 110, 220))"


def index_of(*folders: Path) -> tuple[RowIndex, ...]:
    return make_boards(folders, processes=1)[1]


def only(index: RowIndex, number: int = 0) -> Detail:
    return details(index, [number]).rows[number]


def picture(colour: str, size: tuple[int, int] = (400, 800)) -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", size, colour))


def with_turns(record: Record, *turns: Turn, **trajectory: Any) -> Record:
    changed = msgspec.structs.replace(record.trajectory, turns=turns, **trajectory)
    return msgspec.structs.replace(record, trajectory=changed)


def cropping(id: str = "a", source: str = "image_1", **sample: Any) -> Record:
    """One crop, and an answer."""
    raw = '{"name": "python"}'
    call = ToolCall(tool="python", raw=raw, status=CallStatus.OK, arguments={"code": CODE}, seconds=0.5)
    first = Turn(
        text=f"<think>closer</think>\n<tool_call>\n{raw}\n</tool_call>",
        calls=(call,),
        observations=(Observation(text="shown", images=(picture("blue", (100, 200)),)),),
        shown=(Shown(origin="sample", width=400, height=800, shown_width=96, shown_height=192, tokens=18),),
        timing=Timing(queue_s=0.1, ttft_s=0.2, decode_s=0.3, generate_s=0.6, tool_s=0.5),
    )
    shown = Shown(origin="python", width=100, height=200, source=source, box=(10.0, 20.0, 110.0, 220.0))
    last = Turn(text="<answer>A</answer>", shown=(shown,))
    return with_turns(row(id, images=(picture("red"),), **sample), first, last)


# --- the model's text


@pytest.mark.parametrize(
    ("text", "calls", "kinds"),
    [
        ("<think>a</think><answer>B</answer>", [], ["reason", "answer"]),
        ("thought on</think>\n<answer>B</answer>", [], ["reason", "text", "answer"]),
        ("<reason>never closed", [], ["reason"]),
        ("<think>a</think> <tool_call>{}\n</tool_call> then", ["{}"], ["reason", "text", "call", "text"]),
        # the stop string is missing where it ended the generation
        ("<tool_call>\n{}\n", ["{}"], ["call", "text"]),
        # code that prints tags gives none
        ('<tool_call>{"c": "<answer>A</answer>"}</tool_call>', ['{"c": "<answer>A</answer>"}'], ["call"]),
        # a protocol that takes the last call alone
        ("<tool_call>1</tool_call><tool_call>2</tool_call>", ["2"], ["call", "call"]),
        ("plain words", [], ["text"]),
        ("", [], []),
    ],
)
def test_a_text_is_split_as_it_stands(text: str, calls: list[str], kinds: list[str]) -> None:
    found = split(text, calls)
    assert [stretch.kind for stretch in found] == kinds
    assert [stretch.body for stretch in found if stretch.call is not None] == calls


TAGS = ("<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>", "<tool_call>{}", "\n", "{}", "x")
TEXTS = st.lists(st.one_of(st.sampled_from(TAGS), st.text(max_size=5)), max_size=20).map("".join)


@given(TEXTS, st.lists(st.one_of(st.just("{}"), st.text(max_size=4)), max_size=4))
def test_no_character_of_a_text_is_added_or_lost(text: str, calls: list[str]) -> None:
    found = split(text, calls)
    assert "".join(stretch.opening + stretch.body + stretch.closing for stretch in found) == text
    places = [stretch.call for stretch in found if stretch.call is not None]
    assert places == sorted(set(places))


@given(st.text())
def test_coloured_code_is_the_code(code: str) -> None:
    assert "".join(text for _, text in tokens(code)) == code


def test_code_has_the_classes_of_its_tokens() -> None:
    found = tokens("import numpy  # why\nx = print('a', 12)")
    assert {text.strip(): kind for kind, text in found if kind} == {
        "import": "k", "numpy": "f", "# why": "c", "print": "b", "'a'": "s", "12": "n",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ('x = """a\n# b""" # c', {"x =": "", '"""a\n# b"""': "s", "# c": "c"}),
        ("f'never closed\nif", {"f'never closed": "s", "if": "k"}),
        (r"a = 'it\'s' + b", {"a =": "", r"'it\'s'": "s", "+ b": ""}),
        ("y = 1.5e-3 - 0x1F", {"y =": "", "1.5e-3": "n", "-": "", "0x1F": "n"}),
        ("def crop(self): pass", {"def": "k", "crop": "f", "(": "", "self": "b", "):": "", "pass": "k"}),
        ("image.open.filter", {"image.open.filter": ""}),
    ],
)
def test_strings_numbers_and_names_end_where_they_end(code: str, kinds: dict[str, str]) -> None:
    assert {text.strip(): kind for kind, text in tokens(code)} == kinds


@pytest.mark.parametrize(
    "code", ['"""' + 'a"' * 50_000, "'\\\n" * 50_000, "1e+" * 50_000, '"' * 100_000, "\\" * 100_000]
)
def test_code_made_to_be_slow_is_not(code: str) -> None:
    assert "".join(text for _, text in tokens(code)) == code


# --- crops


@given(st.tuples(*[st.floats(-1e6, 1e6)] * 4), st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_crop_lies_on_its_image_or_nowhere(box: tuple[float, float, float, float], width: int, height: int) -> None:
    found = fractions(box, width, height)
    if found is not None:
        left, top, right, bottom = found
        assert 0 <= left <= right <= 1
        assert 0 <= top <= bottom <= 1


def test_a_crop_is_drawn_on_the_image_that_its_call_names(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [cropping()])
    crop = only(*index_of(tmp_path / "a")).turns[0].calls[0].crop
    assert crop is not None
    assert (crop.image, crop.box) == (0, (0.025, 0.025, 0.275, 0.275))
    assert crop.text == "image_1 at (10, 20, 110, 220)"


def test_a_crop_of_an_image_that_there_is_not_has_no_place(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [cropping(source="image_7")])
    crop = only(*index_of(tmp_path / "a")).turns[0].calls[0].crop
    assert crop is not None
    assert (crop.image, crop.box) == (None, None)
    assert crop.text.startswith("image_7 at")


def test_a_crop_is_known_by_its_call_where_what_was_shown_is_not_recorded(tmp_path: Path) -> None:
    call = ToolCall(tool="zoom", raw="{}", status=CallStatus.OK, arguments={"bbox_2d": [0, 0, 200, 400]}, seconds=None)
    record = with_turns(row("a", images=(picture("red"),)), Turn(text="<tool_call>{}", calls=(call,)))
    refused = msgspec.structs.replace(call, status=CallStatus.NOT_RUN)
    empty = Turn(text="<tool_call>{}", calls=(refused,), observations=(Observation(),))
    other = with_turns(row("b", images=(picture("red"),)), empty)
    write_run(tmp_path / "a", [record, other])
    index = index_of(tmp_path / "a")[0]
    ran, not_run = only(index, 0).turns[0].calls[0], only(index, 1).turns[0].calls[0]
    assert ran.crop is not None
    assert ran.crop.box == (0.0, 0.0, 0.5, 0.5)
    assert not_run.crop is None
    assert not_run.observation is None


def test_a_box_of_shares_has_no_place_and_a_call_that_failed_no_crop(tmp_path: Path) -> None:
    shares = {"bbox_2d": [0.1, 0.1, 0.5, 1.0], "source": "original_image"}
    withheld = ToolCall(tool="crop", raw="{}", status=CallStatus.OK, arguments=shares)
    failed = msgspec.structs.replace(withheld, status=CallStatus.FAILED, arguments={"bbox_2d": [9, 9, 5, 5]})
    turn = Turn(text="t", calls=(withheld, failed), observations=(Observation(text="no"), Observation(text="no")))
    write_run(tmp_path / "a", [with_turns(row("a", images=(picture("red"),)), turn)])
    first, second = only(*index_of(tmp_path / "a")).turns[0].calls
    assert first.crop is not None
    assert (first.crop.image, first.crop.box) == (None, None)
    assert second.crop is None


def test_tries_of_a_protocol_are_told(tmp_path: Path) -> None:
    turns = (Turn(text="t", discarded="the code failed"), Turn(text="A", temperature=1.0))
    record = with_turns(row("a"), *turns, restarts=4, fallback="Answer directly.", final="<answer>A</answer>")
    write_run(tmp_path / "a", [record])
    detail = only(*index_of(tmp_path / "a"))
    assert [(turn.discarded, turn.temperature) for turn in detail.turns] == [("the code failed", None), ("", 1.0)]
    assert (detail.restarts, detail.fallback, detail.final) == (
        4,
        Text(text="Answer directly."),
        Text(text="<answer>A</answer>"),
    )


# --- one trajectory


def test_everything_of_a_trajectory_is_there(tmp_path: Path) -> None:
    choices = {"A": "red", "B": "blue"}
    agent = cropping(question="Which colour?\nA. red\nB. blue", choices=choices, category="colour")
    agent = msgspec.structs.replace(
        agent, outcome=msgspec.structs.replace(agent.outcome, official=False, official_answer="B", recorded=True)
    )
    direct = row("a", False, arm=DIRECT, text="<answer>B</answer>")
    write_run(tmp_path / "a", [direct, agent])
    found = only(*index_of(tmp_path / "a"))
    assert found.question.text == "Which colour?"
    assert [(letter, text.text) for letter, text in found.options] == [("A", "red"), ("B", "blue")]
    assert found.right == "A"
    assert (found.own, len(found.images)) == (1, 2)
    assert (found.images[0].shown_width, found.images[0].tokens) == (96, 18)
    first, last = found.turns
    assert [piece.kind for piece in first.pieces] == ["reason", "text", "call"]
    assert first.pieces[2].call == 0
    call = first.calls[0]
    assert (call.tool, call.status, call.ran, call.seconds) == ("python", "ok", True, 0.5)
    assert "".join(text for _, text in call.code) == CODE
    assert call.observation is not None
    assert (call.observation.body.text, call.observation.images) == ("shown", (1,))
    assert first.timing.queue_s == 0.1
    assert last.pieces[0].kind == "answer"
    assert (found.judgement.verdict, found.judgement.answer, found.judgement.reason) == ("correct", "A", "answer_tag")
    assert (found.judgement.official, found.judgement.official_answer) == ("incorrect", "B")
    assert found.judgement.recorded is True
    assert found.without is not None
    assert (found.without.judgement.verdict, found.without.judgement.answer) == ("incorrect", "B")
    assert found.without.body.text == "<answer>B</answer>"
    assert found.stop == "answered"


def test_the_latest_line_of_a_row_counts(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [row("a", False), row("b"), row("a", True)])
    index = index_of(tmp_path / "a")[0]
    assert only(index, index.ids.index("a")).judgement.verdict == "correct"


def test_long_texts_are_cut_and_say_how_much(tmp_path: Path) -> None:
    long = "<think>" + "a" * 1_000_000 + "THE END</think>"
    write_run(tmp_path / "a", [with_turns(row("a"), *[Turn(text=long)] * 40)])
    found = only(*index_of(tmp_path / "a"))
    body = found.turns[0].pieces[0].body
    assert body.left + len(body.text) + len(body.tail) == 1_000_007
    assert body.tail.endswith("THE END")
    assert len(msgspec.json.encode(found)) < TRAJECTORY * 1.2


def test_what_is_beyond_the_numbers_is_counted(tmp_path: Path) -> None:
    calls = tuple(ToolCall(tool="t", raw="{}", status=CallStatus.OK) for _ in range(100))
    turn = Turn(text="<tool_call>{}</tool_call>" * 100, calls=calls)
    write_run(tmp_path / "a", [with_turns(row("a"), *[turn] * 100)])
    found = only(*index_of(tmp_path / "a"))
    assert len(found.turns) + found.turns_left == 100
    assert len(found.turns[0].calls) + found.turns[0].calls_left == 100
    assert found.turns[0].pieces_left == len("<tool_call>{}</tool_call>") * (100 - len(found.turns[0].pieces))


# --- pictures


def decoded(found: Details, key: str) -> Image.Image:
    head, _, data = found.pictures[key].data.partition(",")
    assert head in ("data:image/webp;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_thumbnails_are_small_and_each_is_there_once(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [cropping(str(i)) for i in range(5)])
    index = index_of(tmp_path / "a")[0]
    found = details(index, range(5))
    assert len(found.pictures) == 2
    sample, crop = (decoded(found, found.rows[0].images[place].picture) for place in (0, 1))
    assert sample.size == (160, 320)
    assert crop.size == (100, 200)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_images_of_every_mode_have_a_thumbnail(mode: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    kind = "TIFF" if mode in ("CMYK", "I", "F") else "PNG"
    Image.new(mode, (700, 30)).save(buffer, kind)
    write_run(tmp_path / "a", [row("a", images=(ImageFile.from_bytes(buffer.getvalue()),))])
    found = details(*index_of(tmp_path / "a"), [0])
    assert decoded(found, found.rows[0].images[0].picture).size == (320, 14)


def test_a_missing_and_a_broken_image_are_said_in_their_place(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [row("a", images=(picture("red"),)), row("b", images=(picture("blue"),))])
    missing, broken = sorted((folder / "images").iterdir())
    missing.unlink()
    broken.write_bytes(b"no image")
    found = details(*index_of(folder), [0, 1])
    assert sorted(one.why.split(":")[0] for one in found.pictures.values()) == [
        "the image file is broken",
        "the image file is missing or cannot be read",
    ]
    assert all(not one.data for one in found.pictures.values())
    assert len(found.rows) == 2


def test_pictures_of_several_runs_are_pooled(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [cropping("a"), row("own", images=(picture("green"),))])
    write_run(tmp_path / "b", [cropping("a")])
    album = Album()
    runs = [details(index, range(len(index.ids)), album=album) for index in index_of(tmp_path / "a", tmp_path / "b")]
    slim, pool = pooled(runs)
    assert len(pool) == 2
    assert sorted(len(run.pictures) for run in slim) == [0, 1]
    for run in slim:
        assert all(
            image.picture in pool or image.picture in run.pictures for one in run.rows.values() for image in one.images
        )


# --- which rows, and how many bytes


def arms(n: int = 200) -> list[Record]:
    """Every tenth is wrong; the first half called; few harms, and one error."""
    agent = [
        row(i, i % 10 != 0 if i else Verdict.ENGINE_ERROR, calls=int(i < n // 2), category=f"c{i % 3}")
        for i in range(n)
    ]
    return agent + [row(i, i % 4 == 0, arm=DIRECT) for i in range(n)]


def kinds_of(index: RowIndex, rows: list[int]) -> set[str]:
    found = set()
    for number in rows:
        called, right, without = bool(index.calls[number]), index.right[number], index.without[number]
        found.add("error" if right is None else "right" if right else "wrong")
        if right is not None and called and without:
            found.add("redundant")
        if right is False and without:
            found.add("harm")
        if right and without is False:
            found.add("gain")
        if right and not called:
            found.add("alone")
    return found | {index.categories[number] for number in rows}


def test_a_number_asks_for_a_choice_that_shows_every_kind(tmp_path: Path) -> None:
    write_run(tmp_path / "a", arms())
    index = index_of(tmp_path / "a")[0]
    rows = choose(index, 12)
    assert len(set(rows)) == 12
    every = {"error", "right", "wrong", "redundant", "harm", "gain", "alone", "c0", "c1", "c2"}
    assert kinds_of(index, rows) == every
    assert rows == choose(index, 12)
    # every start is a choice
    assert rows[:5] == choose(index, 5)
    assert sorted(choose(index, 1000)) == list(range(200))
    assert choose(index, 0) == []


def test_the_runs_of_a_task_show_the_same_samples(tmp_path: Path) -> None:
    rows = arms()
    write_run(tmp_path / "a", rows)
    write_run(tmp_path / "b", [row(i, i % 7 != 0, calls=1) for i in reversed(range(200))])
    write_run(tmp_path / "half", [row(i, i % 5 != 0) for i in range(30)])
    indexes = index_of(tmp_path / "a", tmp_path / "b", tmp_path / "half")
    chosen = choose_together(indexes, 20)
    ids = {index.run: {index.ids[number] for number in rows} for index, rows in zip(indexes, chosen, strict=True)}
    assert ids["a"] == ids["b"]
    assert len(ids["a"]) == len(ids["half"]) == 20


def test_failures_are_what_any_run_has_not_right(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [row("x", False), row("y"), row("z"), row("e", Verdict.ENGINE_ERROR)])
    write_run(tmp_path / "b", [row("z", False), row("x"), row("y"), row("e")])
    indexes = index_of(tmp_path / "a", tmp_path / "b")
    for index, rows in zip(indexes, choose_together(indexes, "failures"), strict=True):
        assert {index.ids[number] for number in rows} == {"x", "z", "e"}
    alone = index_of(tmp_path / "a")[0]
    assert {alone.ids[number] for number in choose(alone, "failures")} == {"x", "e"}
    assert choose(alone, "all") == [0, 1, 2, 3]


def test_a_budget_leaves_out_further_rows_and_counts_them(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [row(i, text=f"{i} " + "abcdefghij" * i) for i in range(50)])
    index = index_of(tmp_path / "a")[0]
    free = details(index, range(50))
    assert (len(free.rows), free.left_out) == (50, 0)
    tight = details(index, range(50), budget=5000)
    assert 5 < len(tight.rows) < 50
    assert len(tight.rows) + tight.left_out == 50
    assert list(tight.rows) == list(range(len(tight.rows)))
    assert details(index, range(50), budget=0).left_out == 50


def test_pictures_that_another_run_has_brought_cost_nothing(tmp_path: Path) -> None:
    noise = ImageFile.from_pil(Image.effect_noise((640, 640), 100))
    for name in ("a", "b"):
        write_run(tmp_path / name, [row("x", images=(noise,))])
    first, second = index_of(tmp_path / "a", tmp_path / "b")
    album = Album()
    assert details(first, [0], budget=5000).left_out == 1
    details(first, [0], album=album)
    assert details(second, [0], budget=5000, album=album).left_out == 0


# --- what can go wrong


def test_a_record_that_cannot_be_read_is_said_in_its_place(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [row("a"), row("b"), row("c")])
    index = index_of(folder)[0]
    file = folder / "samples.jsonl"
    data = bytearray(file.read_bytes())
    data[index.offsets[1] + 3] = 0
    file.write_bytes(data)
    moved = msgspec.structs.replace(index, offsets=[index.offsets[0], index.offsets[1], index.offsets[0]])
    found = details(moved, [0, 1, 2])
    assert list(found.rows) == [0]
    assert "holds no record" in found.unreadable[1]
    assert "another record" in found.unreadable[2]


def test_a_run_that_is_gone_is_an_error(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [row("a")])
    index = index_of(folder)[0]
    (folder / "samples.jsonl").unlink()
    with pytest.raises(DataError, match=r"cannot read .*samples\.jsonl"):
        details(index, [0])
