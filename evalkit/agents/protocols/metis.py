"""Metis-8B (arXiv 2604.08545; repository Accio-Lab/Metis): tags, tools, limits and image sizes.

The facts (tags, stop string, roles, image names, pixel bounds, one image search) are the authors'; the prompt
is evalkit's own. The authors' system prompt is in their data set; `--system-prompt FILE` uses a copy of it. Of their
tool server these are not followed: a call that cannot be read gets an empty result (here the model is told why), code
is formatted with black and refused for some imports and names (here the sandbox keeps it in), results are cut by
tokens (here by characters). Their evaluation is not public; which answer counts is read from their reward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from evalkit.agents.protocols._hermes import CLOSE, find_calls, first_answer, has_answer
from evalkit.agents.protocols._pixels import fit_image
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.pixels import PixelBudget
from evalkit.images import ImageFile
from evalkit.records import CallStatus, Observation
from evalkit.tools.base import ToolResult, ToolSpec

_PATCH = 32

_USES = {
    "python": (
        "runs Python in a session that lasts for the whole conversation. The images are there as PIL images "
        "image_1, image_2, ... at full resolution. Print what you want to read; show an image by ending "
        "the code with it or with plt.show().",
        '{"name": "python", "arguments": {"code": "..."}}',
    ),
    "text_search": (
        "searches the web for a text query.",
        '{"name": "text_search", "arguments": {"query": "..."}}',
    ),
    "image_search": (
        "searches the web for images like the given one. It can be used once.",
        '{"name": "image_search", "arguments": {}}',
    ),
}


class Metis(Protocol):
    """One call a turn; results come back as plain user turns."""

    name: ClassVar[str] = "metis"
    tools: ClassVar[tuple[str, ...]] = ("python", "text_search", "image_search")
    aliases: ClassVar[Mapping[str, str]] = {"search": "text_search"}
    stop: ClassVar[tuple[str, ...]] = (CLOSE,)
    max_calls: ClassVar[Mapping[str, int]] = {"image_search": 1}
    names: ClassVar[Mapping[str, str]] = {
        "os": "import os",
        "base64": "import base64",
        "math": "import math",
        "sin": "from math import sin",
        "cos": "from math import cos",
        "np": "import numpy as np",
        "plt": "import matplotlib.pyplot as plt",
        "Image": "from PIL import Image",
        "BytesIO": "from io import BytesIO",
    }
    quirks: ClassVar[Mapping[str, str]] = {
        "first_answer": "the first answer tag of the last turn counts, inside of reasoning too",
    }
    conclude: ClassVar[str] = (
        "No further tool call is possible. Give your final answer now, from what you have, "
        "between <answer> and </answer>."
    )
    budget: ClassVar[PixelBudget] = PixelBudget(factor=_PATCH, min_pixels=4 * _PATCH**2, max_pixels=5120 * _PATCH**2)

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """The task, the tools on offer, and the two forms a turn may take."""
        lines = [
            "You solve problems about images. Be accurate, and use a tool only when it is needed.",
            "",
            "Begin every turn with your reasoning between <reason> and </reason>.",
            "End it with exactly one of:",
            "- the final answer between <answer> and </answer> (the option letter when there are options);",
        ]
        if tools:
            lines += [
                "- one tool call between <tool_call> and </tool_call>; its result is in the next message.",
                "",
                "# Tools",
            ]
            for tool in tools:
                use, form = _USES.get(tool.name, (tool.description, ""))
                lines += [f"{tool.name}: {use}", *([f"<tool_call>{form}</tool_call>"] if form else [])]
            lines += [
                "",
                "If you can answer with confidence from what you see and know, answer at once. Call a tool when "
                "the answer depends on a detail too small to read, a calculation, or a fact you do not know.",
            ]
        return "\n".join(lines)

    def parse(self, text: str) -> Reply:
        """The turn's last call (generation ends at the first closing tag, so it is the only one)."""
        return Reply(calls=find_calls(text)[-1:], answered=has_answer(text))

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """A code result in the authors' layout, a search result as is; a failed cell's images are dropped."""
        if call.tool != "python":
            return Observation(text=result.text or f"Error: {result.error}", images=result.images)
        ok = result.status is CallStatus.OK
        images = result.images if ok else ()
        lines = ["Code execution result:"]
        for label, text in (("stdout", result.text), ("stderr", result.error)):
            if text:
                lines += [f"{label}:", "```", text.rstrip("\n"), "```"]
        if ok and len(lines) == 1 and not images:
            lines.append("The code ran and printed nothing.")
        if images:
            lines.append("Images:")
        return Observation(text="\n".join(lines), images=images)

    def final(self, text: str, *, fallback: bool = False) -> str:
        """The whole text; under `first_answer` its first answer tag."""
        return (first_answer(text) or text) if "first_answer" in self.quirks_on else text

    def fit(self, image: ImageFile) -> ImageFile | None:
        """Within the authors' pixel bounds for tool images."""
        return fit_image(image, self.budget)
