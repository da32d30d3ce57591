"""Tiny requests that find out whether a server takes images by reference. Nothing is concluded from its name."""

from __future__ import annotations

import base64
import re
import secrets
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

_SIDE = 64
_FILES = re.compile(r"must be a subpath|No such file", re.IGNORECASE)


class Seen(NamedTuple):
    """What came of a probe: HTTP status (0 for no reply), tokens of the prompt (None if unknown), the body's text."""

    status: int
    prompt_tokens: int | None
    text: str


Ask = Callable[[dict[str, Any]], Awaitable[Seen]]
"""Sends one image part and a word, and says what came of it."""


class Found(NamedTuple):
    """What the probes showed.

    Attributes:
        by_id: images are kept under ids.
        files: it reads `file://` URLs, of which folders is not known yet.
        prompt_tokens: of a probe that was seen with its image.
    """

    by_id: bool = False
    files: bool = False
    prompt_tokens: int | None = None


def probe_image() -> bytes:
    """A small grey PNG."""
    rows = b"".join(b"\0" + bytes((120,)) * (3 * _SIDE) for _ in range(_SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


async def references(ask: Ask) -> Found:
    """Find out with four requests of one token each; fewer where the first is refused.

    A server that merely ignores what it does not know would answer a request with an id alone, without the
    image: so the image must count in the prompt as it did when it was sent, and an id that was never given
    must be refused.
    """
    id = secrets.token_hex(16)
    data = {"url": "data:image/png;base64," + base64.b64encode(probe_image()).decode()}
    given = await ask({"type": "image_url", "image_url": data, "uuid": id})
    if given.status != 200 or given.prompt_tokens is None:
        return Found()
    known = await ask({"type": "image_url", "image_url": None, "uuid": id})
    never = await ask({"type": "image_url", "image_url": None, "uuid": secrets.token_hex(16)})
    absent = await ask({"type": "image_url", "image_url": {"url": f"file:///evalkit-{secrets.token_hex(8)}.png"}})
    by_id = known.status == 200 and known.prompt_tokens == given.prompt_tokens and 400 <= never.status < 500
    files = absent.status >= 400 and _FILES.search(absent.text) is not None
    return Found(by_id, files, given.prompt_tokens)
