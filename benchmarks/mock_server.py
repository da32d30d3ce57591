"""An OpenAI-compatible server that costs almost nothing, so that what is measured is the client.

It reads a request to its declared length and answers at once: in one piece, or, where the end of the request
asks for a stream, as server-sent events of one token each. Nothing else of a request is looked at. With --slots it
imitates an engine of that many slots that takes --delay-ms for each request and refuses what does not fit (429).
With --tools a conversation without an assistant's turn at its end is answered with a call of the Python tool.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
from typing import cast

_ASKED = b'"stream":true'
_TAIL = 512
_CALL_TEXT = '<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>'
_CALLED = b'"role":"assistant"'
ANSWER = "<reason>It is plain to see.</reason>\n<answer>A</answer>"


def _json(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    frame = {"id": "x", "object": "chat.completion", "created": 0, "model": "mock"}
    return _json({**frame, "choices": choices, "usage": usage})


COMPLETION = _completion(ANSWER)


def _stream(text: str, tokens: int) -> bytes:
    """The same reply as events, each in an HTTP chunk of its own, in one write."""
    cuts = [len(text) * at // tokens for at in range(tokens + 1)]
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[start:end]} for start, end in itertools.pairwise(cuts)]
    frame = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "mock"}
    last = len(deltas) - 1
    choices = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop" if at == last else None}
        for at, delta in enumerate(deltas)
    ]
    usage = {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens}
    chunks = [{**frame, "choices": [choice]} for choice in choices] + [{**frame, "choices": [], "usage": usage}]
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]
    body = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + body


STREAM = _stream(ANSWER, 20)
CALL = _completion(_CALL_TEXT)
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
MODELS = _json({"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "mock"}]})


class Connection(asyncio.Protocol):
    """One keep-alive connection; the body is counted and dropped as it comes."""

    received = 0
    slots = 0
    delay_s = 0.0
    at_work = 0
    tools = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self.transport = cast(asyncio.Transport, transport)
        self.head = b""
        self.left = 0
        self.reply = b""
        self.tail = b""

    def data_received(self, data: bytes) -> None:
        """Skip bodies, answer each request at its end."""
        while data:
            if self.left:
                taken = min(self.left, len(data))
                self.left -= taken
                if self.left < _TAIL:
                    self.tail = (self.tail + data[max(0, taken - _TAIL) : taken])[-_TAIL:]
                data = data[taken:]
                if not self.left:
                    self.answer()
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

    def answer(self) -> None:
        """Answer the request whose body has just ended."""
        reply = STREAM if self.reply is COMPLETION and _ASKED in self.tail else self.reply
        if Connection.tools and self.reply is COMPLETION and _CALLED not in self.tail:
            reply = CALL
        self.tail = b""
        if not Connection.slots:
            self.transport.write(reply)
        elif Connection.at_work >= Connection.slots:
            self.transport.write(BUSY)
        else:
            Connection.at_work += 1
            asyncio.get_running_loop().call_later(Connection.delay_s, self.finish, reply)

    def finish(self, reply: bytes) -> None:
        """Answer after the time that an engine would have taken."""
        Connection.at_work -= 1
        self.transport.write(reply)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the port is printed")
    parser.add_argument("--slots", type=int, default=0, help="requests at once; 0 answers all at once")
    parser.add_argument("--delay-ms", type=float, default=200, help="of each request, with --slots")
    parser.add_argument("--tools", action="store_true", help="call the Python tool once before the answer")
    options = parser.parse_args()
    Connection.tools = options.tools
    Connection.slots, Connection.delay_s = options.slots, options.delay_ms / 1000
    uvloop.run(_serve(options.port))
