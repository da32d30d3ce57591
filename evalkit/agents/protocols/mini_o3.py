"""Mini-o3 (Qwen2.5-VL-7B; repository Mini-o3/Mini-o3): crops any image of the conversation, over many turns.

The facts (tags, keys, sources, box frame, bounds, sizes) are those of the authors' rollout engine, which trains and
evaluates; the prompts are evalkit's own. Always: the last grounding block of a turn counts, a call goes on also beside
an answer, boxes are shares of the image named, cut to whole pixels and to all but its last row and column, a box with
sides of 200 to 1 is refused, crops of crops have full resolution, and crops are resized by the nearest neighbour.
Observations are numbered as the calls can name them; the authors number them by turns, so that after a call that
failed their text and their names differ by one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from evalkit.agents.protocols import _hermes
from evalkit.agents.protocols._layout import images_after
from evalkit.agents.protocols._literal import literal_as_json
from evalkit.agents.protocols._pixels import resized
from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.base import Part
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, StopReason
from evalkit.tools.base import ToolResult, ToolSpec
from evalkit.tools.boxes import BoxRule, Frame, Rounding
from evalkit.tools.zoom import Pick, ZoomSpec

TOOL = "crop"
OPEN, CLOSE = "<grounding>", "</grounding>"
_LEAST_AREA, _MOST_AREA = 40_000, 2_000_000
_KEYS = ("bbox_2d", "source")
_START = '{"bbox_2d": '
_SOURCE = '"source": '
_QUOTES = "',\""


class MiniO3(Protocol):
    """One crop a turn; results come back as user turns with a number."""

    name: ClassVar[str] = "mini_o3"
    tools: ClassVar[tuple[str, ...]] = (TOOL,)
    stop: ClassVar[tuple[str, ...]] = (CLOSE,)
    quirks: ClassVar[Mapping[str, str]] = {
        "key_order": "a call must be written exactly as asked for: bbox_2d before source, no space within the tags",
        "full_ends": "a crop for which there is no room among the images ends the sample, without an answer",
        "first_answer": "the first complete answer tag of the last turn counts, inside of reasoning too",
    }
    zoom: ClassVar[ZoomSpec] = ZoomSpec(
        name=TOOL,
        description="Shows a part of an image larger.",
        box=BoxRule(frame=Frame.UNIT, rounding=Rounding.DOWN, inset=1, aspect=200.0),
        box_about="The part: [left, top, right, bottom] as shares of the image's width and height, 0 to 1.",
        pick=Pick.NAME,
        image_key="source",
        image_about='"original_image", or "observation_i" for the i-th result.',
    )
    conclude: ClassVar[str] = (
        "No further zoom is possible. Give your final answer now, from what you have, between <answer> and </answer>."
    )

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """The form of a turn, and of a call if there is a tool."""
        lines = [
            "You answer questions about an image. Reason between <think> and </think>, and give the final answer "
            "between <answer> and </answer> once you are sure of it."
        ]
        if tools:
            lines += [
                "When something is too small to be certain, zoom in instead, by ending the turn with",
                f'{OPEN}{{"bbox_2d": [x0, y0, x1, y1], "source": "original_image"}}{CLOSE}',
                "(x0, y0) is the top left and (x1, y1) the bottom right corner of the part, as shares of the image's "
                'width and height, from 0.0 to 1.0. "source" is the image to zoom into: "original_image", or '
                '"observation_i" for the result of an earlier zoom.',
            ]
        return "\n".join(lines)

    def parse(self, text: str) -> Reply:
        """The last grounding block, which goes on whatever else is there."""
        before, found, block = text.rpartition(OPEN)
        answered = _hermes.first_answer(before if found else text) is not None
        if not found:
            return Reply(answered=answered)
        raw, closed, _ = block.partition(CLOSE)
        if not closed:
            return Reply(calls=(_malformed(raw.strip(), f"{CLOSE} is missing"),), answered=answered)
        call = _exact(raw) if "key_order" in self.quirks_on else _any_order(raw.strip())
        return Reply(calls=(call,), answered=answered)

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """The crop under its number and what may follow, or why there is none."""
        if result.status is not CallStatus.OK:
            return Observation(text=f"Error: {result.error} Go on between <think> and </think>.")
        return Observation(
            text=(
                f"The part that you asked for ({result.text}):\n"
                f"Go on reasoning between <think> and </think>. Zoom in again with {OPEN} and {CLOSE}, into the "
                "original image or a result, or give the final answer between <answer> and </answer>."
            ),
            images=result.images,
        )

    def show(self, observation: Observation) -> tuple[Part, ...]:
        """The crop stands behind the line that names it."""
        return images_after(observation, "\n") if observation.images else super().show(observation)

    def after(self, end: TurnEnd) -> After:
        """Results are shown, failures too. Under `full_ends`, a crop that can no longer be shown is the end."""
        ran = end.ran and end.calls[0].status is CallStatus.OK
        if "full_ends" in self.quirks_on and ran and not end.images:
            return After(Step.END, "no room for a further image", stop=StopReason.LIMIT_TURNS)
        return super().after(end)

    def final(self, text: str, *, fallback: bool = False) -> str:
        """The whole text; under `first_answer` its first answer tag."""
        return (_hermes.first_answer(text) or text) if "first_answer" in self.quirks_on else text

    def fit(self, image: ImageFile) -> ImageFile:
        """Within the authors' bounds of area, by the nearest neighbour."""
        width, height = image.header.width, image.header.height
        area = min(max(width * height, _LEAST_AREA), _MOST_AREA)
        scale = math.sqrt(area / (width * height))
        size = (width, height) if scale == 1 else (max(1, int(width * scale)), max(1, int(height * scale)))
        return resized(image, size, "nearest")


def _any_order(raw: str) -> ParsedCall:
    """A JSON object, or the Python literal of one, whatever the order of its keys."""
    value = _value(raw)
    if not isinstance(value, dict):
        return _malformed(raw, 'it must be {"bbox_2d": [x0, y0, x1, y1], "source": "..."}')
    return ParsedCall(tool=TOOL, raw=raw, arguments={key: value[key] for key in _KEYS if key in value})


def _exact(raw: str) -> ParsedCall:
    """The form that the authors' pattern asks for: the box up to the last comma before the last source, in quotes."""
    inner = raw[len(_START) : -2]
    at = max(inner.rfind(f"{_SOURCE}{quote}") for quote in _QUOTES)
    comma = inner.rfind(",", 0, max(at, 0))
    if not raw.startswith(_START) or raw[-1:] != "}" or raw[-2:-1] not in _QUOTES or comma < 0:
        return _malformed(raw, 'it must be {"bbox_2d": [x0, y0, x1, y1], "source": "..."}, in this order')
    box, source = _value(inner[:comma].strip()), inner[at + len(_SOURCE) + 1 :]
    if box is None:
        return _malformed(raw, "bbox_2d is not a list of four numbers")
    return ParsedCall(tool=TOOL, raw=raw, arguments={"bbox_2d": box, "source": source})


def _value(text: str) -> object:
    """The value of JSON or of a Python literal; None where it is neither."""
    for form in (text, literal_as_json(text)):
        if form is not None:
            with contextlib.suppress(ValueError, RecursionError):
                return msgspec.json.decode(form)
    return None


def _malformed(raw: str, why: str) -> ParsedCall:
    return ParsedCall(tool=TOOL, raw=raw, error=why)
