"""The body of a response within a bound, compressed or not."""

from __future__ import annotations

import zlib

from aiohttp import ClientResponse

_CHUNK = 1 << 16
# gzip or zlib, told apart by their headers
_EITHER = 47


class TooLargeError(Exception):
    """The body is larger than allowed."""


async def read_body(response: ClientResponse, most: int) -> bytes:
    """All of a body that was asked for without compression; what is compressed all the same is unpacked bit by bit.

    Args:
        response: of a session with `auto_decompress=False`.
        most: bytes allowed, unpacked.

    Raises:
        TooLargeError: it has more, or is packed in a form that was not asked for.
    """
    if response.content_length is not None and response.content_length > most:
        raise TooLargeError(f"{response.content_length:,} bytes; {most:,} are allowed")
    packing = response.headers.get("Content-Encoding", "identity").lower()
    if packing not in ("identity", "", "gzip", "deflate"):
        raise TooLargeError("packed in a form that was not asked for")
    unpack = zlib.decompressobj(_EITHER) if packing in ("gzip", "deflate") else None
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += unpack.decompress(chunk, most + 1 - len(body)) if unpack else chunk
        if len(body) > most:
            raise TooLargeError(f"more than the {most:,} bytes that are allowed")
    return bytes(body)
