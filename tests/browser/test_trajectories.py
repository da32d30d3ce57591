"""The trajectory browser in a real browser: list, filters, reading, side by side, keys, and hostile content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from PIL import Image

from evalkit import CallStatus, ImageFile, Record, ToolCall, Turn, Verdict
from evalkit.analysis.boards import make_boards
from evalkit.analysis.row_index import RowIndex
from evalkit.bridges.deepeyes import read_recording
from evalkit.content import find_tasks, open_task, task_named
from evalkit.records import DIRECT, Observation, Shown, Timing
from tests.browser.conftest import until
from tests.browser.trajectory_page import page as page_of
from tests.browser.trajectory_page import write_page
from tests.run_folders import row, write_run

Open = Callable[..., Any]
CHOICES = {"A": "red", "B": "blue", "C": "green"}


def indexes_of(*folders: Path) -> tuple[RowIndex, ...]:
    return make_boards(folders, processes=1)[1]


def solved(number: int, right: bool | Verdict, *, calls: bool) -> Record:
    """A question on a picture of its own, answered with a crop of it or without."""
    picture = ImageFile.from_pil(Image.linear_gradient("L").resize((640, 320 + number)))
    record = row(
        f"sample-{number:04}",
        right,
        images=(picture,),
        question="Which colour is the kite?\nA. red\nB. blue\nC. green",
        choices=CHOICES,
        category="near" if number % 2 else "far",
    )
    crop = ImageFile.from_pil(Image.radial_gradient("L").resize((100, 50)))
    code = 'from PIL import Image\n\n# look closer\nimage_1.crop((64, 32, 320, 160)).save("a.png")'
    raw = msgspec.json.encode({"name": "python", "arguments": {"code": code}}).decode()
    call = ToolCall(tool="python", raw=raw, status=CallStatus.OK, arguments={"code": code}, seconds=0.25)
    seen = Shown(origin="sample", width=640, height=320 + number, shown_width=96, shown_height=48, tokens=18)
    cut = Shown(origin="python", width=100, height=50, source="image_1", box=(64.0, 32.0, 320.0, 160.0))
    time = Timing(queue_s=0.2, ttft_s=0.1, decode_s=0.4, generate_s=0.7, tool_s=0.25)
    first = Turn(
        text=f"<think>I must look closer.</think>\n<tool_call>\n{raw}\n</tool_call>",
        calls=(call,),
        observations=(Observation(text="stdout:\nnothing", images=(crop,)),),
        timing=time,
        shown=(seen,),
    )
    last = Turn(text="<think>It is red.</think><answer>A</answer>", timing=time, shown=(cut,) if calls else (seen,))
    turns = (first, last) if calls else (last,)
    trajectory = msgspec.structs.replace(record.trajectory, turns=turns)
    return msgspec.structs.replace(record, trajectory=trajectory)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RowIndex, ...]:
    """Two runs of one benchmark, the first with its samples run without tools too, and one of another."""
    folder = tmp_path_factory.mktemp("runs")
    agent = [solved(i, i % 4 != 0 if i else Verdict.ENGINE_ERROR, calls=i % 3 == 0) for i in range(60)]
    direct = [row(f"sample-{i:04}", i % 5 == 0, arm=DIRECT, text="<answer>B</answer>") for i in range(60)]
    write_run(folder / "first", agent + direct, model="metis")
    write_run(folder / "second", [solved(i, i % 5 != 0, calls=False) for i in range(60)], model="other")
    write_run(folder / "third", [row(f"other-{i}") for i in range(5)], task={"name": "letters"})
    return indexes_of(folder / "first", folder / "second", folder / "third")


@pytest.fixture(scope="module")
def file(runs: tuple[RowIndex, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("page") / "page.html", runs, "all")


def at(file: Path, **state: object) -> str:
    """The page's address with this state."""
    named = {key if key == "run" else f"t.{key}": value for key, value in state.items()}
    return file.resolve().as_uri() + "#" + "&".join(f"{key}={quote(str(value))}" for key, value in named.items())


def listed(page: Any) -> list[str]:
    page.wait_for_function("document.querySelector('.tj-status').textContent !== ''")
    return [text.strip() for text in page.locator(".tj-row .tj-id").all_inner_texts()]


