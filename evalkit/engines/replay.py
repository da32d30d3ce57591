"""An engine that says again what a recorded run's engine said."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from evalkit.engines.base import Completion, Request
from evalkit.engines.pixels import Seen
from evalkit.errors import EngineError, one_line
from evalkit.images import encode_hook
from evalkit.records import Shown, Turn


class ReplayEngine:
    """Plays back recorded turns, whatever it is asked, as long as the conversation goes as it went.

    Where a protocol takes turns out, what its tools gave decides which: a turn must follow what it followed.

    Args:
        turns: of each trajectory, by request key ("sample/arm/repeat").
    """

    def __init__(self, turns: Mapping[str, tuple[Turn, ...]]) -> None:
        self._turns = turns

    async def start(self) -> dict[str, Any]:
        """Nothing to reach.

        Returns:
            kind, the number of recorded trajectories, and their digest.
        """
        digest = hashlib.sha256(msgspec.json.encode(sorted(self._turns.items()), enc_hook=encode_hook))
        return {"kind": "replay", "trajectories": len(self._turns), "identity": digest.hexdigest()}

    async def generate(self, request: Request) -> Completion:
        """The recorded turn, with its own usage and timing; the time its tools took is not the engine's.

        Raises:
            EngineError: the trajectory or the turn is not in the recording, or does not follow what it followed there.
        """
        turns = self._turns.get(request.key)
        if turns is None:
            raise EngineError(f"not in the recording: {one_line(request.key, 120)!r}")
        if not 0 <= request.turn < len(turns):
            raise EngineError(
                f"not in the recording: turn {request.turn} of {one_line(request.key, 120)!r}, which has {len(turns)}"
            )
        if request.turn and not _follows(request, turns[: request.turn]):
            raise EngineError(
                f"turn {request.turn} of {one_line(request.key, 120)!r} does not go on as in the recording: "
                "its tools gave something else, or the protocol has other quirks"
            )
        turn = turns[request.turn]
        return Completion(
            text=turn.text,
            finish_reason=turn.finish_reason,
            usage=turn.usage,
            timing=msgspec.structs.replace(turn.timing, tool_s=0.0),
            retries=turn.retries,
            images=tuple(_seen(shown) for earlier in turns[: request.turn + 1] for shown in earlier.shown),
        )

    async def close(self) -> None:
        """Nothing to free."""


def _follows(request: Request, turns: Sequence[Turn]) -> bool:
    """Whether the turn before was left in the conversation, or taken out, as it was recorded.

    A turn that was taken out at once has no observations; one of a try that was given up later kept them.
    """
    last = turns[-1]
    said = next((message.text for message in reversed(request.messages) if message.role == "assistant"), "")
    if not last.discarded or last.observations:
        return last.text in said
    before = [text for turn in turns[:-1] for text in (turn.text, *(seen.text for seen in turn.observations))]
    # what stands in earlier turns too tells nothing
    return last.text not in said or any(last.text in text for text in ("", *before))


def _seen(shown: Shown) -> Seen:
    return Seen(width=shown.shown_width, height=shown.shown_height, tokens=shown.tokens, computed=shown.computed)
