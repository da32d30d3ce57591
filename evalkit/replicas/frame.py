"""The form of everything that crosses to a replica: a head of JSON and, behind it, bytes as they are."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import InfrastructureError
from evalkit.images import encode_hook

_LENGTH = struct.Struct("<Q")
_MOST = 2**36


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else encode_hook(value)


def _path(kind: type, value: Any) -> Any:
    if kind is not Path:
        raise NotImplementedError(f"cannot read a {kind.__name__}")
    return Path(value)


encode = msgspec.json.Encoder(enc_hook=_plain).encode


def decoded(data: bytes | memoryview, kind: Any) -> Any:
    """A struct without images from its JSON."""
    return msgspec.json.decode(data, type=kind, dec_hook=_path)


def pack(head: bytes, blobs: Sequence[bytes | memoryview] = ()) -> bytes:
    """One frame: the count of its parts, their lengths, and the parts."""
    parts = [head, *blobs]
    lengths = [_LENGTH.pack(len(part)) for part in parts]
    return b"".join([_LENGTH.pack(len(parts)), *lengths, *parts])


def unpack(frame: bytes | memoryview) -> tuple[memoryview, list[memoryview]]:
    """Head and blobs of a frame.

    Raises:
        InfrastructureError: it is torn.
    """
    view = memoryview(frame)
    parts: list[memoryview] = []
    try:
        (count,) = _LENGTH.unpack_from(view)
        start = _LENGTH.size * (count + 1)
        for index in range(count):
            (length,) = _LENGTH.unpack_from(view, _LENGTH.size * (index + 1))
            parts.append(view[start : start + length])
            start += length
    except struct.error:
        start = -1
    if start != len(view) or not parts:
        raise InfrastructureError("a message between evalkit and its replicas is torn")
    return parts[0], parts[1:]


async def read(stream: asyncio.StreamReader) -> bytes:
    """The next frame of a stream.

    Raises:
        EOFError: the other side is gone.
    """
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        if length > _MOST:
            raise EOFError
        return await stream.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise EOFError from error


async def write(stream: asyncio.StreamWriter, frame: bytes) -> None:
    """Send a frame; waits while the other side is slow to take it.

    Raises:
        OSError: the other side is gone.
    """
    stream.write(_LENGTH.pack(len(frame)))
    stream.write(frame)
    await stream.drain()
