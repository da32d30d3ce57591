"""Stands in for `python -m vllm.entrypoints.openai.api_server`: same options, answers by itself.

FAKE_VLLM says how it ends: "starts" not at all, "crashes" at the start, "dies" at the first chat request, "hangs"
never gets ready, "stubborn" ignores SIGTERM, "parent" has a child that ignores it. FAKE_PIDS is a file for its pids.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer({"data": [{"id": NAME, "owned_by": "vllm", "max_model_len": 99}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if MODE == "dies" and body["max_tokens"] > 1:
            print("INFO: all is well", flush=True)
            print("(EngineCore pid=7) ERROR 01-01 00:00:00 RuntimeError: CUDA out of memory", flush=True)
            os._exit(3)
        answer = f"key {self.headers['Authorization']}"
        self.answer({"choices": [{"finish_reason": "stop", "message": {"content": answer}}]})

    def answer(self, what: object) -> None:
        data = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def note(pid: int) -> None:
    with open(os.environ["FAKE_PIDS"], "a") as file:
        file.write(f"{pid}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--model", "--served-model-name", "--host", "--port"):
        parser.add_argument(name)
    options, rest = parser.parse_known_args()
    NAME, MODE = options.served_model_name, os.environ.get("FAKE_VLLM", "")
    note(os.getpid())
    print(f"options {rest}; key {os.environ.get('VLLM_API_KEY')}", flush=True)
    if MODE == "crashes":
        print("Traceback (most recent call last):\n  File ...", flush=True)
        print("\x1b[31mValueError: the model is too large\x1b[0m\nplease report this", flush=True)
        sys.exit(1)
    if MODE in ("stubborn", "parent"):
        stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('set', flush=True); time.sleep(600)"
        if MODE == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        else:
            child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
            assert child.stdout is not None
            child.stdout.readline()
            note(child.pid)
    if MODE == "hangs":
        time.sleep(600)
    http.server.ThreadingHTTPServer((options.host, int(options.port)), Handler).serve_forever()
