"""The bare client: the limit of what a harness can reach. Nothing is stored, parsed or scored.

Request bodies are built from the files' own bytes and posted with aiohttp under uvloop.

usage: python bare_client.py ITEMS.jsonl CONCURRENCY BASE_URL [TURNS]

With two turns a row's second request repeats the first, and the call that came back and the tool's word.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import uvloop


async def _main(items: list[dict[str, str]], concurrency: int, url: str, turns: int) -> None:
    slots = asyncio.Semaphore(concurrency)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as http:

        async def one(item: dict[str, str]) -> object:
            async with slots:
                data = base64.b64encode(Path(item["image"]).read_bytes())  # noqa: ASYNC240
                image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,@"}}
                content = [image, {"type": "text", "text": item["question"]}]
                messages: list[dict[str, object]] = [{"role": "user", "content": content}]
                said = ""
                for _ in range(turns):
                    frame = msgspec.json.encode({"model": "mock", "max_tokens": 512, "messages": messages})
                    # the image is put in as bytes: a JSON encoder would look at each of its characters
                    body = data.join(frame.split(b"@", 1))
                    headers = {"content-type": "application/json"}
                    async with http.post(f"{url}/chat/completions", data=body, headers=headers) as reply:
                        said = msgspec.json.decode(await reply.read())["choices"][0]["message"]["content"]
                    messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "1"}]
                return said

        start = time.perf_counter()
        await asyncio.gather(*map(one, items))
        print(json.dumps({"rows": len(items), "loop_s": time.perf_counter() - start}))


if __name__ == "__main__":
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    uvloop.run(_main(rows, int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 1))
