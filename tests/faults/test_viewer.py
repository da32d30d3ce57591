"""The viewer answers its own page alone: not without the token, not to other sites, and nothing but three things."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from evalkit.errors import DataError
from evalkit.viewer import Gone, Page, make_app

TOKEN = "a-token"
POLICY = "default-src 'none'; connect-src 'self'"


class Fake:
    """One page with one datum."""

    def version(self) -> str:
        return "v1"

    async def page(self) -> Page:
        return Page("v1", "<!doctype html><title>runs</title>" + "é" * 1_000_000, POLICY)

    async def data(self, kind: str, run: str = "", row: int = 0) -> bytes:
        if run == "corrupt":
            raise DataError("runs/a\x1b[2J is corrupt\nreally")
        if run == "odd":
            raise RuntimeError("oh")
        if run not in ("", "a/b"):
            raise Gone(f"there is no run {run}")
        return f'{{"{kind}": "{run} {row}"}}'.encode()


@pytest.fixture
async def address() -> AsyncIterator[str]:
    runner = web.AppRunner(make_app(Fake(), TOKEN, 5), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


KNOWN = {"Cookie": f"evalkit-5={TOKEN}"}


async def status(http: ClientSession, url: str, method: str = "GET", **headers: str) -> int:
    async with http.request(method, url, headers=headers, allow_redirects=False) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "'none'" in response.headers["Content-Security-Policy"]
        assert "aiohttp" not in response.headers["Server"]
        return response.status


async def test_the_token_opens_the_page_and_the_cookie_all_else(address: str, http: ClientSession) -> None:
    async with http.get(f"{address}/?token={TOKEN}") as response:
        assert response.status == 200
        assert response.headers["Content-Security-Policy"] == f"{POLICY}; frame-ancestors 'none'"
        assert "<title>runs" in await response.text()
        cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"evalkit-5={TOKEN};")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    for path in ("/", "/version", "/data/boards", "/data/rows?run=a/b", "/data/detail?run=a%2Fb&row=12"):
        assert await status(http, address + path, **KNOWN) == 200, path


@pytest.mark.parametrize("path", ["/", "/version", "/data/boards", "/nowhere", "/?token=", "/?token=a-tokem"])
async def test_nothing_is_said_without_the_token(address: str, http: ClientSession, path: str) -> None:
    async with ClientSession() as other:
        assert await status(other, address + path) == 403
        assert await status(other, address + path, Cookie="evalkit-5=guess") == 403
    # a cookie of another viewer on another port is none of this one
    assert await status(http, address + path, Cookie=f"evalkit-6={TOKEN}") == 403


async def test_a_wrong_token_is_refused_whatever_the_cookie(address: str, http: ClientSession) -> None:
    assert await status(http, f"{address}/?token=wrong", **KNOWN) == 403
    assert await status(http, f"{address}/version?token={TOKEN}") == 403
    assert await status(http, f"{address}/?token=%ff%fe", **KNOWN) == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1", "", "a@evil"])
async def test_another_host_name_is_refused(address: str, http: ClientSession, host: str) -> None:
    assert await status(http, f"{address}/version", **KNOWN, Host=host) == 403


async def test_a_tunnel_with_another_port_is_the_same_host(address: str, http: ClientSession) -> None:
    assert await status(http, f"{address}/version", **KNOWN, Host="localhost:9000") == 200
    assert (
        await status(http, f"{address}/version", **KNOWN, Host="localhost:9000", Origin="http://localhost:9000") == 200
    )


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
async def test_another_origin_is_refused(address: str, http: ClientSession, origin: str) -> None:
    assert await status(http, f"{address}/version", **KNOWN, Origin=origin) == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"])
async def test_only_get(address: str, http: ClientSession, method: str) -> None:
    assert await status(http, f"{address}/", method, **KNOWN) == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/data/../../etc/passwd", "/data/rows/..%2f..%2fx", "/data/",
        "/data", "/data/rows?run=../../etc", "/data/rows?run=/etc/passwd", "/data/detail?run=a/b&row=-1",
        "/data/detail?run=&row=1e3", "/data/detail?row=99999999999999999999", "/data/detail?row=%C2%B2", "/data/x",
        "/data/boards/", "//version", "/data/rows?run=%00", "/run.json", "/static/core.js", "/data/rows/²",
    ],
)  # fmt: skip
async def test_there_is_nothing_else(address: str, path: str) -> None:
    port = int(address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # as it is: a client would clean the path up
    lines = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {KNOWN['Cookie']}\r\nConnection: close\r\n\r\n"
    writer.write(lines.encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert re.match(r"HTTP/1\.[01] (404|400|410) ", answer), answer[:200]
    assert "Traceback" not in answer


async def test_errors_are_one_line_and_the_server_goes_on(address: str, http: ClientSession) -> None:
    said = {}
    for run in ("gone", "corrupt", "odd"):
        async with http.get(f"{address}/data/rows?run={run}", headers=KNOWN) as response:
            said[run] = (response.status, await response.text(), response.content_type)
    assert said["gone"] == (410, "there is no run gone\n", "text/plain")
    assert said["corrupt"][:2] == (500, "runs/a [2J is corrupt really\n")
    assert said["odd"][:2] == (500, "evalkit itself failed: RuntimeError: oh\n")
    assert await status(http, f"{address}/version", **KNOWN) == 200


async def test_what_is_no_request_is_answered_and_the_server_goes_on(address: str, http: ClientSession) -> None:
    port = int(address.rpartition(":")[2])
    for sent in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(1000), 10)
        writer.close()
        assert b"200" not in answer.split(b"\r\n")[0]
    assert await status(http, f"{address}/version", **KNOWN) == 200
