"""Invented rows with all that a log has to hold: images, calls, times."""

from __future__ import annotations

from typing import Any

import msgspec
from PIL import Image

from evalkit import CallStatus, Observation, Record, ToolCall
from evalkit.images import ImageFile
from evalkit.records import Timing, Turn, Usage
from tests.run_folders import row

NASTY = '<script>alert("x")</script> [bold]\u202e{{x}} =cmd() \x07 attachment://0 &amp; %s'


def image(colour: str, side: int = 40) -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (side, side), colour))


def trajectory(record: Record, **changes: Any) -> Record:
    return msgspec.structs.replace(record, trajectory=msgspec.structs.replace(record.trajectory, **changes))


def looked(id: str, right: bool = True, **more: Any) -> Record:
    """A row with a picture, a crop of it, a call that failed and one that could not be read."""
    calls = (
        ToolCall(tool="crop", raw='{"left": 1}', status=CallStatus.OK, arguments={"left": 1}, seconds=0.25),
        ToolCall(tool="crop", raw="{}", status=CallStatus.FAILED, error="it raised", seconds=0.5),
        ToolCall(tool="", raw="{left", status=CallStatus.MALFORMED, error="no JSON"),
    )
    seen = (Observation(text="a crop", images=(image("blue"),)), Observation(text="failed"), Observation(text="what?"))
    usage = Usage(prompt_tokens=20, completion_tokens=5, image_tokens=9)
    turns = (
        Turn(text=f"I look {NASTY}", finish_reason="tool_calls", calls=calls, observations=seen, usage=usage,
             timing=Timing(queue_s=0.1, generate_s=1.5, tool_s=0.75), retries=2),
        Turn(text="<answer>A</answer>", finish_reason="stop", usage=usage, timing=Timing(generate_s=0.5)),
    )  # fmt: skip
    made = row(id, right, images=(image("red"), image("green")), choices={"A": "red", "B": "blue"}, category="colour",
               cluster="one", metadata={"kind": "easy", "level": 3}, **more)  # fmt: skip
    return trajectory(made, turns=turns, started_at=1.7e9, total_s=3.0)
