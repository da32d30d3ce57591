"""A small model server that misbehaves when it is told to: `python -m tests.faults.harness.model_server PORT`.

It takes one word a line on standard input: how to behave from now on. It ends when that closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.faults.harness.script import reply

MODEL = "scripted"
FINE, REFUSE = "fine", "refuse"
_STATUS = {
    "429": ("429 Too Many Requests", "application/json", b'{"error": {"message": "slow down"}}'),
    "500": ("500 Internal Server Error", "text/plain", b"Internal Server Error"),
    "502": ("502 Bad Gateway", "text/html", b"<html><body><h1>502 Bad Gateway</h1></body></html>"),
}
_DELAY_S = 0.02
_DRIP_S = 0.1
_ID = {"id": MODEL, "object": "model", "max_model_len": 100_000}


class ModelServer:
    """The server.

    Args:
        port: 0 for any that is free.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.mode = FINE
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._stuck = asyncio.Event()

    async def listen(self) -> None:
        """Take connections."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**24)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def behave(self, mode: str) -> None:
        """From now on."""
        self.mode = mode
        if mode == REFUSE and self._listener is not None:
            self._listener.close()
            self._listener = None
            for writer in self._open:
                writer.transport.abort()
        elif mode != REFUSE and self._listener is None:
            await self.listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                size = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
                body = await reader.readexactly(size)
                if not await self._answer(head.split(" ")[1], body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can go on."""
        mode = self.mode
        if mode == "hang":
            await self._stuck.wait()
        if mode == "garbage":
            writer.write(b"\x00\x17\xff evil \x1b[2J\r\n\r\n" * 40)
            await writer.drain()
            return False
        if mode in _STATUS:
            status, kind, said = _STATUS[mode]
            writer.write(_framed(status, kind, said))
        else:
            await asyncio.sleep(_DELAY_S)
            data = _framed("200 OK", "application/json", json.dumps(_document(path, body)).encode())
            if mode == "truncated":
                writer.write(data[: len(data) * 2 // 3])
                await writer.drain()
                return False
            if mode == "slow":
                for at in range(len(data)):
                    writer.write(data[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(_DRIP_S)
            else:
                writer.write(data)
        await writer.drain()
        return True


def _framed(status: str, kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _document(path: str, body: bytes) -> dict[str, Any]:
    if path.endswith("/models"):
        return {"object": "list", "data": [_ID]}
    asked = json.loads(body)
    text = reply(asked)
    shown = sum(len(json.dumps(message["content"]).split()) for message in asked["messages"])
    return {
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": shown, "completion_tokens": len(text.split())},
    }


async def main(port: int) -> None:
    """Serve until standard input closes."""
    server = ModelServer(port)
    await server.listen()
    print(server.port, flush=True)
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    while line := await told.readline():
        await server.behave(line.decode().strip())
        print(server.mode, flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
