"""SenseNova-MARS (Qwen3-VL; repository OpenSenseNova/SenseNova-MARS): zooms by thousandths, and searches.

The facts (tags, tools, box frame, layout of results, sizes) are the authors'; the prompts are evalkit's own. Always:
the first call of a turn counts and goes on also beside an answer, boxes are cut to the image and have no margin, sides
below 28 pixels are stretched to that. What the released runner does other than the authors' training are quirks. The
answer is the last answer tag, else the box, which is evalkit's own rule; the runner's guesses from free text are not
followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from evalkit.agents.protocols import _hermes
from evalkit.agents.protocols._layout import images_before
from evalkit.agents.protocols._pixels import resized, runner_size
from evalkit.agents.protocols._tool_section import tool_section
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.base import Part
from evalkit.engines.pixels import MAX_ASPECT, PixelBudget
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation
from evalkit.tools.base import Tool, ToolResult, ToolSpec
from evalkit.tools.boxes import BoxRule, Frame, Rounding
from evalkit.tools.zoom import Pick, ZoomSpec, ZoomTool

TOOL = "image_zoom_in_tool"
_OWN = {"text_search": "text_search_tool", "image_search": "image_search_tool"}
_OPEN, _CLOSE = "<tool_response>", "</tool_response>"


class SenseNovaMars(Protocol):
    """One call a turn; its result comes back inside a response tag."""

    name: ClassVar[str] = "sensenova_mars"
    tools: ClassVar[tuple[str, ...]] = (TOOL, "text_search", "image_search")
    aliases: ClassVar[Mapping[str, str]] = {own: name for name, own in _OWN.items()}
    quirks: ClassVar[Mapping[str, str]] = {
        "malformed_ends": "a call that is not JSON is none: the turn is the last",
        "original_only": "every crop is of the first image, whatever img_idx says",
    }
    zoom: ClassVar[ZoomSpec] = ZoomSpec(
        name=TOOL,
        description="Shows a part of an image larger.",
        box=BoxRule(frame=Frame.THOUSAND, rounding=Rounding.DOWN, text_numbers=True),
        box_about="The part: [left, top, right, bottom], each from 0 to 1000 across the image.",
        keys=("bbox_2d", "bbox"),
        label=True,
        pick=Pick.NUMBER,
        image_key="img_idx",
        image_about="The image: 0 for the original, and so on in the order in which they were shown.",
        default=0,
        enlarge=28,
    )
    conclude: ClassVar[str] = (
        "No further tool call is possible. Give your final answer now, from what you have, "
        "between <answer> and </answer>."
    )
    budget: ClassVar[PixelBudget] = PixelBudget(factor=32, min_pixels=65_536, max_pixels=8_294_400)

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """The form of a turn, and the tools on offer under the family's names."""
        lines = [
            "You solve problems about images. Begin every turn with your reasoning between <thinking> and </thinking>.",
            "End it with the final answer between <answer> and </answer> (the option letter when there are options)"
            + (", or with one tool call." if tools else "."),
        ]
        if tools:
            own = [msgspec.structs.replace(tool, name=_OWN.get(tool.name, tool.name)) for tool in tools]
            lines += ["", tool_section(own)]
        return "\n".join(lines)

    def parse(self, text: str) -> Reply:
        """The first call, which goes on whatever else is there."""
        calls = _hermes.find_calls(text)[:1]
        ends = "malformed_ends" in self.quirks_on and bool(calls) and bool(calls[0].error)
        return Reply(calls=calls, answered=_hermes.has_answer(text), last=ends)

    def equip(self, tool: Tool) -> Tool:
        """Under `original_only`, the number of an image is not looked at."""
        if "original_only" not in self.quirks_on or not isinstance(tool, ZoomTool):
            return tool
        return ZoomTool(msgspec.structs.replace(tool.zoom, pick=Pick.FIRST))

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """What came of the call, inside the tags."""
        if result.status is not CallStatus.OK:
            return Observation(text=_inside(f"Error: {result.error}"))
        return Observation(text=_inside(result.text or "The result:"), images=result.images)

    def refuse(self, call: ParsedCall, status: CallStatus, offered: Sequence[str]) -> str:
        """Inside the tags too."""
        return _inside(super().refuse(call, status, [_OWN.get(name, name) for name in offered]))

    def show(self, observation: Observation) -> tuple[Part, ...]:
        """Images stand before the closing tag."""
        return images_before(observation, _CLOSE)

    def fit(self, image: ImageFile) -> ImageFile | None:
        """Within the authors' bounds; nothing longer than 200 to 1."""
        width, height = image.header.width, image.header.height
        if max(width, height) / min(width, height) > MAX_ASPECT:
            return None
        return resized(image, runner_size(width, height, self.budget, whole=True))


def _inside(text: str) -> str:
    return f"{_OPEN}\n{text}\n{_CLOSE}"
