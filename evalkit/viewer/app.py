"""The three things the server answers: the page, whether there is a newer one, and a page's data."""

from __future__ import annotations

import re

from aiohttp import web

from evalkit.viewer.guard import COOKIE, TOKEN, guard, secure
from evalkit.viewer.source import Gone, Source

SOURCE: web.AppKey[Source] = web.AppKey("source")
_LARGE = 4096
_IN_A_THREAD = 65536
"""Bytes that are worth a thread to pack them."""


def make_app(source: Source, token: str, port: int) -> web.Application:
    """The application.

    Args:
        source: what is shown.
        token: what a reader must have.
        port: it listens on; cookies do not tell ports apart, so that their name has to.
    """
    app = web.Application(middlewares=[guard])
    app[SOURCE], app[TOKEN], app[COOKIE] = source, token, f"evalkit-{port}"
    app.on_response_prepare.append(secure)
    app.router.add_get("/", _page, allow_head=False)
    app.router.add_get("/version", _version, allow_head=False)
    app.router.add_get("/data/{kind:boards|rows|detail}", _data, allow_head=False)
    return app


async def _page(request: web.Request) -> web.Response:
    page = await request.app[SOURCE].page()
    html = page.html.encode("utf-8", "replace")
    response = web.Response(body=html, content_type="text/html", charset="utf-8", zlib_executor_size=_IN_A_THREAD)
    # a page's own policy cannot say who may frame it
    response.headers["Content-Security-Policy"] = f"{page.policy}; frame-ancestors 'none'"
    response.set_cookie(request.app[COOKIE], request.app[TOKEN], httponly=True, samesite="Strict", path="/")
    response.enable_compression()
    return response


async def _version(request: web.Request) -> web.Response:
    return web.json_response({"version": request.app[SOURCE].version()})


async def _data(request: web.Request) -> web.Response:
    row = request.query.get("row", "0")
    if not re.fullmatch(r"[0-9]{1,9}", row):
        raise Gone(f"there is no row {row}")
    body = await request.app[SOURCE].data(request.match_info["kind"], request.query.get("run", ""), int(row))
    response = web.Response(body=body, content_type="application/json", zlib_executor_size=_IN_A_THREAD)
    if len(body) > _LARGE:
        response.enable_compression()
    return response
