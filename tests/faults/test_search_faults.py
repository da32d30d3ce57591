"""What a search service and a stranger's server can do wrong, and what becomes of the search."""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib
from email.utils import formatdate
from ipaddress import ip_address
from typing import Any

import pytest
from PIL import Image

from evalkit import EvalkitError
from evalkit.errors import SandboxError
from evalkit.search import Kind, Search, SearchFailedError
from evalkit.search.brave import BraveProvider
from evalkit.search.guard import Allowed, is_public
from evalkit.search.searxng import SearxngProvider
from evalkit.search.serper import SerperProvider
from evalkit.search.tavily import TavilyProvider
from evalkit.search.thumbnails import NoImageError, Thumbnails
from tests.search_server import endless, moved, plain, serving

KEY = "key-0123456789abcdef"
FINE = {"results": [{"title": "T", "url": "https://example.org/", "content": "c"}]}


def search(**more: Any) -> Search:
    return Search(**{"kind": Kind.TEXT, "sample": "1", "query": "q", "results": 5, "chars": 100, **more})


def loopback(address: Any) -> bool:
    """What only a test allows: the test's own server."""
    return address == ip_address("127.0.0.1")


def png(width: int = 8, height: int = 8, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (9, 9, 9)).save(buffer, kind)
    return buffer.getvalue()


async def searxng(*replies: Any, timeout_s: float = 20.0) -> Any:
    """What one search of an instance that answers so gives, and how often it was asked."""
    async with serving(*replies) as server:
        provider = SearxngProvider(server.url, timeout_s=timeout_s, backoff_s=0.001)
        try:
            return await provider.search(search())
        except (SearchFailedError, SandboxError) as error:
            return error, len(server.asked)
        finally:
            await provider.close()


# -- a service that the user named --


async def test_an_instance_on_this_machine_may_be_searched() -> None:
    hits = await searxng(plain(FINE))
    assert [(hit.title, hit.url, hit.text) for hit in hits] == [("T", "https://example.org/", "c")]


async def test_html_instead_of_json() -> None:
    error, asked = await searxng(plain("<html>hello</html>", kind="text/html"))
    assert isinstance(error, SearchFailedError)
    assert "answered with text/html instead of JSON" in str(error)
    assert asked == 1


@pytest.mark.parametrize("body", [b"", b"[" * 200_000, b"[]", b'{"results": [', b"\xff\xfe", b"null", b'"x"'])
async def test_json_of_another_form(body: bytes) -> None:
    error, _ = await searxng(plain(body))
    assert isinstance(error, SearchFailedError)


@pytest.mark.parametrize("results", [None, {}, "x", [1, None, []], [{"title": 1, "url": None, "content": ["x"]}]])
async def test_results_of_another_form_give_nothing_that_is_not_there(results: Any) -> None:
    for hit in await searxng(plain({"results": results})):
        assert (hit.title, hit.url, hit.text) == ("", "", "")


async def test_lone_surrogates_and_control_characters_are_made_harmless() -> None:
    body = b'{"results": [{"title": "a\\ud800b\\u001b[31m", "url": "u", "content": "x\\ny"}]}'
    (result,) = await searxng(plain(body))
    assert "\x1b" not in result.title
    assert result.text == "x y"
    result.title.encode()


async def test_a_page_of_50_mb_is_not_read() -> None:
    error, asked = await searxng(plain(b" " * (50 << 20)))
    assert isinstance(error, SearchFailedError)
    assert "too large" in str(error)
    assert asked == 1


async def test_a_body_without_length_is_cut_off_at_the_bound() -> None:
    error, _ = await searxng(endless("application/json", 0.0, b" " * (1 << 16)))
    assert isinstance(error, SearchFailedError)
    assert "too large" in str(error)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_a_packed_answer_is_unpacked_within_the_bound(pack: Any) -> None:
    name = "gzip" if pack is gzip.compress else "deflate"
    fine = await searxng(plain(pack(b'{"results": [{"title": "T"}]}'), **{"Content-Encoding": name}))
    assert fine[0].title == "T"
    error, _ = await searxng(plain(pack(b" " * (50 << 20)), **{"Content-Encoding": name}))
    assert "too large" in str(error)


