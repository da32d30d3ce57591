"""Frames between the host and a session: a fixed prefix, a JSON header, raw payload. Nothing is pickled.

The host imports this module for the constants and the encoding; it reads with its own asynchronous code.
"""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps, loads
from os import read, write
from struct import Struct
from typing import Any

PREFIX = Struct("!4sIQ")
"""Magic, header bytes, payload bytes."""
MAGIC = b"evk1"
VERSION = 1
"""A session's first frame carries it."""
MAX_HEADER = 1 << 20
"""Bytes of a JSON header."""
MAX_CODE = 1 << 26
"""Bytes of a request's payload."""
TRACEBACK_CHARS = 20_000
"""Characters of a traceback; they come on top of the printed text's cap."""
BYTES_PER_CHAR = 6
"""The longest encoding of one character: a lone surrogate, written as an escape."""
MODES = {"L": 1, "RGB": 3, "RGBA": 4}
"""Pixel modes that travel, and their bytes per pixel."""
PIXELS_FACTOR = 2
"""All images of one call together may have this many times the pixels allowed for one."""
SESSION_FD = 3
"""A forked session's descriptor of its socket."""
IMAGES_FD = 4
"""A forked session's descriptor of the file with its images, if it has any."""

_WRITE = 1 << 20


class WireError(Exception):
    """The other side does not keep to the protocol."""


class Hangup(WireError):
    """The other side is gone."""


def encode(header: dict[str, Any], payload: int) -> bytes:
    """Prefix and header of a frame that goes on with `payload` raw bytes."""
    text = dumps(header).encode()
    if len(text) > MAX_HEADER:
        raise WireError(f"header of {len(text)} bytes")
    return PREFIX.pack(MAGIC, len(text), payload) + text


def sizes(prefix: bytes | bytearray, max_payload: int) -> tuple[int, int]:
    """Header and payload length in bytes that a prefix announces.

    Raises:
        WireError: it is no prefix, or announces more than is allowed.
    """
    magic, header, payload = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise WireError("not a frame")
    if header > MAX_HEADER or payload > max_payload:
        raise WireError(f"oversized frame ({header} + {payload} bytes)")
    return header, payload


def receive(fd: int, max_payload: int = MAX_CODE) -> tuple[dict[str, Any], bytes]:
    """Wait for one frame on a blocking descriptor.

    Raises:
        Hangup: the other side closed.
        WireError: what came is not a frame.
    """
    header, payload = sizes(_exactly(fd, PREFIX.size), max_payload)
    value = loads(_exactly(fd, header))
    if not isinstance(value, dict):
        raise WireError("header is not an object")
    return value, _exactly(fd, payload)


def send(fd: int, header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write one frame whose payload is `parts`, one after the other.

    Raises:
        OSError: the other side closed.
    """
    for part in (encode(header, sum(map(len, parts))), *parts):
        view = memoryview(part)
        while view:
            view = view[write(fd, view[:_WRITE]) :]


def _exactly(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = read(fd, min(size - len(data), _WRITE))
        if not chunk:
            raise Hangup("closed")
        data += chunk
    return bytes(data)
