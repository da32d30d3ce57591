"""When the viewer reads and draws runs anew, what it keeps, and what it does when that fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from evalkit.errors import DataError, EvalkitError
from evalkit.viewer import Gone, Page, Shelf
from tests.run_folders import row, write_run


class Made:
    def __init__(self, folders: list[Path], version: str) -> None:
        self.names = [folder.name for folder in folders]
        self.page = Page(version, " ".join(self.names), "")

    def data(self, kind: str, run: str, row: int) -> bytes:
        return f"{kind} {run} {row} of {self.names}".encode()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Renderer:
    """Counts, and fails when told to; each rendering takes two seconds by the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls = 0
        self.fails = False
        self.threads: set[int] = set()

    def __call__(self, folders: list[Path], version: str) -> Made:
        self.calls += 1
        self.clock.now += 2
        self.threads.add(threading.get_ident())
        if self.fails:
            raise DataError("runs/a is corrupt\nhere")
        return Made(folders, version)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def render(clock: Clock) -> Renderer:
    return Renderer(clock)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def shelf(tmp_path: Path, clock: Clock, render: Renderer, said: list[str]) -> Shelf:
    return Shelf(tmp_path, render, said.append, clock)


def grow(folder: Path) -> None:
    with (folder / "samples.jsonl").open("ab") as file:
        file.write(b'{"torn')


async def test_a_page_is_made_once_while_nothing_changes(tmp_path: Path, shelf: Shelf, render: Renderer) -> None:
    write_run(tmp_path / "b", [row(1)])
    write_run(tmp_path / "a", [row(1)])
    first = await shelf.page()
    assert first.html == "a b"
    assert shelf.version() == first.version
    assert await shelf.page() is first
    assert render.calls == 1
    # not in the thread that answers requests
    assert render.threads == render.threads - {threading.get_ident()}


async def test_a_grown_run_is_a_new_version_but_not_at_once(
    tmp_path: Path, shelf: Shelf, render: Renderer, clock: Clock
) -> None:
    run = write_run(tmp_path / "a", [row(1)])
    first = await shelf.page()
    grow(run)
    # four times as long as the rendering took
    clock.now += 7.9
    assert shelf.version() == first.version
    assert await shelf.page() is first
    clock.now += 0.2
    assert shelf.version() != first.version
    second = await shelf.page()
    assert second.version != first.version
    assert render.calls == 2


async def test_data_is_of_the_newest_page(tmp_path: Path, shelf: Shelf, clock: Clock) -> None:
    write_run(tmp_path / "a", [row(1)])
    with pytest.raises(Gone, match="load it again"):
        await shelf.data("boards")
    await shelf.page()
    write_run(tmp_path / "b", [row(1)])
    clock.now += 100
    assert await shelf.data("detail", "a", 3) == b"detail a 3 of ['a']"
    await shelf.page()
    assert await shelf.data("rows", "b") == b"rows b 0 of ['a', 'b']"


async def test_what_fails_is_said_and_the_last_page_stays(
    tmp_path: Path, shelf: Shelf, render: Renderer, clock: Clock, said: list[str]
) -> None:
    run = write_run(tmp_path / "a", [row(1)])
    first = await shelf.page()
    grow(run)
    clock.now += 100
    render.fails = True
    assert await shelf.page() is first
    assert said == ["the page could not be made: runs/a is corrupt here"]
    clock.now += 100
    # what failed is not tried again until something changes
    assert shelf.version() == first.version
    assert await shelf.page() is first
    assert render.calls == 2
    render.fails = False
    grow(run)
    assert (await shelf.page()).version == shelf.version() != first.version


async def test_without_any_page_the_error_is_the_answer(shelf: Shelf, render: Renderer) -> None:
    render.fails = True
    with pytest.raises(EvalkitError, match="could not be made: runs/a is corrupt here"):
        await shelf.page()


async def test_an_empty_folder_is_a_page_and_the_first_run_a_new_version(
    tmp_path: Path, shelf: Shelf, clock: Clock
) -> None:
    (tmp_path / "notes.txt").write_text("no run")
    (tmp_path / "other").mkdir()
    empty = await shelf.page()
    assert empty.html == ""
    write_run(tmp_path / "a", [row(1)])
    clock.now += 100
    assert shelf.version() != empty.version
    assert (await shelf.page()).html == "a"
