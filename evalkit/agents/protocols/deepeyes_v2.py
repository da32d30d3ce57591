"""DeepEyesV2 (Qwen2.5-VL-7B; repository Visual-Agent/DeepEyesV2): Python in code blocks, and search as tool calls.

The facts (tags, stop strings, the layout of results, image sizes, limits, what follows failed code) are the authors';
the prompts are evalkit's own. `deepeyes_v2` is their evaluation, which offers Python alone; `deepeyes_v2_search` has
the tools of their demonstration. What their code does beside that and what changes results are quirks; autopep8,
which formats code after `reindent`, is not followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from evalkit.agents.protocols import _hermes
from evalkit.agents.protocols._code import CLOSE, answer_outside, code_calls
from evalkit.agents.protocols._pixels import as_jpeg, fit_image, is_white
from evalkit.agents.protocols._reindent import reindented
from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.pixels import PixelBudget
from evalkit.errors import DataError
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation, StopReason
from evalkit.tools.adapted import AdaptedTool
from evalkit.tools.base import Tool, ToolResult, ToolSpec
from evalkit.tools.python import PythonTool

_PATCH = 28
_TRIES = 5
_CALL_S = 60.0
_WHITE = 250
_MOST_IMAGES = 10
_END = "<|im_end|>"


class DeepEyesV2(Protocol):
    """Code alone. Failed code is never shown: the sample is begun anew, and given up after the fifth time."""

    name: ClassVar[str] = "deepeyes_v2"
    tools: ClassVar[tuple[str, ...]] = ("python",)
    stop: ClassVar[tuple[str, ...]] = (CLOSE, _END)
    names: ClassVar[Mapping[str, str]] = {"Image": "from PIL import Image"}
    quirks: ClassVar[Mapping[str, str]] = {
        "reindent": "the indentation of code is thrown away and guessed anew from lines that end with a colon",
        "resend": "a turn with neither code nor an answer is asked for again, unchanged, until the turns are used up",
        "first_answer": "the first answer tag counts, inside of reasoning and code too",
        "drop_white": "images without a value below 250 are left out of a result",
        "jpeg": "images of a result are sent as JPEG",
    }
    conclude: ClassVar[str] = (
        "No further tool call is possible. Give your final answer now, from what you have, "
        "between <answer> and </answer>."
    )
    budget: ClassVar[PixelBudget] = PixelBudget(factor=_PATCH, min_pixels=4 * _PATCH**2, max_pixels=16384 * _PATCH**2)

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """How a turn may end, and the tools on offer."""
        offered = {tool.name for tool in tools}
        lines = [
            "You solve problems about images, step by step, until they are solved.",
            "Reason between <think> and </think>. End a turn with the final answer between <answer> and </answer>"
            + (", or with one use of a tool; its result is in the next message." if offered else "."),
        ]
        if "python" in offered:
            lines += [
                "",
                "# Python",
                "Code runs in a notebook that keeps its variables. The first image is there as the PIL image image_1. "
                "Printed text and figures shown with plt.show() come back. Use it whenever it helps to see more: crop, "
                f"enlarge, rotate, enhance, measure. A call may take {_CALL_S:g} seconds.",
                "<code>",
                "```python",
                "...",
                "```",
                "</code>",
            ]
        return "\n".join(lines)

    def parse(self, text: str) -> Reply:
        """The first code block; an answer ends the trajectory whatever else is there."""
        calls = code_calls(text)[:1]
        answered = answer_outside(text)
        return Reply(calls=calls, answered=answered, last=answered)

    def equip(self, tool: Tool) -> Tool:
        """Code sees the first image alone, in the size in which the model sees it."""
        if tool.spec.name != "python":
            return tool
        return AdaptedTool(
            tool.within(_CALL_S) if isinstance(tool, PythonTool) else tool,
            images=self._first_resized,
            rewrite=reindented if "reindent" in self.quirks_on else None,
            keep=(lambda image: not is_white(image, _WHITE)) if "drop_white" in self.quirks_on else None,
        )

    def _first_resized(self, images: tuple[ImageFile, ...]) -> tuple[ImageFile, ...]:
        if not images:
            return ()
        fitted = fit_image(images[0], self.budget, bilinear=True)
        if fitted is None:
            raise DataError(f"image {images[0].name} is too narrow: its sides are more than 200 to 1")
        return (fitted,)

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """Both streams of the code's output, each in a fence, then its images."""
        stdout, stderr = result.text.rstrip("\n"), result.error.rstrip("\n")
        text = f"Code execution result:\nstdout:\n```\n{stdout}\n```\n\nstderr:\n```\n{stderr}\n```\n\nImages:\n"
        return Observation(text=text, images=result.images)

    def after(self, end: TurnEnd) -> After:
        """Results are shown; failed code begins the sample anew; a turn with nothing to do is the last."""
        if end.ran and end.calls[0].status is not CallStatus.OK:
            why = f"the code failed ({end.calls[0].status.value})"
            if end.tries + 1 < _TRIES:
                return After(Step.RESTART, why)
            return After(Step.END, f"{why} in each of {_TRIES} tries", stop=StopReason.GAVE_UP)
        if not end.calls and not end.last and "resend" in self.quirks_on:
            return After(Step.AGAIN, "neither code nor an answer")
        return super().after(end)

    def final(self, text: str, *, fallback: bool = False) -> str:
        """The whole text; under `first_answer` its first answer tag."""
        return (_hermes.first_answer(text) or text) if "first_answer" in self.quirks_on else text

    def fit(self, image: ImageFile) -> ImageFile | None:
        """Within the authors' pixel bounds."""
        fitted = fit_image(image, self.budget, bilinear=True)
        return as_jpeg(fitted) if fitted is not None and "jpeg" in self.quirks_on else fitted