async def test_a_packed_answer_that_is_no_such_thing() -> None:
    error, _ = await searxng(plain(b"no gzip", **{"Content-Encoding": "gzip"}))
    assert isinstance(error, SearchFailedError)


async def test_a_slow_drip_ends_at_the_time_limit() -> None:
    error, asked = await searxng(endless("application/json", 0.05), timeout_s=0.3)
    assert isinstance(error, SearchFailedError)
    assert error.timeout
    assert "no whole answer within 0.3 s" in str(error)
    assert asked == 3


async def test_a_redirect_is_not_followed() -> None:
    error, asked = await searxng(moved("http://127.0.0.1:1/metadata"))
    assert isinstance(error, SearchFailedError)
    assert "redirects to http://127.0.0.1:1/metadata" in str(error)
    assert asked == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_what_passes_is_tried_again(status: int) -> None:
    hits = await searxng(plain("", status, "text/plain", **{"Retry-After": "0"}), plain(FINE))
    assert len(hits) == 1


async def test_what_does_not_pass_fails_after_three_tries() -> None:
    error, asked = await searxng(plain("", 503, "text/plain"))
    assert isinstance(error, SearchFailedError)
    assert "answered 503" in str(error)
    assert asked == 3


@pytest.mark.parametrize("wait", ["3600", formatdate(4102444800, usegmt=True)])
async def test_a_wait_that_is_too_long_is_not_waited(wait: str) -> None:
    error, asked = await searxng(plain("", 429, "text/plain", **{"Retry-After": wait}))
    assert isinstance(error, SearchFailedError)
    assert "asks to wait" in str(error)
    assert asked == 1


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refusal_ends_the_trajectory_with_an_error(status: int) -> None:
    error, asked = await searxng(plain("", status, "text/plain"))
    assert isinstance(error, SandboxError)
    assert f"answered {status}" in str(error)
    assert asked == 1


async def test_no_engine_answered_is_not_no_result() -> None:
    error, _ = await searxng(
        plain({"results": [], "unresponsive_engines": [["google", "timeout"], ["bing", "CAPTCHA"]]})
    )
    assert isinstance(error, SearchFailedError)
    assert "google: timeout; bing: CAPTCHA" in str(error)
    assert await searxng(plain({"results": [], "unresponsive_engines": []})) == ()


async def test_an_instance_that_is_not_there() -> None:
    async with serving(plain(FINE)) as server:
        url = server.url
    provider = SearxngProvider(url, backoff_s=0.001)
    with pytest.raises(EvalkitError, match="cannot be reached"):
        await provider.start()
    await provider.close()


@pytest.mark.parametrize(
    ("reply", "message"),
    [(plain("", 403), "JSON is not among its formats"), (plain("<html>", kind="text/html"), "instead of JSON")],
)
async def test_an_instance_without_json_is_found_at_the_start(reply: Any, message: str) -> None:
    async with serving(reply) as server:
        provider = SearxngProvider(server.url)
        with pytest.raises(EvalkitError, match=message):
            await provider.start()
        await provider.close()


