"""A model server that gives back everything it was shown, wherever it can."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    calls: ClassVar[int] = 0

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        shown = self._shown()
        self._send(200, {"data": [{"id": "m", "root": f"/weights/{shown}", "max_model_len": shown}]}, shown)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        shown = self._shown()
        type(self).calls += 1
        if self.calls % 3 == 1:
            self._send(400, {"error": {"message": f"{'x' * 270} no: {shown}", "code": shown}}, shown)
            return
        text = f"<think>{shown}</think><answer>{shown}</answer>"
        call = {"id": shown, "type": "function", "function": {"name": shown, "arguments": json.dumps({"k": shown})}}
        message = {"role": "assistant", "content": text, "reasoning": shown, "tool_calls": [call]}
        self._send(200, {"choices": [{"index": 0, "finish_reason": shown, "message": message}], "model": shown}, shown)

    def _shown(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ").removeprefix("Basic ")

    def _send(self, status: int, body: dict[str, Any], shown: str) -> None:
        data = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Server", shown)
        self.send_header("X-Echo", shown)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def echoing() -> Iterator[str]:
    """Its base URL, while it answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