class DeepEyesV2Search(DeepEyesV2):
    """Code, text search and image search, one of them a turn. What failed is shown, and the conversation goes on."""

    name: ClassVar[str] = "deepeyes_v2_search"
    tools: ClassVar[tuple[str, ...]] = ("python", "text_search", "image_search")
    aliases: ClassVar[Mapping[str, str]] = {"search": "text_search"}
    stop: ClassVar[tuple[str, ...]] = (CLOSE, _hermes.CLOSE, _END)
    max_calls: ClassVar[Mapping[str, int]] = {"image_search": 1}
    quirks: ClassVar[Mapping[str, str]] = {
        name: line for name, line in DeepEyesV2.quirks.items() if name in ("reindent", "first_answer")
    }

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """The evaluation's, and the two searches."""
        offered = {tool.name for tool in tools}
        lines = [super().system_prompt(tools)]
        if "text_search" in offered:
            lines += [
                "",
                "# Web search",
                '<tool_call>{"name": "search", "arguments": {"query": "..."}}</tool_call>',
            ]
        if "image_search" in offered:
            lines += [
                "",
                "# Search with the image of the question; possible once",
                '<tool_call>{"name": "image_search"}</tool_call>',
            ]
        return "\n".join(lines)

    def parse(self, text: str) -> Reply:
        """A code block if there is one, else the last search; an answer ends the trajectory whatever else is there."""
        calls = code_calls(text)[:1] or tuple(map(_no_arguments, _hermes.find_calls(text, ("image_search",))[-1:]))
        answered = answer_outside(text) and _hermes.has_answer(text)
        return Reply(calls=calls, answered=answered, last=answered)

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """A search's result in its tag, code as in the evaluation; ten images at most."""
        result = msgspec.structs.replace(result, images=result.images[:_MOST_IMAGES])
        if call.tool == "python":
            return super().observe(call, result)
        text = result.text or f"Error: {result.error}"
        return Observation(text=f"<tool_response>\n{text}\n</tool_response>", images=result.images)

    def after(self, end: TurnEnd) -> After:
        """Whatever came of a call is shown; a turn without one is the last."""
        return Protocol.after(self, end)


def _no_arguments(call: ParsedCall) -> ParsedCall:
    """The authors' rule that an image search takes none."""
    if call.tool != "image_search" or call.error or not call.arguments:
        return call
    return msgspec.structs.replace(call, error="image_search takes no arguments")