async def test_a_password_in_the_address_is_used_and_not_shown() -> None:
    async with serving(plain(FINE), plain("", 403)) as server:
        provider = SearxngProvider(server.url.replace("//", "//me:s3cret@"))
        await provider.start()
        with pytest.raises(SandboxError) as caught:
            await provider.search(search())
        await provider.close()
        assert "s3cret" not in str(caught.value)
        assert server.asked[0][2]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("url", ["", "ftp://x", "nonsense", "http://", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(EvalkitError, match="no http"):
        SearxngProvider(url)


# -- services with keys --

SERVICES: dict[str, tuple[Any, str, Any, str]] = {
    "serper": (
        SerperProvider,
        "SERPER_API_KEY",
        {"organic": [{"title": "T", "link": "L", "snippet": "S"}]},
        "X-Api-Key",
    ),
    "brave": (
        BraveProvider,
        "BRAVE_API_KEY",
        {"web": {"results": [{"title": "T", "url": "L", "description": "S"}]}},
        "X-Subscription-Token",
    ),
    "tavily": (
        TavilyProvider,
        "TAVILY_API_KEY",
        {"results": [{"title": "T", "url": "L", "content": "S"}]},
        "Authorization",
    ),
}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str, Any, str]:
    found = SERVICES[request.param]
    monkeypatch.setenv(found[1], KEY)
    return found


async def test_a_service_gets_its_key_and_its_results_are_read(service: tuple[Any, str, Any, str]) -> None:
    make, _, answer, header = service
    async with serving(plain(answer)) as server:
        provider = make(server.url)
        await provider.start()
        hits = await provider.search(search(query="über & more"))
        await provider.close()
    assert [(hit.title, hit.url, hit.text) for hit in hits] == [("T", "L", "S")]
    assert {name.lower(): value for name, value in server.asked[1][2].items()}[header.lower()].endswith(KEY)
    assert KEY not in server.asked[1][1]


async def test_a_refused_key_is_found_at_the_start_and_not_shown(service: tuple[Any, str, Any, str]) -> None:
    make, variable, _, _ = service
    async with serving(plain({"error": f"bad key {KEY}"}, 401)) as server:
        provider = make(server.url)
        with pytest.raises(EvalkitError, match=variable) as caught:
            await provider.start()
        await provider.close()
    assert KEY not in str(caught.value)


async def test_a_key_that_comes_back_in_a_message_is_taken_out(service: tuple[Any, str, Any, str]) -> None:
    async with serving(plain({"message": f"no such thing for {KEY}"}, 422)) as server:
        provider = service[0](server.url)
        with pytest.raises(SearchFailedError, match=r"answered 422.*\[key\]") as caught:
            await provider.search(search())
        await provider.close()
    assert KEY not in str(caught.value)


async def test_a_key_that_comes_back_in_a_result_is_taken_out(service: tuple[Any, str, Any, str]) -> None:
    said = f"you sent {KEY}"
    results = [{"title": said, "url": said, "link": said, "snippet": said, "content": said, "description": said}]
    answer = {"organic": results, "results": results, "web": {"results": results}}
    async with serving(plain(answer)) as server:
        provider = service[0](server.url)
        (found,) = await provider.search(search())
        await provider.close()
    assert found.title == "you sent [key]"
    assert KEY not in str(found)


@pytest.mark.parametrize("value", [None, "", "  ", "two words", "schlüssel"])
def test_a_missing_key_is_found_at_once(
    service: tuple[Any, str, Any, str], monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv(service[1])
    if value is not None:
        monkeypatch.setenv(service[1], value)
    with pytest.raises(EvalkitError, match=service[1]):
        service[0]()


async def test_no_credits_are_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    async with serving(plain({"message": "Not enough credits", "statusCode": 400}, 400)) as server:
        provider = SerperProvider(server.url)
        with pytest.raises(SandboxError, match="no credits"):
            await provider.search(search())
        await provider.close()


# -- what results name --


async def fetched(*replies: Any, path: str = "/a.png", allowed: Allowed = loopback, timeout_s: float = 10.0) -> Any:
    async with serving(*replies) as server:
        thumbnails = Thumbnails(allowed, timeout_s)
        try:
            return (await thumbnails.fetch([server.url + path])).header
        except NoImageError as error:
            return str(error), len(server.asked)
        finally:
            await thumbnails.close()


async def test_an_image_is_fetched() -> None:
    header = await fetched(plain(png(30, 20), kind="image/png"))
    assert (header.width, header.height) == (30, 20)


async def test_this_machine_is_not_fetched_from() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "0x7f000001"):
        async with serving(plain(png(), kind="image/png")) as server:
            thumbnails = Thumbnails(is_public, 5.0)
            with pytest.raises(NoImageError):
                await thumbnails.fetch([f"http://{host}:{server.port}/a.png"])
            await thumbnails.close()
            assert server.asked == [], host


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.2/",
        "http://169.254.169.254/latest",
        "http://localhost:1/",
        "file:///etc/passwd",
        "//10.0.0.1/",
        "",
    ],
)
async def test_a_redirect_is_looked_at_like_the_first_address(where: str) -> None:
    problem, asked = await fetched(moved(where))
    assert problem
    assert asked <= (1 if where else 5)


