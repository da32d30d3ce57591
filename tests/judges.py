"""A judge's server beside a command, and responses that only a judge can read."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.content import find_tasks, open_task
from evalkit.task import Task
from tests.engines.openai_server import Server, said, serving

PROSE = {
    "1": "The bar for plums goes up to the line marked 20, while the others are lower. They were sold every day.",
    "2": "From the chart one can see that the dates exceed the figs by eight boxes, since one has twelve.",
    "3": "Pears reach much further up than the dates do, I do not think there is more to it.",
    "14": "The clock's short hand stands between four and five, so half past four it is.",
}
"""Responses to MathVista's own sample rows that the rules cannot read."""

WORDS = {
    "1": ("the line marked 20", "20"),
    "2": ("exceed the figs by eight boxes", "8"),
    "3": ("Pears reach much further up than the dates do", "A"),
    "14": ("half past four", "B"),
}
"""What a good judge makes of them: 1, 2 and 14 are right."""


def mathvista() -> Task:
    """MathVista on its own sample rows."""
    return open_task(find_tasks()["mathvista"], "sample")


def predictions(file: Path) -> Path:
    """A table of responses to all sample rows: `PROSE`, and the right answer in its tag elsewhere."""
    rows = [
        {"id": sample.id, "response": PROSE.get(sample.id, f"<answer>{sample.answer}</answer>")}
        for sample in mathvista().samples()
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def row_of(body: dict[str, Any]) -> str:
    """Which of the rows of `PROSE` a request asks about."""
    text = body["messages"][1]["content"]
    return next(id for id, response in PROSE.items() if response in text)


def extraction(quote: str | None, answer: str | None) -> dict[str, Any]:
    """A completion that extracts an answer."""
    return said(json.dumps({"quote": quote, "answer": answer}))


def good(body: dict[str, Any]) -> Any:
    """The reply of a good judge."""
    return extraction(*WORDS[row_of(body)])


@contextmanager
def judge_server(reply: Callable[[dict[str, Any]], Any] = good) -> Iterator[Server]:
    """A server in a thread of its own."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    server = Server()
    server.reply = reply
    stop = asyncio.Event()

    async def run() -> None:
        async with serving(server):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
