"""Images that search results name, fetched as strangers' files: from public addresses, within bounds, decoded once."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from evalkit.errors import one_line
from evalkit.images import ImageFile
from evalkit.search._body import TooLargeError, read_body
from evalkit.search.guard import Allowed, RefusedError, checked, connector, is_public

MAX_BYTES = 5 << 20
MAX_PIXELS = 16_000_000
TIMEOUT_S = 10.0
MAX_REDIRECTS = 4
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class NoImageError(Exception):
    """An image that could not be had, and why."""


class Thumbnails:
    """Fetches images; many at once, none for long.

    Args:
        allowed: addresses that may be connected to; only a test has a reason to change it.
        timeout_s: for one image, redirects included.
    """

    def __init__(self, allowed: Allowed = is_public, timeout_s: float = TIMEOUT_S) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._session: ClientSession | None = None

    async def fetch(self, urls: Sequence[str]) -> ImageFile:
        """The first of several addresses of an image that gives one.

        Raises:
            NoImageError: none does; the reason is the first one's.
        """
        reason = "no address is given"
        for place, url in enumerate(urls):
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await asyncio.to_thread(decoded, await self._get(url), url)
            except (NoImageError, RefusedError, TooLargeError) as error:
                problem = str(error)
            except TimeoutError:
                problem = f"it took more than {self._timeout_s:g} s"
            except (ClientError, OSError, ValueError, zlib.error) as error:
                problem = one_line(error, 120) or type(error).__name__
            reason = reason if place else problem
        raise NoImageError(reason)

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, url: str) -> bytes:
        """The bytes behind an address; each address on the way is checked."""
        target = checked(url, self._allowed)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._client().get(target, allow_redirects=False, headers={"Accept": "image/*"}) as response:
                if response.status not in _REDIRECTS:
                    if response.status != 200:
                        raise NoImageError(f"its server answered {response.status}")
                    if not response.content_type.startswith("image/"):
                        raise NoImageError(f"it is {one_line(response.content_type, 60)}, no image")
                    return await read_body(response, MAX_BYTES)
                target = checked(str(target.join(URL(response.headers.get("Location", "")))), self._allowed)
        raise NoImageError(f"more than {MAX_REDIRECTS} redirects")

    def _client(self) -> ClientSession:
        if self._session is None:
            # a proxy would resolve names by itself, past the guard
            self._session = ClientSession(
                connector=connector(self._allowed),
                timeout=ClientTimeout(total=self._timeout_s),
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def decoded(data: bytes, name: str) -> ImageFile:
    """The image in `data`, which has been decoded once: what follows can rely on it.

    Raises:
        NoImageError: it is none, of another format than is shown, or too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise NoImageError(f"{image.width} x {image.height} pixels; {MAX_PIXELS:,} are allowed")
            image.load()
        file = ImageFile.from_bytes(data, one_line(name, 200))
        _ = file.header
    except NoImageError:
        raise
    except Exception as error:
        # format plugins raise whatever they stumble over
        raise NoImageError("it cannot be decoded as an image") from error
    return file