async def test_redirects_end() -> None:
    problem, asked = await fetched(moved("/again"))
    assert "redirects" in problem
    assert asked == 5


async def test_a_redirect_to_an_allowed_place_is_followed() -> None:
    assert (await fetched(moved("/b.png"), plain(png(), kind="image/png"))).width == 8


async def test_a_name_that_resolves_elsewhere_the_second_time_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is public when it is looked at for the first address and private after a redirect."""
    from aiohttp.resolver import ThreadedResolver

    numbers = ["127.0.0.1", "127.0.0.2"]

    async def resolve(self: Any, host: str, port: int = 0, family: Any = 0) -> Any:
        number = numbers.pop(0) if len(numbers) > 1 else numbers[0]
        return [{"hostname": host, "host": number, "port": port, "family": 2, "proto": 0, "flags": 0}]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    async with serving(moved("http://rebind.example:{port}/b.png")) as server:
        server.replies = [moved(f"http://rebind.example:{server.port}/b.png"), plain(png(), kind="image/png")]

        async def closing(request: Any, first: Any = server.replies[0]) -> Any:
            response = await first(request)
            response.force_close()
            return response

        server.replies[0] = closing
        thumbnails = Thumbnails(loopback, 5.0)
        with pytest.raises(NoImageError, match=r"resolves to 127\.0\.0\.2"):
            await thumbnails.fetch([f"http://rebind.example:{server.port}/a.png"])
        await thumbnails.close()
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (plain(b" " * (50 << 20), kind="image/png"), "bytes"),
        (plain("<html>", kind="text/html"), "no image"),
        (plain(png(), 404, "image/png"), "404"),
        (plain(b"<svg/>", kind="image/svg+xml"), "decoded"),
        (plain(b"x", kind="image/png"), "decoded"),
        (plain(b"", kind="image/png"), "decoded"),
        (plain(png()[:60], kind="image/png"), "decoded"),
        (plain(png(kind="BMP"), kind="image/bmp"), "decoded"),
        (plain(gzip.compress(b" " * (50 << 20)), kind="image/png", **{"Content-Encoding": "gzip"}), "bytes"),
        (plain(b"x", kind="image/png", **{"Content-Encoding": "br"}), "packed"),
    ],
)
async def test_what_is_no_image_within_the_bounds(reply: Any, message: str) -> None:
    problem, _ = await fetched(reply)
    assert message in problem


async def test_an_image_of_too_many_pixels_is_not_decoded() -> None:
    problem, _ = await fetched(plain(png(5000, 4000), kind="image/png"))
    assert "5000 x 4000 pixels" in problem


async def test_a_slow_image_ends_at_the_time_limit() -> None:
    problem, _ = await fetched(endless("image/png", 0.05), timeout_s=0.3)
    assert "0.3 s" in problem


async def test_a_result_keeps_its_title_where_its_image_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    async with serving(plain({})) as server:
        rows = [
            {"title": "kept", "link": "L", "thumbnailUrl": f"{server.url}/a.png"},
            {"title": "data", "link": "L", "thumbnailUrl": "data:image/png;base64,AAAA", "imageUrl": "file:///x"},
        ]
        server.replies = [plain({"organic": rows})]
        provider = SerperProvider(server.url)
        hits = await provider.search(search(kind=Kind.IMAGE, query="", address="https://example.org/q.png"))
        await provider.close()
        assert [path for _, path, _, _ in server.asked] == ["/lens"]
    assert [(hit.title, hit.thumbnail) for hit in hits] == [("kept", None), ("data", None)]
    assert "not a public address" in hits[0].problem
    assert hits[1].problem == "no address is given"


async def test_an_image_without_public_address_cannot_be_searched_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    with pytest.raises(SearchFailedError, match="no public address"):
        await SerperProvider("http://127.0.0.1:1").search(search(kind=Kind.IMAGE, query=""))


async def test_many_searches_at_once_do_not_lose_one() -> None:
    async with serving(plain(FINE)) as server:
        provider = SearxngProvider(server.url)
        found = await asyncio.gather(*(provider.search(search(query=str(place))) for place in range(60)))
        await provider.close()
        assert len(server.asked) == 60
    assert all(len(hits) == 1 for hits in found)
