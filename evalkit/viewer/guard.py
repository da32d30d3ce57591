"""Who may ask: the one who has the token, on this machine, from the viewer's own page."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from evalkit.errors import EvalkitError, one_line
from evalkit.viewer.source import Gone

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN = web.AppKey("token", str)
COOKIE = web.AppKey("cookie", str)
_NAMES = frozenset({"127.0.0.1", "localhost"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(24)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what does not come from the viewer's own page, and turn errors into one line."""
    if refusal := _refusal(request):
        return refusal
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _plain(error.status, error.reason)
    except Gone as error:
        return _plain(410, str(error))
    except EvalkitError as error:
        return _plain(500, str(error))
    except Exception as error:
        return _plain(500, f"evalkit itself failed: {type(error).__name__}: {error}")


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """The headers of every response, those of errors included."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    # no reader needs the server's versions
    response.headers["Server"] = "evalkit"


def _refusal(request: web.Request) -> web.Response | None:
    """Why the request is refused; None where it is not."""
    host = request.headers.get("Host", "")
    # a page elsewhere whose name was made to point here sends its own name; a tunnel may change the port
    if _name(f"//{host}") not in _NAMES:
        return _plain(403, "this server answers to 127.0.0.1 and localhost only")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return _plain(403, "the request comes from another site")
    if request.method != "GET":
        response = _plain(405, "only GET")
        response.headers["Allow"] = "GET"
        return response
    if not _known(request):
        return _plain(403, "no or a wrong token: open the address that evalkit view printed")
    return None


def _known(request: web.Request) -> bool:
    """Whether the request has the token: the page's own address may carry it, anything else sends the cookie."""
    given = request.query.get("token") if request.path == "/" else None
    found = given if given is not None else request.cookies.get(request.app[COOKIE], "")
    return secrets.compare_digest(found.encode("utf-8", "replace"), request.app[TOKEN].encode())


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=one_line(text, 500) + "\n")
