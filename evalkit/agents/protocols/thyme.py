"""Thyme (Qwen2.5-VL-7B; repository yfzhang114/Thyme): code whose output comes back inside the model's own turn.

The facts (tags, stop strings, files by path, tries, the question without tools at the end, sampling) are the authors';
the prompts are evalkit's own. What their evaluation does beside that and what changes results are quirks. Of its
rewriting of code, two things are not followed: autopep8's formatting and renamed OpenCV modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from evalkit.agents.protocols._code import CLOSE, answer_outside, code_calls
from evalkit.agents.protocols._hermes import ANSWER_CLOSE, ANSWER_OPEN, first_answer
from evalkit.agents.protocols._thyme_code import eight_decimals, mended, refusal, with_clamped_boxes
from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.base import ParsedCall, Protocol, Reply
from evalkit.engines.base import Part
from evalkit.records import CallStatus, Observation, Sample
from evalkit.tools.base import Tool, ToolResult, ToolSpec
from evalkit.tools.files import FOLDER, FileTool, path_of
from evalkit.tools.python import PythonTool

OUTPUT_OPEN, OUTPUT_CLOSE = "<sandbox_output>", "</sandbox_output>"
_TRIES = 5
_CALL_S = 10.0
_HOT = 1.0


class Thyme(Protocol):
    """Code that failed is taken out and asked for again; a try without an answer is followed by another, five in all.

    After these the question is asked once more without tools, and that reply is the answer. A try has as many turns
    as the limits say; turns that were taken out are among them.
    """

    name: ClassVar[str] = "thyme"
    tools: ClassVar[tuple[str, ...]] = ("python",)
    stop: ClassVar[tuple[str, ...]] = (CLOSE, ANSWER_CLOSE)
    observation_role: ClassVar[str] = "assistant"
    names: ClassVar[Mapping[str, str]] = {
        "os": "import os",
        "random": "import random",
        "string": "import string",
        "math": "import math",
        "json": "import json",
        "re": "import re",
        "numpy": "import numpy",
        "np": "import numpy as np",
        "cv2": "import cv2",
        "Image": "from PIL import Image",
        "UnidentifiedImageError": "from PIL import UnidentifiedImageError",
    }
    quirks: ClassVar[Mapping[str, str]] = {
        "hot_retry": (
            "once a try has failed, all further tries of the sample are drawn at temperature 1 "
            "(the card's top_k of 1 stays: with it, draws are greedy all the same)"
        ),
        "clamp_boxes": "boxes that code writes as four numbers are moved into the image, 64 pixels a side at least",
        "eight_decimals": "numbers that code formats with one digit of decimals are printed with eight",
        "refused_code": "code with sys., eval(, os.remove and the like fails without being run",
    }
    conclude: ClassVar[str] = (
        "No further code can be run. Give your final answer now, from what you have, between <answer> and </answer>."
    )

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str:
        """The two forms of a turn, and how code gets at images."""
        lines = ["You answer questions about images, step by step."]
        if tools:
            lines += [
                "",
                "When it helps, write Python that crops, enlarges, rotates or enhances an image, or that calculates:",
                "<code>",
                "```python",
                "...",
                "```",
                "</code>",
                f"Open the image by the path given with the question. Save what you make under {FOLDER}/ and print "
                f"its path, or print a result. What came of it follows between {OUTPUT_OPEN} and {OUTPUT_CLOSE}.",
            ]
        return "\n".join(lines)

    def question(self, sample: Sample) -> tuple[Part, ...]:
        """The images, the question, and each image's path and size (width x height)."""
        lines = [sample.question, ""]
        for number, image in enumerate(sample.images, 1):
            lines.append(f'Image path: "{path_of(number)}", size: {image.header.width}x{image.header.height}')
        lines += [
            "Write your reasoning, with any code, between <think> and </think>, then the final answer between "
            "<answer> and </answer>."
        ]
        return (*sample.images, "\n".join(lines))

    def fallback(self, sample: Sample) -> tuple[Part, ...]:
        """The images and the question, to be answered at once."""
        return (*sample.images, f"Answer this question about the image directly, without code.\n{sample.question}")

    def parse(self, text: str) -> Reply:
        """The first code block; an answer ends the trajectory whatever else is there."""
        calls = code_calls(text, any_case=True)[:1]
        answered = answer_outside(text, any_case=True)
        return Reply(calls=calls, answered=answered, last=answered)

    def equip(self, tool: Tool) -> Tool:
        """Code works on files, ten seconds a call."""
        tool = tool.within(_CALL_S) if isinstance(tool, PythonTool) else tool
        return FileTool(tool, self._rewritten, refusal if "refused_code" in self.quirks_on else lambda code: "")

    def _rewritten(self, code: str, sample: Sample) -> str:
        code = mended(code, [path_of(number) for number in range(1, len(sample.images) + 1)])
        if "clamp_boxes" in self.quirks_on and sample.images:
            code = with_clamped_boxes(code, sample.images[0].header.width, sample.images[0].header.height)
        return eight_decimals(code) if "eight_decimals" in self.quirks_on else code

    def observe(self, call: ParsedCall, result: ToolResult) -> Observation:
        """The images, or what was printed, between the tags."""
        text = "" if result.images else result.text.strip()
        return Observation(text=f"{OUTPUT_OPEN}{text}{OUTPUT_CLOSE}", images=result.images)

    def show(self, observation: Observation) -> tuple[Part, ...]:
        """Images stand between the tags."""
        head, tag, tail = observation.text.rpartition(OUTPUT_CLOSE)
        return (head, *observation.images, tag + tail) if observation.images and head else super().show(observation)

    def after(self, end: TurnEnd) -> After:
        """Output is shown; failed code is asked for again; all else ends the try."""
        if end.ran and end.calls[0].status is CallStatus.OK:
            return After(Step.GO_ON)
        readable = bool(end.calls) and not end.reply.calls[0].error
        if readable and not end.last:
            return After(Step.AGAIN, "the code failed")
        why = "no answer within the turns of a try" if readable else "neither code nor an answer"
        if end.tries + 1 < _TRIES:
            return After(Step.RESTART, why, _HOT if "hot_retry" in self.quirks_on else None)
        return After(Step.FALL_BACK, why)

    def final(self, text: str, *, fallback: bool = False) -> str:
        """The whole reply to the question without tools is its answer, unless it has an answer tag."""
        if fallback and first_answer(text) is None:
            return f"{ANSWER_OPEN}{text}{ANSWER_CLOSE}"
        return text
