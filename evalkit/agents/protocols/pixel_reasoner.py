r"""Pixel-Reasoner (Qwen2.5-VL-7B; repository TIGER-AI-Lab/Pixel-Reasoner): crops any image, answers in a box.

The facts (tags, the tool and its arguments, padding, least size, sizes) are those of the authors' experience maker,
which trains and evaluates; the prompts are evalkit's own. Always: a call counts only where it ends the turn, crops
have a tenth of the image around the box and both sides above 28 pixels, a crop of a crop is cut from what the model was
shown. What is an accident of that code is a quirk. Frames of videos are not offered: `select_frames` is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from evalkit.agents.protocols import _hermes
from evalkit.agents.protocols._pixels import fit_image
from evalkit.agents.protocols._tool_section import tool_section
from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.pixels import PixelBudget, smart_resize
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, StopReason
from evalkit.scoring.tags import last_box
from evalkit.tools.base import Tool, ToolResult, ToolSpec
from evalkit.tools.boxes import BoxRule, Frame
from evalkit.tools.zoom import Pick, ZoomSpec, ZoomTool

TOOL = "crop_image_normalized"
_PATCH = 28
_MOST_CALLS = 4
_ANSWER = "Reason step by step about what you see, and put the final answer within \\boxed{}"


class PixelReasoner(Protocol):
    """One call at the end of a turn; a crop comes back as a user turn that says its size."""

    name: ClassVar[str] = "pixel_reasoner"
    tools: ClassVar[tuple[str, ...]] = (TOOL,)
    quirks: ClassVar[Mapping[str, str]] = {
        "one_is_a_pixel": "a box with any number of 1 or more is in pixels: one that ends at 1.0 is a corner's",
        "bare_end": "a call with white space behind it is none",
        "forced_stop": "a fifth call ends the sample, and what that turn says is its answer",
    }
    zoom: ClassVar[ZoomSpec] = ZoomSpec(
        name=TOOL,
        description="Shows a part of an image larger, with some of what is around it.",
        box=BoxRule(frame=Frame.MIXED, padding=0.1, above=28),
        box_about="The part: [left, top, right, bottom] as shares of the image's width and height, 0.0 to 1.0.",
        pick=Pick.NUMBER,
        image_key="target_image",
        image_about="The image: 1 for the original, and so on in the order in which they were shown.",
        first=1,
    )
    conclude: ClassVar[str] = (
        "No further tool call is possible. Give your final answer now, from what you have, within \\boxed{}."
    )
    budget: ClassVar[PixelBudget] = PixelBudget(factor=_PATCH, min_pixels=256 * _PATCH**2, max_pixels=5120 * _PATCH**2)

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """Where the answer goes, and the tool if it is there."""
        if not tools:
            return f"{_ANSWER}."
        return f"{_ANSWER}.\nWhere it helps to look closer, end the turn with a call instead.\n\n{tool_section(tools)}"

    def parse(self, text: str) -> Reply:
        """The call that ends the turn. One before other words is counted, and the turn is the last."""
        calls = _hermes.find_calls(text)[-1:]
        boxed = bool(last_box(text.replace(calls[0].raw, "") if calls and calls[0].raw else text))
        ended = text if "bare_end" in self.quirks_on else text.rstrip()
        return Reply(calls=calls, answered=boxed, last=bool(calls) and not ended.endswith(_hermes.CLOSE))

    def equip(self, tool: Tool) -> Tool:
        """Crops are kept in the size in which they are shown."""
        if not isinstance(tool, ZoomTool):
            return tool
        rule = msgspec.structs.replace(tool.zoom.box, below_one="one_is_a_pixel" in self.quirks_on)
        return ZoomTool(msgspec.structs.replace(tool.zoom, box=rule), kept=self.fit)

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """The size of the crop as it is shown, and the crop; or why there is none."""
        if result.status is not CallStatus.OK:
            return Observation(text=f"Execution error:\n{result.error}")
        header = result.images[0].header
        width, height = smart_resize(header.width, header.height, self.budget) or (header.width, header.height)
        return Observation(text=f"The cropped image ({width}x{height} pixels):", images=result.images)

    def after(self, end: TurnEnd) -> After:
        """Results are shown, failures too. Under `forced_stop`, four calls at most are followed by a turn."""
        if "forced_stop" in self.quirks_on and end.calls and end.calls_so_far > _MOST_CALLS:
            if end.reply.answered:
                return After(Step.END, stop=StopReason.ANSWERED)
            return After(Step.END, f"no answer within {_MOST_CALLS} calls", stop=StopReason.LIMIT_TURNS)
        return super().after(end)

    def fit(self, image: ImageFile) -> ImageFile | None:
        """Within the authors' bounds for crops in evaluation."""
        return fit_image(image, self.budget)
