"""A reply's body, up to a size: a server that never stops sending must not fill the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import EngineError

if TYPE_CHECKING:
    import aiohttp

MOST_BYTES = 16 * 2**20
"""No completion is nearly as large: a model's whole context has less than a megabyte of text."""


async def whole(reply: aiohttp.ClientResponse) -> bytes:
    """The reply's body, unpacked.

    Raises:
        EngineError: it has more than `MOST_BYTES`; the rest is not read.
    """
    body = bytearray()
    async for piece in reply.content.iter_any():
        body += piece
        if len(body) > MOST_BYTES:
            raise EngineError(
                f"the reply has more than {MOST_BYTES // 2**20} MB and was not read to its end: "
                "does the base URL name a model server?"
            )
    return bytes(body)