def status(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.tj-status').textContent === text", arg=text)


def title(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.tj-title')?.textContent === text", arg=text)


def choose(page: Any, name: str, value: str) -> None:
    page.get_by_label(name, exact=True).select_option(value)


# --- the list


def test_the_list_is_filtered_by_everything_that_is_known_of_a_row(open_page: Open, file: Path) -> None:
    page = open_page(at(file, run="first"))
    status(page, "60 trajectories")
    for name, value, count in [
        ("Outcome", "not right", 15),
        ("Outcome", "right", 45),
        ("Outcome", "=engine_error", 1),
        ("Category", "=near", 30),
        ("Tools called", "yes", 20),
        ("Tools called", "no", 40),
        ("Against no tools", "harm", 2),
        ("Against no tools", "gain", 36),
        ("Against no tools", "redundant", 3),
    ]:
        choose(page, name, value)
        status(page, f"{count} of 60 trajectories")
        page.get_by_role("button", name="Clear filters").click()
        status(page, "60 trajectories")
    choose(page, "Outcome", "not right")
    choose(page, "Tools called", "yes")
    status(page, "5 of 60 trajectories")
    page.get_by_label("Search", exact=True).fill("0024")
    status(page, "1 of 60 trajectories")
    assert listed(page) == ["sample-0024"]
    assert "t.find=0024" in page.url


def test_rows_that_flipped_against_another_run(open_page: Open, file: Path, runs: tuple[RowIndex, ...]) -> None:
    page = open_page(at(file, run="first"))
    assert page.get_by_label("Flipped", exact=True).is_disabled()
    choose(page, "Second run", "second")
    right = {index.run: dict(zip(index.ids, index.right, strict=True)) for index in runs}
    first, second = right["first"], right["second"]
    won = [id for id in first if first[id] and second[id] is False]
    lost = [id for id in first if first[id] is False and second[id]]
    for value, ids in (("won", won), ("lost", lost), ("either", [id for id in first if id in won + lost])):
        choose(page, "Flipped", value)
        status(page, f"{len(ids)} of 60 trajectories")
        assert set(listed(page)) <= set(ids)
    # the other benchmark's run is none to compare with
    assert page.get_by_label("Second run", exact=True).locator("option").all_inner_texts() == ["none", "second"]


def test_a_link_opens_what_it_says(open_page: Open, file: Path) -> None:
    page = open_page(at(file, run="second", row="sample-0007", category="=near"))
    title(page, "sample-0007")
    status(page, "30 of 60 trajectories")
    assert page.get_by_label("Run", exact=True).input_value() == "second"
    # by number, as a table links to it
    page.evaluate("evalkit.state.set({run: '2'})")
    status(page, "0 of 5 trajectories")
    assert page.get_by_label("Category", exact=True).input_value() == "=near"


def test_a_link_to_a_trajectory_brings_it_onto_the_screen(open_page: Open, file: Path, tmp_path: Path) -> None:
    far = tmp_path / "far.html"
    far.write_text(file.read_text("utf-8").replace("<h1>Report</h1>", "<h1>Report</h1>" + "<br>" * 300), "utf-8")
    page = open_page(at(far, run="second", row="sample-0007"))
    title(page, "sample-0007")
    until(page, "document.querySelector('.tj-pane').contains(document.activeElement)")
    box = page.locator(".tj-pane").bounding_box()
    assert 0 <= box["y"] < 250


def test_five_thousand_rows_are_a_few_elements(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "large", [row(f"{i:05}", i % 3 != 0, calls=i % 2) for i in range(5000)])
    page = open_page(write_page(tmp_path / "page.html", indexes_of(tmp_path / "large"), 10))
    # only what can be read is listed until all is asked for
    status(page, "10 of 5,000 trajectories")
    page.get_by_label("also rows of which only figures are here").check()
    status(page, "5,000 trajectories")
    assert page.locator(".tj-row").count() < 100
    page.locator(".tj-list").focus()
    page.keyboard.press("End")
    page.wait_for_selector("[aria-posinset='5000'].tj-active")
    assert page.locator(".tj-row").count() < 100
    page.keyboard.press("Home")
    page.wait_for_selector("[aria-posinset='1'].tj-active")
    took = page.evaluate(
        """async () => {
          const begun = performance.now();
          for (const text of ["1", "12", "123", ""]) {
            const field = document.querySelector(".tj input[type=search]");
            field.value = text;
            field.dispatchEvent(new Event("input"));
            await new Promise((resolve) => setTimeout(resolve, 0));
          }
          return performance.now() - begun;
        }"""
    )
    print(f"four searches of 5,000 rows: {took:.0f} ms")


def test_a_row_without_its_turns_says_how_to_read_it(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "a", [row("it's; rm -rf /"), row("b")])
    page = open_page(at(write_page(tmp_path / "page.html", indexes_of(tmp_path / "a"), 0), row="it's; rm -rf /"))
    text = page.locator(".tj-pane").inner_text()
    assert "Its turns are not in this file" in text
    assert text.strip().endswith("'it'\\''s; rm -rf /'")


# --- one trajectory


def test_a_trajectory_shows_all_that_is_recorded(open_page: Open, file: Path, shot: Callable[..., Path]) -> None:
    page = open_page(at(file, run="first", row="sample-0015"))
    title(page, "sample-0015")
    pane = page.locator(".tj-pane")
    text = pane.inner_text()
    for part in (
        "Which colour is the kite?",
        "reference",
        "read as answer_tag",
        "Without tools",
        "I must look closer.",
        "look closer",
        "stdout:\nnothing",
        "queue 200 ms",
        "tools 250 ms",
        "answered",
        "640 × 335, the model got 96 × 48 (18 tokens)",
        "image_1 at (64, 32, 320, 160)",
    ):
        assert part in text, part
    assert page.locator(".tj-code-k").first.inner_text().strip() == "from"
    assert page.locator(".tj-options .tj-right .tj-letter").inner_text() == "A"
    # the crop is where the call says, whatever size the thumbnail has
    frame, box = (page.locator(place).first.bounding_box() for place in (".tj-frame", ".tj-crop"))
    assert box["x"] == pytest.approx(frame["x"] + 0.1 * frame["width"], abs=3)
    assert box["width"] == pytest.approx(0.4 * frame["width"], abs=5)
    assert box["height"] == pytest.approx(128 / 335 * frame["height"], abs=5)
    assert page.locator(".tj-frame img").first.evaluate("image => image.naturalWidth") == 320
    shot(page, "trajectory", whole=True)


def test_what_a_protocol_took_out_is_said(open_page: Open, tmp_path: Path) -> None:
    turns = (Turn(text="t", discarded="the code failed"), Turn(text="red", temperature=1.0))
    record = row("a")
    told = {"turns": turns, "restarts": 4, "fallback": "Answer directly.", "final": "<answer>red</answer>"}
    write_run(
        tmp_path / "a", [msgspec.structs.replace(record, trajectory=msgspec.structs.replace(record.trajectory, **told))]
    )
    page = open_page(at(write_page(tmp_path / "page.html", indexes_of(tmp_path / "a"), "all"), row="a"))
    title(page, "a")
    text = page.locator(".tj-pane").inner_text()
    for part in (
        "Taken out of the conversation: the code failed.",
        "drawn at temperature 1",
        "4 conversations begun anew",
        "Question without tools that the last turn replies to",
        "What was scored of the last turn",
    ):
        assert part in text, part


def test_two_runs_are_read_side_by_side(open_page: Open, file: Path, shot: Callable[..., Path]) -> None:
    page = open_page(at(file, run="first", row="sample-0015"), width=1500)
    title(page, "sample-0015")
    page.keyboard.press("s")
    page.wait_for_selector(".tj-two")
    assert page.locator(".tj-run-name").all_inner_texts() == ["first", "second"]
    left, right = (page.locator(".tj-run").nth(place).bounding_box() for place in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert page.locator(".tj-question").count() == 1
    assert "t.with=second" in page.url
    shot(page, "side-by-side", whole=True)
    page.keyboard.press("j")
    title(page, "sample-0016")
    assert page.locator(".tj-run").count() == 2
    page.keyboard.press("s")
    page.wait_for_selector(".tj-two", state="detached")


def test_a_missing_image_is_said_in_its_place(open_page: Open, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [solved(3, True, calls=True)])
    for image in (folder / "images").iterdir():
        image.unlink()
    page = open_page(at(write_page(tmp_path / "page.html", indexes_of(folder), "all"), row="sample-0003"))
    title(page, "sample-0003")
    assert (
        page.locator(".tj-no-picture").all_inner_texts()
        == ["No picture: the image file is missing or cannot be read"] * 2
    )


def test_long_texts_are_shut_and_opened(open_page: Open, tmp_path: Path) -> None:
    record = row("a", text="<think>" + "word\n" * 300 + "</think>")
    page = open_page(at(write_page(tmp_path / "p.html", indexes_of(write_run(tmp_path / "a", [record])), 1), row="a"))
    more = page.get_by_role("button", name="Show all 1,500 characters")
    shut = page.locator(".tj-shut").bounding_box()["height"]
    more.click()
    assert page.locator(".tj-piece-reason .tj-text").bounding_box()["height"] > 3 * shut
    page.get_by_role("button", name="Show less").click()
    assert page.locator(".tj-shut").bounding_box()["height"] == shut


# --- keys


def test_everything_can_be_done_with_keys(open_page: Open, file: Path) -> None:
    page = open_page(at(file, run="first"))
    status(page, "60 trajectories")
    for key in ("j", "j", "ArrowDown", "k", "Enter"):
        page.keyboard.press(key)
    title(page, "sample-0002")
    assert page.evaluate("document.activeElement.className") == "tj-pane"
    page.keyboard.press("ArrowRight")
    title(page, "sample-0003")
    page.keyboard.press("k")
    title(page, "sample-0002")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tj-opened", state="detached")
    page.wait_for_function("document.activeElement.className === 'tj-list'")
    page.keyboard.press("/")
    page.keyboard.type("sj?")
    status(page, "0 of 60 trajectories")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog", name="Keys").is_visible()


def test_a_buttons_own_enter_is_the_buttons(open_page: Open, file: Path) -> None:
    page = open_page(at(file, run="first", row="sample-0002"))
    title(page, "sample-0002")
    page.get_by_role("button", name="Next (j)").focus()
    page.keyboard.press("Enter")
    title(page, "sample-0003")


# --- looks


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", [{}, {"row": "sample-0000"}, {"row": "sample-0015", "with": "second", "side": 1}])
def test_nothing_keeps_a_reader_out(
    open_page: Open, axe: Callable[[Any], list[str]], file: Path, theme: str, state: dict[str, object]
) -> None:
    page = open_page(at(file, run="first", **state), theme=theme)
    status(page, "60 trajectories")
    if "row" in state:
        title(page, str(state["row"]))
    assert axe(page) == []


@pytest.mark.parametrize("state", [{}, {"row": "sample-0015", "with": "second", "side": 1}])
def test_a_narrow_screen_needs_no_scrolling_sideways(
    open_page: Open, file: Path, state: dict[str, object], shot: Callable[..., Path]
) -> None:
    page = open_page(at(file, run="first", **state), width=390, height=844)
    status(page, "60 trajectories")
    if state:
        title(page, "sample-0015")
        assert not page.locator(".tj-list").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, f"narrow-{'row' in state}", whole=True)
    if state:
        page.get_by_role("button", name="List").click()
        page.wait_for_selector(".tj-list", state="visible")


def test_print_shows_the_open_trajectory_whole(open_page: Open, tmp_path: Path) -> None:
    record = row("a", text="<think>" + "word\n" * 300 + "</think>")
    page = open_page(at(write_page(tmp_path / "p.html", indexes_of(write_run(tmp_path / "a", [record])), 1), row="a"))
    title(page, "a")
    shut = page.locator(".tj-shut").bounding_box()["height"]
    page.emulate_media(media="print")
    assert not page.locator(".tj-list").is_visible()
    assert not page.locator(".tj-controls").first.is_visible()
    assert page.locator(".tj-shut").bounding_box()["height"] > 3 * shut
    assert page.locator(".tj-title").is_visible()
    page.emulate_media(media="screen")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tj-opened", state="detached")
    page.emulate_media(media="print")
    assert not page.locator(".tj").is_visible()


# --- hostile content

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>"
    '"><iframe src=http://example.invalid/></iframe>'
    "</script></textarea><svg onload=alert(3)>"
    "javascript:alert(4) [x](javascript:alert(5)) {{7*7}} ${8*8} &lt;b&gt; --><!--"
    "\x00\x07\x1b[31mred\x1b]0;title\x07\x9b2J \u202eright to left\u2066\u2028\ufeff\U000e0041"
    + "z\u0335\u0321" * 20
    + "W" * 300
)


def hostile(id: str = HOSTILE) -> Record:
    """Everything that a model, a tool or a data set may write."""
    call = ToolCall(
        tool=HOSTILE,
        raw=HOSTILE,
        status=CallStatus.FAILED,
        arguments={"code": HOSTILE + "\n" + "x" * 1_000_000, HOSTILE: HOSTILE, "__proto__": HOSTILE},
        error=HOSTILE,
    )
    unread = ToolCall(tool="", raw=HOSTILE, status=CallStatus.MALFORMED, error=HOSTILE)
    turn = Turn(
        text=f"<think>{HOSTILE}</think><tool_call>{HOSTILE}</tool_call>{HOSTILE}" + "<b>" * 300_000,
        calls=(call, unread),
        observations=(Observation(text=HOSTILE), Observation(text="\n" * 1_000_000)),
        finish_reason=HOSTILE,
    )
    record = row(
        id, Verdict.JUDGE_ERROR, question=HOSTILE, answer=HOSTILE, choices={HOSTILE: HOSTILE}, category=HOSTILE
    )
    judged = msgspec.structs.replace(
        record.outcome, answer=HOSTILE, reason=HOSTILE, error=HOSTILE, scorer=HOSTILE, official_answer=HOSTILE
    )
    trajectory = msgspec.structs.replace(record.trajectory, turns=(turn,), prompt=HOSTILE * 2, error=HOSTILE)
    return msgspec.structs.replace(record, trajectory=trajectory, outcome=judged)


def check_inert(page: Any) -> None:
    """No element that data could have made, and nothing that would act."""
    tags = page.evaluate("[...new Set([...document.querySelectorAll('#browser *')].map(e => e.localName))]")
    assert not {"script", "iframe", "a", "b", "object", "embed", "form"} & set(tags)
    acting = "a.name.startsWith('on') || /^\\s*javascript:/i.test(a.value)"
    everything = "[...document.querySelectorAll('#browser *')].flatMap(e => [...e.attributes])"
    assert page.evaluate(f"{everything}.filter(a => {acting}).map(a => a.name)") == []
    assert page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/'))")
    unseen = r"/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/"
    shown = page.evaluate(f"document.querySelector('#browser').textContent.match({unseen})")
    assert shown is None
    assert page.title() == "Trajectories"


@pytest.mark.parametrize("beside", [False, True])
def test_hostile_content_is_text(open_page: Open, tmp_path: Path, shot: Callable[..., Path], beside: bool) -> None:
    write_run(tmp_path / "a", [hostile(), row("b")], model=HOSTILE)
    write_run(tmp_path / "b", [hostile(), row("b")], model=HOSTILE)
    found = [
        msgspec.structs.replace(index, run=f"{HOSTILE} {number}", folder=HOSTILE, task=HOSTILE)
        for number, index in enumerate(indexes_of(tmp_path / "a", tmp_path / "b"))
    ]
    moved = [msgspec.structs.replace(one, folder=str(tmp_path / name)) for one, name in zip(found, "ab", strict=True)]
    page = open_page(write_page(tmp_path / "page.html", moved, "all", model=HOSTILE))
    status(page, "2 trajectories")
    page.locator(".tj-row").first.click()
    page.wait_for_selector(".tj-title")
    if beside:
        page.keyboard.press("s")
        page.wait_for_selector(".tj-two")
    check_inert(page)
    text = page.locator(".tj-pane").inner_text()
    assert "<script>alert(1)</script>" in text
    assert "\\x1b[31mred" in text
    assert "\\u202eright to left" in text
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # a link that says it all is read back as it was
    page.reload()
    page.wait_for_selector(".tj-title")
    check_inert(page)
    shot(page, f"hostile-{beside}", whole=True)


LONE = "\ud800 and \udfff"


def test_data_that_no_program_of_ours_writes_is_inert_too(open_page: Open, tmp_path: Path) -> None:
    body = {"text": LONE + HOSTILE + "y" * 1_000_000, "left": 7, "tail": LONE}
    detail = {
        "id": LONE,
        "judgement": {"verdict": LONE + HOSTILE, "answer": LONE, "official": "constructor", "recorded": True},
        "stop": LONE,
        "question": body,
        "options": [[LONE, body]],
        "right": LONE,
        "own": 3,
        "images": [
            {"picture": "web", "width": 1, "height": 1},
            {"picture": "script", "width": 1, "height": 1},
            {"picture": "__proto__", "width": 1, "height": 1},
        ],
        "turns": [
            {
                "pieces": [{"kind": "toString", "body": body, "opening": HOSTILE}, {"kind": "call", "call": 0}],
                "calls": [
                    {
                        "tool": LONE,
                        "status": HOSTILE,
                        "code": [["__proto__", LONE], ['k" onclick=alert(1) x="', HOSTILE]],
                        "arguments": [[LONE, body]],
                        "crop": {"text": LONE, "image": 0, "box": ["0", "nan", "<b>", 2]},
                        "observation": {"body": body, "images": [0, 99]},
                    }
                ],
                "timing": {"queue_s": 1e308, "generate_s": 1, "tool_s": None},
            }
        ],
        "error": LONE,
    }
    pictures = {"web": {"data": "http://example.invalid/a.png"}, "script": {"data": "javascript:alert(1)"}}
    rows = {
        "run": LONE, "task": LONE, "folder": LONE, "ids": [LONE, "toString"], "categories": [LONE, "__proto__"],
        "verdicts": [LONE, "hasOwnProperty"], "right": [None, None], "calls": [None, None], "seconds": [None, None],
        "without": [None, None],
    }  # fmt: skip
    runs = [{"run": LONE, "model": LONE, "task": LONE, "index": 0, "details": [0]}]
    blobs = {"rows/0": rows, "details/0": {"rows": {"0": detail}, "pictures": pictures, "left_out": 0}, "pictures": {}}
    file = tmp_path / "page.html"
    file.write_text(page_of(runs, blobs), encoding="utf-8")
    page = open_page(file)
    status(page, "1 of 2 trajectories")
    page.locator(".tj-row").first.click()
    page.wait_for_selector(".tj-title")
    check_inert(page)
    assert "\\ud800 and \\udfff" in page.locator(".tj-title").inner_text()
    assert page.locator(".tj-no-picture").count() >= 3
    page.get_by_label("also rows of which only figures are here").check()
    status(page, "2 trajectories")
    check_inert(page)


# --- real runs


@pytest.fixture(scope="module")
def recorded(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RowIndex, ...]:
    """The two DeepEyes runs on V*Bench, as their logs show them."""
    folder = tmp_path_factory.mktemp("recorded")
    logs = shared_data / "vstar" / "deepeyes_logs"
    task = open_task(task_named("vstar", find_tasks()))
    for name in ("deepeyes_7b_rerun", "ds4_bugfree"):
        recording = read_recording(sorted((logs / name).rglob("result_*.jsonl")), task, None)
        write_run(folder / name, recording.records, model=name, task={"name": "vstar"})
    return indexes_of(folder / "deepeyes_7b_rerun", folder / "ds4_bugfree")


def test_recorded_runs_can_be_read(
    open_page: Open, recorded: tuple[RowIndex, ...], tmp_path: Path, shot: Callable[..., Path]
) -> None:
    page = open_page(write_page(tmp_path / "page.html", recorded, "all"))
    status(page, "191 trajectories")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tj-title")
    page.keyboard.press("s")
    page.wait_for_selector(".tj-two")
    for _ in range(30):
        page.keyboard.press("j")
    page.wait_for_function("document.querySelector('.tj-head').textContent.includes('31 of 191')")
    assert page.locator(".tj-run .tj-turn").count() >= 2
    check_inert(page)
    shot(page, "recorded", whole=True)
