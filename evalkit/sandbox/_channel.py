"""The host's end of a session's socket. Nothing a session says is believed before it is checked."""

from __future__ import annotations

import asyncio
import socket
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from evalkit.errors import one_line
from evalkit.sandbox.base import Limits
from evalkit.sandbox.guest import wire

_CHUNK = 1 << 20

_Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
_Frame = TypeVar("_Frame")
_Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]


class Greeting(msgspec.Struct, forbid_unknown_fields=True):
    """A session's first frame, sent before any code of a model runs.

    Attributes:
        version: of the protocol.
        limits: resource limits and other mechanisms that hold it.
        problem: why it cannot be held, so that it ended.
    """

    version: int
    limits: list[str]
    problem: str = ""


class Reply(msgspec.Struct, forbid_unknown_fields=True):
    """The header of the reply to one cell.

    Attributes:
        id: of the request.
        ok: whether the cell ended without an exception.
        texts: bytes of stdout, stderr and the value.
        images: mode, width and height of the images that follow.
        dropped_chars: beyond the session's own cap.
        dropped_images: beyond the session's own limits.
    """

    id: str
    ok: bool
    texts: tuple[_Size, _Size, _Size]
    images: list[tuple[Literal["L", "RGB", "RGBA"], _Side, _Side]]
    dropped_chars: _Size
    dropped_images: _Size

    @property
    def sizes(self) -> list[int]:
        """Bytes of each part of the payload."""
        return [*self.texts, *(wire.MODES[mode] * width * height for mode, width, height in self.images)]


class Channel:
    """Frames over a non-blocking socket, without blocking the event loop."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def greet(self, setup: dict[str, Any]) -> Greeting:
        """Send what the session starts with, and wait until it is ready.

        Raises:
            WireError: the session ended or said something else.
            OSError: the session ended.
        """
        await self._send(wire.encode(setup, 0))
        header, _ = await self._header(0)
        greeting = _decode(header, Greeting)
        if greeting.version != wire.VERSION:
            raise wire.WireError(f"protocol version {greeting.version}")
        if greeting.problem:
            raise wire.WireError(greeting.problem)
        return greeting

    async def ask(self, call: str, code: bytes, limits: Limits) -> tuple[Reply, list[bytearray]]:
        """Send one cell and wait for its reply: the header and the parts of the payload.

        Raises:
            Hangup: the session ended.
            WireError: what came is not exactly one reply to this call within the limits.
            OSError: the session ended.
        """
        self.check_silent()
        head = wire.encode({"id": call}, len(code))
        # Each write wakes the session up.
        await self._send(*((head + code,) if len(code) < _CHUNK else (head, code)))
        text = wire.BYTES_PER_CHAR * (limits.output_chars + wire.TRACEBACK_CHARS)
        pixels = limits.image_pixels * wire.PIXELS_FACTOR
        header, payload = await self._header(3 * text + pixels * max(wire.MODES.values()))
        reply = _decode(header, Reply)
        if reply.id != call:
            raise wire.WireError("a reply with a wrong call id")
        if max(reply.texts) > text:
            raise wire.WireError("a reply with oversized text")
        areas = [width * height for _, width, height in reply.images]
        if len(areas) > limits.images or max(areas, default=0) > limits.image_pixels or sum(areas) > pixels:
            raise wire.WireError("a reply with more images or pixels than allowed")
        if payload != sum(reply.sizes):
            raise wire.WireError("a reply whose lengths do not add up")
        parts = [await self._exactly(size) for size in reply.sizes]
        self.check_silent(ended=True)
        return reply, parts

    def check_silent(self, ended: bool = False) -> None:
        """Make sure that nothing has come that was not asked for.

        Args:
            ended: accept that the session has ended.

        Raises:
            Hangup: the session has ended.
            WireError: something has come.
        """
        try:
            stray = self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            stray = b""
        if stray:
            raise wire.WireError("bytes outside a call")
        if not ended:
            raise wire.Hangup("closed")

    async def _header(self, max_payload: int) -> tuple[bytearray, int]:
        header, payload = wire.sizes(await self._exactly(wire.PREFIX.size), max_payload)
        return await self._exactly(header), payload

    async def _exactly(self, size: int) -> bytearray:
        loop = asyncio.get_running_loop()
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            count = await loop.sock_recv_into(self._socket, view[got : got + _CHUNK])
            if not count:
                raise wire.Hangup("closed")
            got += count
        return data

    async def _send(self, *parts: bytes) -> None:
        loop = asyncio.get_running_loop()
        for part in parts:
            await loop.sock_sendall(self._socket, part)


def text_of(part: bytearray, cap: int) -> tuple[str, int]:
    """The text of a reply's part, cut to `cap` characters, and how many were cut."""
    text = part.decode("utf-8", "replace")
    return text[:cap], max(0, len(text) - cap)


def _decode(data: bytearray, kind: type[_Frame]) -> _Frame:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise wire.WireError(f"not a {kind.__name__.lower()}: {one_line(error, 100)}") from error
