"""An OpenAI-compatible server that costs almost nothing, so that what is measured is the client.

It reads a request to its declared length without looking into it and answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import cast

ANSWER = "<reason>It is plain to see.</reason>\n<answer>A</answer>"


def _json(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data


COMPLETION = _json(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "mock",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
)
MODELS = _json({"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "mock"}]})


class Connection(asyncio.Protocol):
    """One keep-alive connection; the body is counted and dropped as it comes."""

    received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self.transport = cast(asyncio.Transport, transport)
        self.head = b""
        self.left = 0
        self.reply = b""

    def data_received(self, data: bytes) -> None:
        """Skip bodies, answer each request at its end."""
        while data:
            if self.left:
                taken = min(self.left, len(data))
                self.left -= taken
                data = data[taken:]
                if not self.left:
                    self.transport.write(self.reply)
                continue
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            head, data, self.head = self.head[:end].lower(), self.head[end + 4 :], b""
            self.reply = MODELS if head.startswith(b"get") else COMPLETION
            at = head.find(b"content-length:")
            self.left = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            Connection.received += self.left
            if not self.left:
                self.transport.write(self.reply)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the port is printed")
    uvloop.run(_serve(parser.parse_args().port))
