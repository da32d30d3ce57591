"""The search tools as a model meets them, and how a user names what they search."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evalkit import EvalkitError, ImageFile, Sample
from evalkit.errors import DataError, SandboxError
from evalkit.records import CallStatus
from evalkit.runs.searches import Searches, SearchLog
from evalkit.search import FakeProvider, Hit, Kind, Search, Searcher, SearchFailedError, provider_of
from evalkit.search.image_cache import ImageCacheProvider
from evalkit.tools import ImageSearchTool, SearchSizes, TextSearchTool, ToolResult

HITS = [Hit(title="Tower", url="https://example.org/", text="It is tall."), Hit(text="No title.")]


def call(
    provider: FakeProvider, *arguments: Any, sample: Sample | None = None, image: bool = False
) -> list[ToolResult]:
    """One call after the other in one session."""
    make = ImageSearchTool if image else TextSearchTool
    tool = make(Searcher(provider, SearchLog()), SearchSizes(results=2))

    async def run() -> list[ToolResult]:
        session = await tool.open(sample or Sample(id="1", question="q"), {})
        return [await session.call(given) for given in arguments]

    return asyncio.run(run())


def test_results_have_the_query_their_number_and_each_its_address() -> None:
    (result,) = call(FakeProvider(lambda _: HITS), {"query": " how tall? "})
    assert result.status is CallStatus.OK
    assert result.text == (
        "A search for 'how tall?' found 2 results:\n\n"
        "1. [Tower](https://example.org/)\nIt is tall.\n\n"
        "2. [untitled]\nNo title."
    )


def test_no_result_is_said() -> None:
    (result,) = call(FakeProvider(), {"query": "x"})
    assert (result.status, result.text) == (CallStatus.OK, "A search for 'x' found no results.")


def test_no_more_results_than_the_family_gets() -> None:
    provider = FakeProvider(lambda _: HITS * 5)
    (result,) = call(provider, {"query": "x"})
    assert "found 2 results" in result.text
    assert provider.asked[0].results == 2


def test_of_several_queries_the_first_is_searched_for() -> None:
    provider = FakeProvider()
    call(provider, {"query": ["one", "two"]})
    assert [search.query for search in provider.asked] == ["one"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"q": "x"},
        {"query": ""},
        {"query": "  "},
        {"query": 1},
        {"query": []},
        {"query": [1]},
        {"query": "x" * 2_001},
    ],
)
def test_arguments_that_do_not_fit_are_not_searched(arguments: dict[str, Any]) -> None:
    provider = FakeProvider()
    (result,) = call(provider, arguments)
    assert result.status is CallStatus.MALFORMED
    assert result.error
    assert not provider.asked


@pytest.mark.parametrize(("timeout", "status"), [(False, CallStatus.FAILED), (True, CallStatus.TIMEOUT)])
def test_a_failed_search_is_told_to_the_model(timeout: bool, status: CallStatus) -> None:
    def fail(search: Search) -> list[Hit]:
        raise SearchFailedError("the service is busy", timeout)

    (result,) = call(FakeProvider(fail), {"query": "x"})
    assert (result.status, result.text, result.error) == (status, "", "The search failed: the service is busy")


def test_a_broken_provider_ends_the_trajectory() -> None:
    def fail(search: Search) -> list[Hit]:
        raise KeyError("odd")

    with pytest.raises(SandboxError, match="search provider fake failed: KeyError"):
        call(FakeProvider(fail), {"query": "x"})


def test_the_chain_tells_searches_of_a_session_apart() -> None:
    provider = FakeProvider()
    call(provider, {"query": "a"}, {"query": "a"}, {"query": "b"})
    call(provider, {"query": "a"}, {"query": "b"})
    chains = [search.chain for search in provider.asked]
    assert chains[0] == chains[3]
    assert len(set(chains)) == 4


def test_an_image_search_says_which_image_is_whose(png: ImageFile) -> None:
    hits = [
        Hit(title="a", thumbnail=png),
        Hit(title="b", url="https://example.org/", problem="gone"),
        Hit(title="c", thumbnail=png),
    ]
    provider = FakeProvider(lambda _: hits)
    sample = Sample(id="1", question="q", images=(png,), metadata={"image_url": "https://example.org/q.png"})
    (result,) = call(provider, {"ignored": 1}, sample=sample, image=True)
    assert result.text == (
        "An image search found 3 results:\n\n"
        "1. [a] (image 1 below)\n2. [b](https://example.org/) (no image)\n3. [c] (image 2 below)"
    )
    assert len(result.images) == 2
    (asked,) = provider.asked
    assert (asked.image, asked.address) == (png.header.sha256, "https://example.org/q.png")


def test_a_sample_without_image_cannot_be_searched_with() -> None:
    (result,) = call(FakeProvider(), {}, image=True)
    assert result.status is CallStatus.FAILED


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(buffer.getvalue())
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    entry = {
        "tool_returned_web_title": ["First", "Lost", "Broken", "more than paths"],
        "cached_images_path": ["images/a.png", None, "images/broken.png"],
    }
    file = tmp_path / "cache.json"
    file.write_text(json.dumps({"s1": entry, "empty": {}}))
    return file


def from_cache(file: Path, sample: str) -> tuple[Hit, ...]:
    async def run() -> tuple[Hit, ...]:
        provider = ImageCacheProvider(file)
        await provider.start()
        return await provider.search(Search(kind=Kind.IMAGE, sample=sample, results=5, chars=100))

    return asyncio.run(run())


def test_a_cache_gives_a_sample_its_results(cache: Path) -> None:
    hits = from_cache(cache, "s1")
    assert [hit.title for hit in hits] == ["First", "Broken"]
    assert hits[0].thumbnail is not None
    assert hits[0].thumbnail.header.width == 30
    assert (hits[1].thumbnail, hits[1].problem) == (None, "it cannot be decoded as an image")
    assert from_cache(cache, "empty") == ()
    with pytest.raises(SearchFailedError, match="no result for this image"):
        from_cache(cache, "unknown")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../secret.png", "outside the file's folder"),
        ("/etc/passwd", "outside"),
        ("images/none.png", "1 of 1 images are not"),
    ],
)
def test_a_cache_that_names_other_files_is_refused(cache: Path, path: str, message: str) -> None:
    (cache.parent.parent / "secret.png").write_bytes(b"x")
    cache.write_text(json.dumps({"s": {"tool_returned_web_title": ["t"], "cached_images_path": [path]}}))
    with pytest.raises(DataError, match=message):
        from_cache(cache, "s")


@pytest.mark.parametrize("text", ["", "[]", '{"s": []}', '{"s": {"cached_images_path": [1]}}', "[" * 100_000])
def test_a_cache_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cache.json").write_text(text)
    with pytest.raises(DataError, match=r"cache\.json.*it looks like"):
        from_cache(tmp_path / "cache.json", "s")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Kind.TEXT, "corpas:x", "nearest: corpus:DIR"),
        (Kind.TEXT, "corpus", "is written corpus:DIR"),
        (Kind.TEXT, "corpus:", "is written corpus:DIR"),
        (Kind.TEXT, "corpus:/nowhere/at/all", "is no folder"),
        (Kind.TEXT, "brave:key", "is written brave"),
        (Kind.TEXT, "brave:", "is written brave"),
        (Kind.TEXT, "cache:x", "unknown provider for --search"),
        (Kind.TEXT, "recorded:nowhere", "is not there"),
        (Kind.TEXT, "serper", "SERPER_API_KEY"),
        (Kind.IMAGE, "corpus:x", "unknown provider for --image-search"),
        (Kind.IMAGE, "cache:nowhere", "is no file"),
        (Kind.IMAGE, "serper", "SERPER_API_KEY"),
    ],
)
def test_a_provider_that_cannot_be_had_is_said(
    kind: Kind, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    with pytest.raises(EvalkitError, match=message):
        provider_of(kind, text)


def test_a_search_that_the_agent_has_no_tool_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match=r"--search does nothing.*its tools: python"):
        Searches({Kind.TEXT: f"corpus:{tmp_path}"}, ["python"], SearchSizes())


def test_samples_that_an_image_search_finds_nothing_for_are_counted(cache: Path) -> None:
    async def run() -> Searches:
        searches = Searches({Kind.IMAGE: f"cache:{cache}"}, ["image_search"], SearchSizes())
        await searches.start()
        return searches

    searches = asyncio.run(run())
    assert searches.tools().keys() == {"image_search"}
    known, unknown = Sample(id="s1", question="q"), Sample(id="s2", question="q")
    assert searches.notes([known]) == []
    assert searches.notes([known, unknown]) == ["image_search fails for 1 of 2 samples: no entry in the image cache"]
    with pytest.raises(EvalkitError, match="all 1 samples have no entry"):
        searches.notes([unknown])
