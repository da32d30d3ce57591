"""Trajectories of a code tool as a run records them, honest or forged, for what curates them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from evalkit import (
    CallStatus,
    ImageFile,
    Observation,
    Outcome,
    Record,
    Sample,
    StopReason,
    ToolCall,
    Trajectory,
    Turn,
    Verdict,
)
from evalkit.records import AGENT, RECORD_VERSION
from tests.run_folders import write_run

QWEN = {"name": "qwen_tools", "tools": ["python"], "system_prompt": "", "declarations": None}
NOTHING = "The code ran and printed nothing."


class Call(NamedTuple):
    """A call, and what its recording claims of it."""

    code: str
    text: str = ""
    images: tuple[ImageFile, ...] = ()
    status: CallStatus = CallStatus.OK
    recorded: Mapping[str, Any] | None = None


def board(colour: str = "navy", size: tuple[int, int] = (120, 80)) -> Image.Image:
    """A picture with a sign in it."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((10, 10, 50, 50), fill=colour)
    draw.ellipse((70, 20, 100, 60), fill="darkgreen")
    return image


def picture(image: Image.Image, name: str = "p") -> ImageFile:
    """It, encoded."""
    return ImageFile.from_pil(image, name)


def trajectory(
    id: str,
    calls: Iterable[Call],
    *,
    right: bool | Verdict = True,
    arm: str = AGENT,
    repeat: int = 0,
    image: ImageFile | None = None,
    stop: StopReason = StopReason.ANSWERED,
    discarded: str = "",
    final: str = "<think>so it is</think><answer>A</answer>",
    **sample: Any,
) -> Record:
    """Calls of the Python tool, one a turn, and then the answer."""
    turns = []
    for call in calls:
        arguments = {"code": call.code}
        raw = json.dumps({"name": "python", "arguments": arguments})
        made = ToolCall(tool="python", raw=raw, status=call.status, arguments=dict(call.recorded or arguments))
        seen = Observation(text=call.text, images=call.images)
        text = f"<think>look</think>\n<tool_call>\n{raw}\n</tool_call>"
        turns.append(Turn(text=text, calls=(made,), observations=(seen,), discarded=discarded))
    turns.append(Turn(text=final))
    verdict = right if isinstance(right, Verdict) else Verdict.CORRECT if right else Verdict.INCORRECT
    asked = {"question": f"What is in {id}?", "answer": "A", "category": "signs", **sample}
    return Record(
        version=RECORD_VERSION,
        sample=Sample(id=id, images=(image or picture(board()),), **asked),
        trajectory=Trajectory(prompt=asked["question"], stop=stop, turns=tuple(turns)),
        outcome=Outcome(verdict=verdict, answer="A", error="gone" if verdict.is_error else ""),
        arm=arm,
        repeat=repeat,
    )


def direct(id: str, right: Iterable[bool | Verdict], **sample: Any) -> list[Record]:
    """Tries without tools."""
    return [trajectory(id, (), right=one, arm="direct", repeat=k, **sample) for k, one in enumerate(right)]


def write(folder: Path, records: Iterable[Record], **config: Any) -> Path:
    """A run folder of them."""
    return write_run(folder, records, config={"protocol": QWEN, "limits": {}, **config}, task={"name": "signs"})
