"""Searches are recorded as the model saw them, and played back the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from evalkit import EvalkitError, ImageFile
from evalkit.errors import DataError, InfrastructureError, SandboxError
from evalkit.runs.searches import SearchLog
from evalkit.search import Ended, FakeProvider, Hit, Kind, Line, Search, Searcher, SearchFailedError
from evalkit.search.line import SEARCHES, THUMBNAILS, read_lines
from evalkit.search.recorded import RecordedProvider


def text(query: str, sample: str = "1", earlier: str = "") -> Search:
    return Search(kind=Kind.TEXT, sample=sample, query=query, results=10, chars=100).after(earlier)


def record(folder: Path, provider: FakeProvider, *searches: Search) -> None:
    async def run() -> None:
        log = SearchLog()
        searcher = Searcher(provider, log)
        with log.into(folder):
            for search in searches:
                try:
                    await searcher.search(search)
                except (SearchFailedError, SandboxError):
                    continue

    asyncio.run(run())


def replay(folder: Path, *searches: Search) -> list[object]:
    async def run() -> list[object]:
        provider = RecordedProvider(folder)
        await provider.start()
        results: list[object] = []
        for search in searches:
            try:
                results.append([hit.title for hit in await provider.search(search)])
            except (SearchFailedError, SandboxError) as error:
                results.append(error)
        return results

    return asyncio.run(run())


class Scripted(FakeProvider):
    """Gives one answer after the other."""

    def __init__(self, *answers: object) -> None:
        super().__init__(self._next)
        self._answers = list(answers)

    def _next(self, search: Search) -> list[Hit]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [Hit(title=str(answer))]


def test_a_search_gets_what_it_got(tmp_path: Path) -> None:
    record(tmp_path, Scripted("one", "two"), text("a"), text("b"))
    assert replay(tmp_path, text("b"), text("a"), text("a", sample="2")) == [["two"], ["one"], ["one"]]


def test_an_empty_result_is_played_back_as_one(tmp_path: Path) -> None:
    record(tmp_path, FakeProvider(), text("a"))
    assert replay(tmp_path, text("a")) == [[]]


def test_a_search_that_was_not_made_is_an_error(tmp_path: Path) -> None:
    record(tmp_path, Scripted("one"), text("a"))
    other_size = Search(kind=Kind.TEXT, sample="1", query="a", results=3, chars=100).after("")
    for missed in replay(tmp_path, text("c"), other_size):
        assert isinstance(missed, SandboxError)
        assert "is recorded in" in str(missed)


def test_a_failure_and_the_success_after_it_come_in_their_order(tmp_path: Path) -> None:
    first = text("a")
    second = text("a", earlier=first.chain)
    record(tmp_path, Scripted(SearchFailedError("too slow", timeout=True), "one"), first, second)
    failed, then = replay(tmp_path, first, second)
    assert isinstance(failed, SearchFailedError)
    assert (str(failed), failed.timeout, then) == ("too slow", True, ["one"])


def test_a_trajectory_that_ran_again_counts_as_it_ran_last(tmp_path: Path) -> None:
    record(tmp_path, Scripted(SearchFailedError("busy")), text("a"))
    record(tmp_path, Scripted("one"), text("a"))
    assert replay(tmp_path, text("a")) == [["one"]]


def test_a_failure_is_not_played_back_to_others(tmp_path: Path) -> None:
    record(tmp_path, Scripted(SearchFailedError("busy")), text("a"))
    assert isinstance(replay(tmp_path, text("a", sample="2"))[0], SandboxError)


def test_what_ended_a_trajectory_is_recorded_and_not_played_back(tmp_path: Path) -> None:
    record(tmp_path, Scripted(SandboxError("key refused"), ValueError("odd")), text("a"), text("b"))
    lines = list(read_lines(tmp_path / SEARCHES))
    assert [(line.status, line.provider) for line in lines] == [(Ended.BROKEN, "fake")] * 2
    assert [line.error for line in lines] == ["key refused", "odd"]
    assert isinstance(replay(tmp_path, text("a"))[0], SandboxError)


def test_a_line_has_all_of_a_search(tmp_path: Path, png: ImageFile) -> None:
    hit = Hit(title="t", url="https://example.org", text="x", thumbnail=png)
    search = Search(kind=Kind.IMAGE, sample="s", image="f" * 64, results=5, chars=100).after("")
    record(tmp_path, FakeProvider(lambda _: [hit]), search)
    (line,) = read_lines(tmp_path / SEARCHES)
    assert (line.search, line.status, line.hits[0].title) == (search, Ended.OK, "t")
    assert line.at > 0
    thumbnail = line.hits[0].thumbnail
    assert thumbnail is not None
    assert thumbnail.read() == png.read()
    assert thumbnail.path == tmp_path / THUMBNAILS / png.header.filename


def test_a_missing_thumbnail_is_found_at_the_start(tmp_path: Path, png: ImageFile) -> None:
    search = Search(kind=Kind.IMAGE, sample="s", image="f" * 64, results=5, chars=100).after("")
    record(tmp_path, FakeProvider(lambda _: [Hit(thumbnail=png)]), search)
    (tmp_path / THUMBNAILS / png.header.filename).unlink()
    with pytest.raises(DataError, match="is missing, which"):
        replay(tmp_path, search)


def test_a_torn_last_line_is_mended_and_nothing_before_it_lost(tmp_path: Path) -> None:
    record(tmp_path, Scripted("one"), text("a"))
    with (tmp_path / SEARCHES).open("ab") as file:
        file.write(b'{"provider": "fa')
    assert replay(tmp_path, text("a")) == [["one"]]
    record(tmp_path, Scripted("two"), text("b"))
    assert replay(tmp_path, text("a"), text("b")) == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [(b"nonsense\n", "line 1 is no recorded search"), (b'{"provider":"x","search":', None)],
)
def test_a_damaged_recording_is_named(tmp_path: Path, damage: bytes, message: str | None) -> None:
    (tmp_path / SEARCHES).write_bytes(damage)
    if message is None:
        assert isinstance(replay(tmp_path, text("a"))[0], SandboxError)
        return
    with pytest.raises(DataError, match=message):
        replay(tmp_path, text("a"))


def test_a_newer_recording_is_refused(tmp_path: Path) -> None:
    record(tmp_path, Scripted("one"), text("a"))
    line = json.loads((tmp_path / SEARCHES).read_text())
    (tmp_path / SEARCHES).write_text(json.dumps({**line, "version": 99}) + "\n")
    with pytest.raises(DataError, match="version 99"):
        replay(tmp_path, text("a"))


def test_a_run_without_searches_is_told_from_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="made without a search tool"):
        RecordedProvider(tmp_path)
    with pytest.raises(EvalkitError, match="is not there"):
        RecordedProvider(tmp_path / "nowhere")


def test_two_processes_do_not_record_into_one_folder(tmp_path: Path) -> None:
    with SearchLog().into(tmp_path), pytest.raises(InfrastructureError, match="in use"), SearchLog().into(tmp_path):
        pass


def test_nothing_is_recorded_outside_a_run_folder() -> None:
    line = Line(provider="fake", search=text("a"), status=Ended.OK)
    asyncio.run(SearchLog().write(line))
