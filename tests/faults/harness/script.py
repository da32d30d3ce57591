"""What the model says in the runs that are broken, as a script file and as a server."""

from __future__ import annotations

import hashlib
import json
from typing import Any

QUESTIONS = 4
SEED = 1_000_000
_PANELS = 9
LETTERS = "ABCD"


def _call(code: str) -> str:
    return f'<tool_call>{{"name": "python", "arguments": {{"code": {json.dumps(code)}}}}}</tool_call>'


PRINTS = _call("print(image_1.size)")
SHOWS = _call("image_1.crop((0,0,64,64))")
# takes memory until there is no more, and then prints as many words as PRINTS does; of the 4 GB that a session may
# have, the greater part is only reserved, so that a slow machine can fill the rest within a call's time
HUNGRY = _call(
    "large=__import__('mmap').mmap(-1,7<<29)\ntry:\n\tkept=[b'.'*(1<<24)for(_)in(range(1<<20))]\n"
    "except(MemoryError):\n\tprint('all','eaten')"
)
TASK = (
    *("--tasks", "panel_probe", "-T", f"questions={QUESTIONS}"),
    # small boards: their reading and writing is no part of what is tried
    *("-T", "panel=64", "-T", "big_min=27", "-T", "big_max=45"),
)


def answer(letter: str) -> str:
    """The last turn."""
    return f"<reason>so</reason><answer>{letter}</answer>"


def ids(boards: int) -> list[str]:
    """Of all samples, in order."""
    return [f"{SEED + board}-{(board + 2 * k) % _PANELS}" for board in range(boards) for k in range(QUESTIONS)]


def turns(boards: int, hungry: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """Per sample: on each board one call that prints, one that shows a picture, and two answers at once.

    Args:
        boards: of the run.
        hungry: samples that call as the first kind does, and eat memory.
    """
    found = {}
    for number, id in enumerate(ids(boards)):
        said = [answer(LETTERS[(number // QUESTIONS + number) % 4])]
        call = (PRINTS, SHOWS, None, None)[number % QUESTIONS]
        if call:
            said.insert(0, HUNGRY if id in hungry else call)
        found[id] = said
    return found


def reply(body: dict[str, Any]) -> str:
    """What the server's model says: the same to the same conversation."""
    messages = body["messages"]
    asked = next(message for message in messages if message["role"] == "user")
    digest = hashlib.sha256(json.dumps(asked["content"]).encode()).digest()
    call = (PRINTS, SHOWS, None, None)[digest[0] % 4]
    if call and messages[-1] is asked:
        return call
    return answer(LETTERS[digest[1] % 4])
