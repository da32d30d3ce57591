"""`evalkit view` in a browser, over a run that is really going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.records import DIRECT
from tests.run_folders import row, write_run

CALL = '<tool_call>{"name": "python", "arguments": {"code": "print(image_1.size)"}}</tool_call>'
ANSWER = "<reason>r</reason><answer>A</answer>"
SOON = 60_000
RUN = "#trajectories .tj-field-run select"
STATUS = "document.querySelector('#trajectories [role=status]').textContent"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the real command line in the test's folder; what still runs afterwards is ended."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "evalkit", *arguments]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def view(start: Start) -> Callable[..., tuple[Any, str]]:
    """Starts the viewer; the process and the address it prints."""

    def call(*arguments: str) -> tuple[Any, str]:
        process = start("view", *arguments)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    return call


def finished(folder: Path) -> None:
    """A run with arms, as many as make a page that scrolls."""
    rows = [row(f"q{i}", i % 3 != 0, calls=i % 2, category=f"c{i % 2}") for i in range(60)]
    rows += [row(f"q{i}", i % 5 == 0, arm=DIRECT, category=f"c{i % 2}") for i in range(60)]
    write_run(folder, rows, model="done", expected=60)


def running(start: Start, tmp_path: Path, samples: int = 40, delay: float = 0.5) -> Any:
    """A run that takes a while."""
    script = {"default": [CALL, ANSWER], "delay_s": delay}
    (tmp_path / "script.json").write_text(json.dumps(script))
    boards = f"boards={samples // 4}"
    return start(
        "run", "--model", "scripted", "--tasks", "panel_probe", "--script", "script.json", "--run-dir", "runs/live",
        "-T", boards, "-c", "2",
    )  # fmt: skip


def until(page: Any, expression: str) -> None:
    """Waits until it is true; the page's policy keeps out what playwright's own waiting does."""
    deadline = time.monotonic() + SOON / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never: {expression}"
        time.sleep(0.1)


def count(page: Any) -> int:
    """Rows of the run that is chosen in the trajectory browser."""
    words = page.locator("#trajectories [role=status]").first.inner_text()
    return int(words.split()[0].replace(",", ""))


def test_the_rows_of_a_run_appear_while_it_goes_on(
    tmp_path: Path, start: Start, view: Callable[..., tuple[Any, str]], open_page: Callable[..., Any]
) -> None:
    finished(tmp_path / "runs" / "done")
    viewer, address = view("runs")
    page = open_page(address, hosts=(address.partition("?")[0],))
    page.get_by_role("heading", name="numbers").first.wait_for()
    assert "token" not in page.url
    run = running(start, tmp_path)
    # the run comes into the page by itself
    page.locator("#b-panel_probe").wait_for(timeout=SOON)
    page.locator(RUN).select_option("live")
    # the other run has 60
    until(page, f"parseInt({STATUS}) > 0 && parseInt({STATUS}) <= 40")
    first = count(page)
    assert first < 40
    until(page, f"parseInt({STATUS}) > {first}")
    assert run.wait(timeout=120) == 0, run.stderr.read()
    until(page, f"parseInt({STATUS}) === 40")
    # a trajectory of it, with its picture
    page.keyboard.press("Escape")
    page.locator("#trajectories [role=row], #trajectories [role=option]").first.click()
    page.locator("#trajectories article img").first.wait_for()
    assert page.locator("#trajectories article img").first.evaluate("image => image.complete && image.naturalWidth > 0")
    assert page.locator("#trajectories article").get_by_text("image_1.size").count()
    page.close()
    viewer.send_signal(signal.SIGINT)
    assert viewer.wait(timeout=30) == 0
    assert viewer.stderr.read() == ""


def test_the_readers_place_is_kept(
    tmp_path: Path, view: Callable[..., tuple[Any, str]], open_page: Callable[..., Any]
) -> None:
    finished(tmp_path / "runs" / "done")
    _, address = view("runs")
    page = open_page(address, height=400, hosts=(address.partition("?")[0],))
    page.locator(RUN).wait_for()
    page.evaluate("evalkit.state.set({'t.row': 'q7', 't.outcome': '=correct'})")
    page.locator("#trajectories article h3").wait_for()
    page.locator("#trajectories").scroll_into_view_if_needed()
    pane = page.locator("#trajectories article")
    pane.evaluate("pane => (pane.dataset.same = 'yes')")
    title = page.locator("#trajectories article h3")
    before = title.bounding_box()
    heading = page.locator("#trajectories article h3").element_handle()
    # another run overtakes it, and its board grows
    write_run(tmp_path / "runs" / "ahead", [row(f"q{i}") for i in range(60)], model="ahead")
    until(page, "evalkit.runs.length === 2")
    until(page, "document.querySelector('table.leaderboard').textContent.includes('ahead')")
    assert page.evaluate("evalkit.runs[0].run") == "ahead"
    after = title.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["y"] - before["y"]) < 3
    assert page.locator(RUN).input_value() == "done"
    assert page.evaluate("evalkit.state.get('t.row')") == "q7"
    # the open trajectory is the very same, not a new one
    assert heading.evaluate("node => node.isConnected")
    assert title.inner_text() == "q7"


def test_the_table_stays_sorted_and_what_is_being_typed_is_left_alone(
    tmp_path: Path, view: Callable[..., tuple[Any, str]], open_page: Callable[..., Any]
) -> None:
    finished(tmp_path / "runs" / "done")
    _, address = view("runs")
    page = open_page(address, hosts=(address.partition("?")[0],))
    table = page.locator("table.leaderboard")
    table.get_by_role("button", name="Accuracy").click()
    assert page.url.endswith("sort=accuracy:down") or "sort" in page.url
    find = page.get_by_label("Find an agent")
    find.fill("ahe")
    write_run(tmp_path / "runs" / "ahead", [row(f"q{i}") for i in range(60)], model="ahead")
    time.sleep(6)
    # in the middle of a word nothing is exchanged
    assert page.evaluate("evalkit.runs.length") == 1
    find.blur()
    until(page, "evalkit.runs.length === 2")
    shown = page.locator("table.leaderboard tbody tr[data-kind=measured]:not([hidden])")
    assert shown.count() == 1
    assert "ahead" in shown.inner_text()
    assert page.get_by_label("Find an agent").input_value() == "ahe"
    assert page.locator("table.leaderboard th[aria-sort]").count() == 1


def test_a_broken_run_and_an_ended_viewer_are_said_in_the_page(
    tmp_path: Path, view: Callable[..., tuple[Any, str]], open_page: Callable[..., Any], chromium: Any
) -> None:
    (tmp_path / "runs").mkdir()
    viewer, address = view("runs")
    # an ended server is an error in the browser's console, which the fixture does not allow
    context = chromium.new_context()
    page = context.new_page()
    page.goto(address)
    page.get_by_text("There is no run").wait_for()
    finished(tmp_path / "runs" / "done")
    page.locator("table.leaderboard").wait_for(timeout=SOON)
    (tmp_path / "runs" / "half").mkdir()
    (tmp_path / "runs" / "half" / "samples.jsonl").write_text('{"torn')
    page.get_by_text("Not in this report").wait_for(timeout=SOON)
    assert page.locator("table.leaderboard").count() == 1
    viewer.send_signal(signal.SIGTERM)
    assert viewer.wait(timeout=30) == 0
    page.get_by_text("evalkit view has ended").wait_for(timeout=SOON)
    context.close()
